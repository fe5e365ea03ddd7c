"""A net run step by step: its state as a value, and the calls that take it over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from netdsl.errors import NetError, Problem
from netdsl.executable import Executable
from netdsl.ir import Builder, Graph, Input
from netdsl.packing import packer
from netdsl.signature import bind, by_position, size_names
from netdsl.sizes import names
from netdsl.streaming import SIZES, Stream, streamed


@dataclass(frozen=True)
class State:
    """All that a net knows of the steps behind it; nothing of it is in the module.

    tensors  by name: h of a recurrence, [N, …], those of a layer, [layers, N, …], and what the net
             made of its whole inputs (the states of an encoder)
    batch    which axis of each is that of the N sequences (None: it is the same for all)
    """

    tensors: Mapping[str, Tensor]
    batch: Mapping[str, int | None]

    def detach(self) -> State:
        """Without the way that led here: backward through later steps ends here."""
        return self._each(lambda t: t.detach())

    def to(self, *args: Any, **kwargs: Any) -> State:
        """On another device or in another dtype, as torch.Tensor.to."""
        return self._each(lambda t: t.to(*args, **kwargs) if t.is_floating_point() else t)

    def __getitem__(self, rows: Any) -> State:
        """Of some of the sequences, in any order and more than once, as a beam search has them:
        `state[[2, 0, 0]]`, `state[order]`, `state[:4]`, `state[mask]`; of one alone, `state[3]`."""
        rows = [rows] if isinstance(rows, int) else rows
        found = {}
        for name, t in self.tensors.items():
            axis = self.batch[name]
            found[name] = t if axis is None else t[(slice(None),) * axis + (rows,)]
        return State(found, self.batch)

    def _each(self, change: Callable[[Tensor], Tensor]) -> State:
        return State({name: change(t) for name, t in self.tensors.items()}, self.batch)


class Stepper:
    """The calls of a net that runs step by step. Raises `NetError` N310 for one that does not."""

    def __init__(self, executable: Executable, root: nn.Module) -> None:
        try:
            stream = streamed(executable.graph)
        except Problem as problem:
            raise NetError((problem.at(None),)) from None
        self._root = root
        self._pack = packer(executable.graph)
        self._stream = stream
        self._batch = {kept.name: kept.batch for kept in stream.state}
        self._start = executable.beside(stream.start)
        self._whole = [op for op in stream.start.inputs if op.key != SIZES]
        self._asked = size_names([op for op in stream.start.inputs if op.key == SIZES])
        self._chunk = _Steps(executable.beside(stream.chunk), stream)
        self._step = _Steps(executable.beside(stream.step), stream)

    def start(self, *given: Tensor | int, **named: Tensor | int) -> State:
        """See `NetModule.start`."""
        tensors = [t for t in given if not isinstance(t, int)]
        by_name = {name: t for name, t in named.items() if not isinstance(t, int)}
        sizes = {name: n for name, n in named.items() if isinstance(n, int)}
        for n in (n for n in given if isinstance(n, int)):
            sizes.setdefault(self._batch_name(), n)
        whole = by_position(self._whole, tensors, by_name)
        lacking = [name for name in self._asked if name not in sizes]
        if set(sizes) - set(self._asked) or lacking or len(whole) != len(self._whole):
            takes = [*(f"{op.key}: {op.type}" for op in self._whole)]
            takes += [f"{name}: its size" for name in self._asked]
            raise TypeError(f"the net starts from ({', '.join(takes)})")
        return self._begin(whole, sizes)

    def chunk(self, *given: Any, **named: Any) -> tuple[Any, State]:
        """See `NetModule.chunk`."""
        return self._run(self._chunk, given, named)

    def step(self, *given: Any, **named: Any) -> tuple[Any, State]:
        """See `NetModule.step`."""
        return self._run(self._step, given, named)

    def _run(
        self, steps: _Steps, given: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[Any, State]:
        count = len(steps.inputs)
        state = given[count] if len(given) > count else named.pop("state", None)
        xs: Sequence[Tensor] = given[:count]
        if named:
            xs = by_position(steps.inputs, xs, named)
        if len(xs) != count:
            takes = ", ".join(f"{op.key}: {op.type}" for op in steps.inputs)
            raise TypeError(f"the net takes ({takes}, state), but {len(xs)} tensors were given")
        if state is None:
            state = self._begin((), self._sizes(steps, xs))
        try:
            before = [state.tensors[kept.name] for kept in self._stream.state]
        except KeyError as missing:
            raise TypeError(f"the state is of another net: it has no {missing}") from None
        found = steps(xs, before)
        after = {
            kept.name: found.get(kept.key, t)
            for kept, t in zip(self._stream.state, before, strict=True)
        }
        return self._pack(found), State(after, self._batch)

    def _begin(self, whole: Sequence[Tensor], sizes: Mapping[str, int]) -> State:
        """The state before the first step."""
        floats = (t for t in (*self._root.parameters(), *whole) if t.is_floating_point())
        like = next(floats, None)
        none = torch.empty(()) if like is None else like.new_empty(())
        given = {SIZES: none.expand([sizes[name] for name in self._asked])}
        given |= {op.key: t for op, t in zip(self._whole, whole, strict=True)}
        found = self._start(*[given[op.key] for op in self._stream.start.inputs])
        return State({k.name: found[k.key] for k in self._stream.state}, self._batch)

    def _sizes(self, steps: _Steps, xs: Sequence[Tensor]) -> dict[str, int]:
        """The numbers of the sizes that a start without an input asks for, from the first steps."""
        if self._whole:
            takes = ", ".join(f"{op.key}: {op.type}" for op in self._whole)
            raise TypeError(f"the net starts from ({takes}): give the state that `start` makes")
        like = next((p for p in self._root.parameters() if p.is_floating_point()), None)
        bound = bind(steps.signature, xs, like)
        return {name: bound[name] for name in self._asked}

    def _batch_name(self) -> str:
        size = self._stream.chunk.inputs[0].type.shape[0]
        return next(iter(names(size)), "N")


class _Steps:
    """A call of some steps: their tensors and the state's -> what the graph gives, by name."""

    def __init__(self, executable: Executable, stream: Stream) -> None:
        inputs = {op.key: op for op in executable.graph.inputs}
        self.inputs = [inputs[key] for key in stream.sequences]
        self.signature = _signature(self.inputs)
        keys = [*stream.sequences, *(kept.key for kept in stream.state)]
        self._order = [keys.index(key) for key in inputs]
        self._executable = executable

    def __call__(self, xs: Sequence[Tensor], before: Sequence[Tensor]) -> dict[str, Tensor]:
        pool = [*xs, *before]
        found: dict[str, Tensor] = self._executable(*[pool[i] for i in self._order])
        return found


def _signature(inputs: Sequence[Input]) -> Graph:
    b = Builder("steps")
    for op in inputs:
        b(op)
    return b.build(())
