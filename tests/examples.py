"""How many examples hypothesis looks at. NETDSL_EXAMPLES=3000 looks longer, at new ones."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("NETDSL_EXAMPLES", "0"))


def examples(count: int) -> settings:
    """The same examples in every run, or with NETDSL_EXAMPLES as many new ones."""
    return settings(
        max_examples=EXAMPLES or count,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
