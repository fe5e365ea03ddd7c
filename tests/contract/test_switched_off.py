"""Every mechanism switched off, one by one: what it is for holds as it is and fails without it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytest import MonkeyPatch

from contract import autograd, checks, edges, modes, state
from contract.checks import Check, does
from netdsl import executable, folded, module, program, reference, runtime, signature, tree, watched
from netdsl.draws import Draws
from netdsl.executable import Executable
from netdsl.ops.norm import BatchNorm
from netdsl.program import Program
from netdsl.settings import Settings
from netdsl.tree import Tree

Off = Callable[[MonkeyPatch], None]
FAILURES = (Exception, pytest.fail.Exception)


def exchanged(where: object, name: str, other: object) -> Off:
    return lambda patch: patch.setattr(where, name, other)


def one_program(patch: MonkeyPatch) -> None:
    """Whatever the mode, the program of the first call."""
    make = Executable.program

    def first(self: Executable, *mode: Any) -> Program:
        found = next(iter(self.programs.values()), None)
        return found or make(self, *mode)

    patch.setattr(Executable, "program", first)


def one_training_bit(patch: MonkeyPatch) -> None:
    make = Executable.program

    def whole(self: Executable, mode: Any, synced: str | None) -> Program:
        training, *rest = mode
        return make(self, ((training[0],) * len(training), *rest), synced)

    patch.setattr(Executable, "program", whole)


def no_mask(patch: MonkeyPatch) -> None:
    make = Executable.program

    def all_wanted(self: Executable, mode: Any, synced: str | None) -> Program:
        training, wanted, *rest = mode
        return make(self, (training, (True,) * len(wanted), *rest), synced)

    patch.setattr(Executable, "program", all_wanted)


def by_one_plan(ctx: Any, cotangents: Any) -> Any:
    """A gradient without one of its own, whatever create_graph says."""
    found = ctx.program.backward(runtime._gathered(ctx, cotangents), ctx.sizes)
    return ctx.program.handed(found, ctx.program.reached(cotangents))


def kept_by_the_program(patch: MonkeyPatch) -> None:
    """What backward needs is that of the last call, as in an arena of the program's own."""
    save, gathered, last = runtime._save, runtime._gathered, {}

    def keep(ctx: Any, of: Program, *rest: Any) -> None:
        save(ctx, of, *rest)
        last[of.key] = ctx

    patch.setattr(runtime, "_save", keep)
    patch.setattr(runtime, "_gathered", lambda ctx, dys: gathered(last[ctx.program.key], dys))


def kept_without_autograd(patch: MonkeyPatch) -> None:
    """What backward needs is kept where autograd neither checks nor frees it."""
    gathered = runtime._gathered

    def keep(ctx: Any, of: Program, operands: Any, results: Any) -> None:
        lists = {"operands": operands, "results": results}
        ctx.kept = [lists[w][i].detach() for w, i in of.backward_operands if w != "cotangents"]
        ctx.program = of
        ctx.set_materialize_grads(False)

    def found(ctx: Any, cotangents: Any) -> Any:
        like = SimpleNamespace(program=ctx.program, saved_tensors=ctx.kept, sizes=ctx.sizes)
        return gathered(like, cotangents)

    patch.setattr(runtime, "_save", keep)
    patch.setattr(runtime, "_gathered", found)


def seeds_of_our_own(patch: MonkeyPatch) -> None:
    generator = torch.Generator()
    own = Draws(lambda: torch.randint(0, 2**63 - 1, (), generator=generator))
    patch.setattr(module, "Draws", lambda: own)


def untransformed_parameters(patch: MonkeyPatch) -> None:
    def stored(place: Any) -> torch.Tensor:
        owner, _, name = place
        parametrized = getattr(owner, "parametrizations", {})
        found: Any = parametrized[name].original if name in parametrized else getattr(owner, name)
        return found

    patch.setattr(tree, "tensor_at", stored)


def never(*_: object) -> bool:
    return False


def buffers_left_as_they_are(patch: MonkeyPatch) -> None:
    patch.setattr(BatchNorm, "updates", 0)
    patch.setattr(torch, "_foreach_copy_", nothing)


def nothing(*_: object) -> None:
    return None


