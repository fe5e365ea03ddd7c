"""torchvision can be imported, whichever its build."""

import torchvision_operators  # noqa: F401
