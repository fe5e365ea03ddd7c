"""The net as an nn.Module: parameters under the names of the text, forward through our plans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from netdsl import artifact
from netdsl.artifact import Manifest
from netdsl.collective import group_name
from netdsl.draws import Draws
from netdsl.executable import Executable
from netdsl.externs import uses_of
from netdsl.ir import Graph
from netdsl.layout import prefers_channels_last
from netdsl.memory import keep_freed_memory
from netdsl.namespaces import Namespace, adopt, initialise
from netdsl.settings import Settings
from netdsl.signature import by_position
from netdsl.stepper import State, Stepper
from netdsl.tree import grow

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class NetModule(Namespace):
    """A compiled net. Called with the tensors of its signature, in order or by name.

    Returns the one anonymous output, a named tuple of the named ones (a `train` output is None in
    eval), or a tuple of the taps asked for. Raises `InputError` where an input does not fit. Under
    torch.autocast a net has the casts in its graph, as each op's policy says; one with float64
    beside other dtypes runs node by node, as the reference does, and casts as it goes.

    manifest  what the graph was made from, for `save` (None: a graph made by hand)
    backend   "auto": our plans; "reference": node by node with torch's autograd, the oracle
    off       names of passes to leave out
    ops       functions and modules for the externs of the text, by name; each use of a module is a
              copy with parameters of its own, the child at its path. Plans run around externs;
              where something traces or transforms the call it runs node by node
    weights   all parameters and buffers by name, copied (None: drawn as the text says)
    """

    _executable: Executable

    def __init__(
        self,
        graph: Graph,
        manifest: Manifest | None = None,
        *,
        backend: str = "auto",
        off: Sequence[str] = (),
        ops: Mapping[str, Callable[..., Any]] | None = None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        keep_freed_memory()
        if backend not in ("auto", "reference"):
            raise ValueError(f"backend is auto or reference, not {backend!r}")
        self.graph = graph
        self.manifest = manifest
        self.off = tuple(off)
        self.ops = dict(ops or {})
        self._settings = Settings(backend, self.off)
        supplied = uses_of(graph, self.ops)
        tree = grow(self, graph, supplied, prefers_channels_last(graph))
        executable = Executable(graph, tree, self._settings, self, supplied, Draws())
        self.__dict__["_executable"] = executable  # a child may have its name
        if weights is None:
            initialise(tree.places.values(), graph.parameters)
        else:
            adopt(tree.places.values(), graph.parameters, weights)

    def forward(self, *inputs: Tensor, **named: Tensor) -> Any:
        if named:
            inputs = by_position(self.graph.inputs, inputs, named)
        return self._executable(*inputs)

    def start(self, *given: Tensor | int, **named: Tensor | int) -> State:
        """The state before the first step of a net that runs step by step.

        `model.start(8)`: of 8 sequences; `model.start(source)`: from the inputs that are whole (an
        encoder's sentence, start values), in order or by name; further sizes by name,
        `model.start(8, H=16, W=16)`. Raises `NetError` N310 for a net that does not run so: one
        whose step needs later ones.
        """
        return self._stepper().start(*given, **named)

    def step(self, *given: Any, **named: Any) -> tuple[Any, State]:
        """`y, state = model.step(x, state)`: one step of every sequence.

        x [N, …] without the axis of time, state from `start` or the step before (None: the net
        starts) -> the outputs without that axis, the state behind the step. What a net says of
        its last step, `h[T]`, it says of this one. Otherwise as a call of the net, whose parameters
        these are.
        """
        return self._stepper().step(*given, **named)

    def chunk(self, *given: Any, **named: Any) -> tuple[Any, State]:
        """`y, state = model.chunk(x, state)`: k steps at once, x [N, k, …], otherwise as `step`.

        Chunks give what one pass over all gives, gradients too; with `state.detach()` in between
        backward ends there (truncated backpropagation through time, Williams & Peng 1990).
        """
        return self._stepper().chunk(*given, **named)

    def _stepper(self) -> Stepper:
        """Made at the first use; a property would be asked by what looks over all attributes."""
        found = self.__dict__.get("#stepper")
        if found is None:
            found = self.__dict__["#stepper"] = Stepper(self._executable, self)
        return found

    @property
    def backend(self) -> str:
        """What the net runs by."""
        return self._settings.backend

    @backend.setter
    def backend(self, backend: str) -> None:
        self._settings.backend = backend

    def save(self, path: str | Path, options: Mapping[str, object] | None = None) -> None:
        """Write an artefact: source text, hyper-parameters and weights, as one .netc file."""
        if self.manifest is None:
            raise ValueError("this net was made from a graph by hand: it has no text to save")
        manifest = replace(self.manifest, options=options or {})
        artifact.write(Path(path), manifest, self.state_dict())

    def freeze(self) -> NetModule:
        """For the fastest inference: to eval, the folded weights made once and kept for good, no
        parameter with a gradient. The state dict has the weights as ever, and a gradient of the
        inputs can be had.

        Until `unfreeze()`, `train()`, `load_state_dict` and a call with a parameter that requires a
        gradient raise `RuntimeError`. A write that autograd knows of is seen by the next call, one
        through `p.data` not before `eval()` or `unfreeze()`.
        """
        self.eval()
        if self._settings.frozen is None:
            self._settings.frozen = tuple(n for n, p in self.named_parameters() if p.requires_grad)
            self.requires_grad_(False)
        return self

    def unfreeze(self) -> NetModule:
        """As it was before `freeze`, in eval."""
        for name in self._settings.frozen or ():
            self.get_parameter(name).requires_grad_()
        self._settings.frozen = None
        self._executable.drop_folded()
        return self

    def sync_batchnorm(self, group: ProcessGroup | None = None) -> NetModule:
        """Batch normalisation in training takes the batches of all processes of a group (None: the
        default one, found at each call) as one, of different sizes too; where no process group is
        initialised, nothing changes. All processes must call forward and backward together.
        """
        self._settings.synced = group_name(group)
        self._executable.drop_programs()
        return self

    def train(self, mode: bool = True) -> NetModule:
        if mode:
            self._settings.check_not_frozen("be trained")
        self._executable.drop_folded()
        super().train(mode)
        return self

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> NetModule:
        self._executable.drop_folded()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        self._settings.check_not_frozen("take other weights")
        self._executable.drop_folded()
        return super().load_state_dict(*args, **kwargs)

    def extra_repr(self) -> str:
        return ", ".join(f"{op.key}: {op.type}" for op in self.graph.inputs)
