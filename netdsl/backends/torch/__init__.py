"""The torch backend: straight-line ATen calls, on any device, for every op."""

from netdsl.backends.torch.kernels import TorchBackend

__all__ = ["TorchBackend"]