MECHANISMS: dict[str, tuple[Off, list[Check]]] = {
    "folded weights: addresses": (
        exchanged(watched, "_address", id),
        [
            checks.fused_steps_are_seen,
            checks.no_grad_writes_are_seen,
            checks.other_memory_is_seen,
            checks.one_number_is_seen,
            checks.moved_numbers_are_seen,
            checks.inference_writes_are_seen,
        ],
    ),
    "folded weights: lazy clones": (
        exchanged(torch, "_lazy_clone", torch.clone),
        [checks.one_number_is_seen, checks.fused_steps_are_seen],
    ),
    "folded weights: others that hold their memory": (
        exchanged(torch._C, "_storage_Use_Count", lambda _: 0),
        [checks.writes_of_numpy_are_seen],
    ),
    "folded weights: memory that is not torch's": (
        exchanged(watched.Watched, "_compare", lambda *_: True),
        [checks.writes_of_numpy_are_seen, checks.writes_to_shared_memory_are_seen],
    ),
    "folded weights: the guard": (
        exchanged(folded.Folded, "fresh", lambda *_: True),
        [checks.one_number_is_seen, checks.no_grad_writes_are_seen],
    ),
    "a program a mode": (
        one_program,
        [does(modes.eval_between_training_steps), does(modes.freezing_and_thawing_between_steps)],
    ),
    "training bits of each module": (
        one_training_bit,
        [does(modes.every_other_child_in_eval), does(modes.every_other_layer_in_eval)],
    ),
    "requires_grad masks": (no_mask, [checks.gradients_nobody_wants_are_not_computed]),
    "cuts": (
        exchanged(Tree, "called", lambda _: ()),
        [
            checks.hooked_children_are_called,
            checks.replaced_children_are_called,
            checks.lora_is_called,
        ],
    ),
    "parametrised weights": (
        untransformed_parameters,
        [checks.parametrised_weights_are_computed],
    ),
    "double backward": (
        exchanged(runtime, "_differentiable", by_one_plan),
        [checks.second_derivatives_are_right],
    ),
    "gradients for the cotangents that are there": (
        exchanged(Program, "reached", lambda self, _: [i is not None for i in self.gradients]),
        [checks.an_unused_head_has_no_gradient],
    ),
    "fresh tensors for every forward": (
        kept_by_the_program,
        [
            does(autograd.two_forwards_before_one_backward),
            does(autograd.backwards_in_the_other_order),
        ],
    ),
    "saved by autograd": (
        kept_without_autograd,
        [checks.a_graph_is_freed, does(autograd.a_weight_changed_before_backward)],
    ),
    "the autocast pass": (
        exchanged(executable, "autocasts", never),
        [checks.autocast_is_as_in_torch],
    ),
    "seeds of torch's generator": (
        seeds_of_our_own,
        [checks.masks_are_replayed_with_torchs_generator, checks.masks_follow_the_seed],
    ),
    "buffers written back": (
        buffers_left_as_they_are,
        [does(modes.a_training_step), does(edges.a_batch_of_one)],
    ),
    "checks of shapes": (
        exchanged(signature, "_match_shape", nothing),
        [checks.wrong_inputs_are_explained],
    ),
    "checks of dtypes": (
        exchanged(signature, "_match_kind", nothing),
        [checks.wrong_inputs_are_explained],
    ),
    "freeze: refusals": (
        exchanged(Settings, "check_untrained", nothing),
        [checks.a_frozen_net_refuses_training],
    ),
    "freeze: folded for good": (
        exchanged(executable, "Frozen", folded.Folded),
        [checks.a_frozen_net_keeps_what_is_folded],
    ),
    "taps": (
        lambda patch: patch.setattr("netdsl.compiler.tap", lambda graph, paths: graph),
        [checks.taps_are_the_stages],
    ),
    "transforms of torch.func": (
        exchanged(executable, "transformed", never),
        [checks.functional_gradients_go_through],
    ),
    "exports node by node": (
        exchanged(torch.compiler, "is_exporting", never),
        [checks.exported_programs_have_torchs_operators],
    ),
    "copies without caches": (
        exchanged(Executable, "__getstate__", lambda self: self.__dict__),
        [does(state.a_deep_copy), does(state.a_pickled_copy)],
    ),
    "plans kept in bounds": (
        exchanged(program, "PLANS_KEPT", 10**6),
        [checks.a_hundred_sizes_are_kept_in_bounds],
    ),
    "copies of externs": (
        exchanged(reference, "planted", lambda root, supplied: supplied),
        [checks.externs_are_modules_of_their_own],
    ),
}


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_what_a_mechanism_is_for_fails_without_it(mechanism: str, monkeypatch: MonkeyPatch) -> None:
    off, found = MECHANISMS[mechanism]
    for check in found:
        check()
    monkeypatch.setattr(runtime, "PROGRAMS", {})
    off(monkeypatch)
    for check in found:
        with pytest.raises(FAILURES):
            check()
