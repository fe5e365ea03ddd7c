"""pytest puts this folder on the import path, so that every test can read `tolerances`."""
