"""The op table: importing this package enters every family of ops."""

from importlib import import_module
from pkgutil import iter_modules

from netdsl.op import OPS, layers

for _family in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_family}")

__all__ = ["OPS", "layers"]
