"""Freed memory stays in the process (glibc): large activations come and go at every call, and what
is handed back to the system must be faulted in again, page by page.

It holds for the whole process and raises its resident memory; NETDSL_MALLOPT=0 leaves malloc alone.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
LARGEST = 1 << 30  # bytes; a request above it still gets pages of its own


@cache
def keep_freed_memory() -> bool:
    """Ask malloc, once; whether it agreed."""
    if os.environ.get("NETDSL_MALLOPT") == "0" or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
