from collections.abc import Iterator

import pytest

from netdsl import executable


@pytest.fixture(autouse=True, scope="module")
def sparing() -> Iterator[None]:
    """Backward makes again what it can, as from 1 GiB of results on: nets here are small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executable, "SPARED", 0)
        yield
