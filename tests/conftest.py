"""One thread, as shared machines want it; this folder is on the import path, so that every test can
read `tolerances`."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _same_numbers() -> None:
    """Every test draws the same random numbers, alone or after others."""
    import torch

    torch.manual_seed(0)
