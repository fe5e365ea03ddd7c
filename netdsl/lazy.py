"""torch and its functional namespace, imported at first use: `check` and `show` never do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
else:

    class _Lazy:
        def __init__(self, load: Callable[[], Any]) -> None:
            self._load = load

        def __getattr__(self, attribute: str) -> Any:
            value = getattr(self._load(), attribute)
            setattr(self, attribute, value)
            return value

    def _torch() -> Any:
        import torch  # a statement, which torch.compile can trace

        return torch

    def _functional() -> Any:
        import torch.nn.functional as F

        return F

    torch = _Lazy(_torch)
    F = _Lazy(_functional)

__all__ = ["F", "torch"]
