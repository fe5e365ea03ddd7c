"""One thread, as shared machines want it; this folder is on the import path, so that every test can
read `tolerances`."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
