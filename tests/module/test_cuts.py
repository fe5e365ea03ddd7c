"""Children that are hooked, replaced, wrapped or parametrised are called, as torch.nn's are: each
change is made to a LeNet of ours and to the same one of torch.nn, and the two are compared."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import torch
from tolerances import NET, NET_GRADIENT, assert_close, assert_exact, assert_gradients_close
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.utils.checkpoint import checkpoint

import netdsl
from netdsl.errors import NetError
from netdsl.module import NetModule

NET_TEXT = """netdsl 1
net Small(x: [N, 3, H, W]; classes = 5) {
  return x -> (conv(4, 3) -> bn -> relu) as stem[] -> max_pool(2)
           -> (conv(6, 3) -> bn -> relu) as body[]
           -> global_avg_pool -> dropout(0.0) as drop -> linear(7) as hidden -> tanh
           -> linear(classes) as fc
}
"""

RECURRENT = """netdsl 1
net Steps(x: [N, T, 4]) {
  recur t in 1..T {
    h[0]: [N, 4] = 0
    h[t] = concat(x[t], h[t-1]) -> linear(4) as inner -> tanh
  }
  return h[T] -> linear(3) as first
}
"""


class Twin(nn.Module):
    """The same net of torch.nn."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.drop = nn.Dropout(0.0)
        self.hidden = nn.Linear(6, 7)
        self.fc = nn.Linear(7, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(torch.max_pool2d(self.stem(x), 2)).mean((2, 3))
        return self.fc(self.hidden(self.drop(x)).tanh())


class LoRA(nn.Module):
    """A frozen layer and a low rank beside it."""

    def __init__(self, base: nn.Module, inputs: int, outputs: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Linear(inputs, 2, bias=False)
        self.up = nn.Linear(2, outputs, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(x))


class Checkpointed(nn.Module):
    """A module that is computed again in backward."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.inner, x, use_reentrant=False)


class Doubled(nn.Module):
    """A parametrisation."""

    def forward(self, w: Tensor) -> Tensor:
        return 2 * w


class Scaled(nn.Module):
    """What a module gives, times a number of its own."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.inner(x)


def another_forward(model: Any) -> None:
    before = model.hidden.forward
    model.hidden.forward = lambda x: before(x).sin()


def wrapped_in_a_sequence(model: Any) -> None:
    model.stem = nn.Sequential(model.stem, nn.AvgPool2d(2))


def replaced_inside(model: Any) -> None:
    setattr(model.body, "0", nn.Conv2d(4, 6, 5, padding=2, dilation=1))


def replaced_inside_a_wrapped_one(model: Any) -> None:
    setattr(model.body, "0", Scaled(model.body.get_submodule("0")))
    model.body = Scaled(model.body)


def weight_normed_by_hooks(model: Any) -> None:
    with pytest.warns(FutureWarning, match="weight_norm"):
        nn.utils.weight_norm(model.hidden)


def half_frozen(model: Any) -> None:
    model.fc = nn.Linear(7, 37)
    model.stem.requires_grad_(False).eval()


def set_child(name: str, make: Callable[[Any], nn.Module], model: Any) -> None:
    setattr(model, name, make(model))


CHANGES: dict[str, Callable[[Any], Any]] = {
    "a new head": partial(set_child, "fc", lambda m: nn.Linear(7, 37)),
    "a new head and frozen layers": half_frozen,
    "no head": partial(set_child, "fc", lambda m: nn.Identity()),
    "a wider head in a sequence": partial(
        set_child, "fc", lambda m: nn.Sequential(nn.Linear(7, 9), nn.ReLU(), nn.Linear(9, 3))
    ),
    "a wider layer in the middle": partial(set_child, "stem", lambda m: nn.Conv2d(3, 4, 1)),
    "a strided layer in the middle": partial(
        set_child, "stem", lambda m: nn.Conv2d(3, 4, 3, stride=2)
    ),
    "a layer inside a block": replaced_inside,
    "wrapped in a sequence": wrapped_in_a_sequence,
    "wrapped inside and outside": replaced_inside_a_wrapped_one,
    "LoRA of a leaf": partial(set_child, "hidden", lambda m: LoRA(m.hidden, 6, 7)),
    "a scaled block": partial(set_child, "body", lambda m: Scaled(m.body)),
    "a forward of its own": another_forward,
    "no dropout": partial(set_child, "drop", lambda m: nn.Identity()),
    "parametrised": lambda m: parametrize.register_parametrization(m.hidden, "weight", Doubled()),
    "parametrised convolution": lambda m: parametrize.register_parametrization(
        m.stem.get_submodule("0"), "weight", Doubled()
    ),
    "weight_norm": lambda m: parametrizations.weight_norm(m.hidden),
    "weight_norm by hooks": weight_normed_by_hooks,
    "spectral_norm": lambda m: parametrizations.spectral_norm(m.body.get_submodule("0")),
    "spectral_norm by hooks": lambda m: nn.utils.spectral_norm(m.hidden),
    "orthogonal": lambda m: parametrizations.orthogonal(m.hidden),
    "pruned": lambda m: prune.l1_unstructured(m.hidden, "weight", 0.5),
    "pruned for good": lambda m: prune.remove(
        prune.l1_unstructured(m.hidden, "weight", 0.5), "weight"
    ),
}


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_child_is_called_as_torch_calls_it(name: str, backend: str) -> None:
    model, twin = pair(backend)
    model(images())
    twin(images())
    change(name, model, twin)
    assert sorted(model.state_dict()) == sorted(twin.state_dict())
    for _ in range(2):
        compare_steps(model, twin)
    if "hooks" not in name and name != "pruned":  # torch copies no tensor that has a history
        copied = copy.deepcopy(model).eval()
        assert_close(without_gradients(copied), without_gradients(twin.eval()), NET, "copy")
    for training in (False, True, False):
        assert_close(
            without_gradients(model.train(training)),
            without_gradients(twin.train(training)),
            NET,
        )


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_hooks_see_what_torchs_see_in_the_same_order(backend: str) -> None:
    logs = []
    for model in pair(backend):
        log: list[tuple[str, str, list[Tensor]]] = []
        for name in ("stem", "stem.0", "stem.1", "body.0", "drop", "hidden", "fc"):
            record(model.get_submodule(name), name, log)
        for _ in range(2):
            model(images().requires_grad_()).sin().sum().backward()
        logs.append(log)
    ours, theirs = logs
    assert [entry[:2] for entry in ours] == [entry[:2] for entry in theirs]
    assert len(ours) == 2 * 7 * 6
    for (name, kind, seen), (*_, expected) in zip(ours, theirs, strict=True):
        for x, y in zip(seen, expected, strict=True):
            assert_close(x, y, NET_GRADIENT, f"{name} {kind}")


def record(module: nn.Module, name: str, log: list[tuple[str, str, list[Tensor]]]) -> None:
    def note(kind: str, *tensors: Any) -> None:
        flat = [t for given in tensors for t in (given if isinstance(given, tuple) else (given,))]
        log.append((name, kind, [t.detach().clone() for t in flat if t is not None]))

    module.register_forward_pre_hook(lambda m, xs: note("before", xs))
    module.register_forward_pre_hook(
        lambda m, xs, named: note("before with", xs, *named.values()), with_kwargs=True
    )
    module.register_forward_hook(lambda m, xs, y: note("after", xs, y))
    module.register_forward_hook(
        lambda m, xs, named, y: note("after with", xs, y), with_kwargs=True, always_call=True
    )
    module.register_full_backward_pre_hook(lambda m, dys: note("before backward", dys))
    module.register_full_backward_hook(lambda m, dxs, dys: note("after backward", dxs, dys))


MODIFY: dict[str, Callable[[nn.Module], Any]] = {
    "inputs": lambda m: m.register_forward_pre_hook(lambda m, xs: (xs[0] * 2,)),
    "outputs": lambda m: m.register_forward_hook(lambda m, xs, y: y.sin()),
    "gradients of outputs": lambda m: m.register_full_backward_pre_hook(
        lambda m, dys: (dys[0] * 3,)
    ),
    "gradients of inputs": lambda m: m.register_full_backward_hook(
        lambda m, dxs, dys: (dxs[0] * 3,)
    ),
}


@pytest.mark.parametrize("name", ["stem.0", "body", "body.1", "hidden", "fc"])
@pytest.mark.parametrize("what", MODIFY)
def test_what_a_hook_changes_counts_until_it_is_removed(what: str, name: str) -> None:
    model, twin = pair()
    handles = [MODIFY[what](net.get_submodule(name)) for net in (model, twin)]
    changed = compare_steps(model, twin)
    for handle in handles:
        handle.remove()
    unchanged = compare_steps(model, twin)
    assert not torch.equal(changed["x"], unchanged["x"])


def test_without_hooks_the_net_is_whole_again() -> None:
    model, _ = pair()
    whole = model.eval()(images())
    seen: list[Tensor] = []
    handle = model.hidden.register_forward_hook(lambda m, xs, y: seen.append(y))
    assert_close(model(images()), whole, NET)
    assert len(seen) == 1
    handle.remove()
    assert_exact(model(images()), whole)
    assert len(seen) == 1


def test_a_child_called_without_gradients_is_not_tied() -> None:
    model, _ = pair()
    seen: list[Tensor] = []
    model.body.register_forward_hook(lambda m, xs, y: seen.append(y))
    assert not without_gradients(model).requires_grad
    assert model(images()).requires_grad
    assert [y.requires_grad for y in seen] == [False, True]


def test_two_calls_before_one_backward_keep_their_own_tensors() -> None:
    grads = []
    for model in pair():
        model.body = Scaled(model.body)
        model.double()
        (model(images()).sum() * model(2 * images()).sin().sum()).backward()
        grads.append(gradients(model))
    assert_gradients_close(grads[0], grads[1])


def test_taps_stop_and_start_at_called_children() -> None:
    model = netdsl.loads(NET_TEXT, outputs=["body", "fc"]).double()
    twin = Twin().double()
    twin.load_state_dict(model.state_dict())
    for net in (model, twin):
        net.body.register_forward_hook(lambda m, xs, y: 2 * y)
    seen: list[Tensor] = []
    twin.body.register_forward_hook(lambda m, xs, y: seen.append(y))
    expected = twin(images())
    body, fc = model(images())
    assert_close(body, seen[0], NET)
    assert_close(fc, expected, NET)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_under_autocast_a_cut_net_computes_as_the_whole(training: bool) -> None:
    model = netdsl.loads(NET_TEXT, seed=0).train(training)
    x = images().float()
    with torch.autocast("cpu", torch.bfloat16):
        whole = model(x)
        model.body.register_forward_hook(lambda m, xs, y: None)
        cut = model(x)
    assert cut.dtype == torch.bfloat16
    assert_exact(cut, whole)


def test_a_cut_net_has_second_derivatives() -> None:
    found = []
    for net in pair():
        net.body = Scaled(net.body).double()
        net.hidden.register_forward_hook(lambda m, xs, y: (3 * y).sin())
        x = images().requires_grad_()
        (first,) = torch.autograd.grad(net(x).exp().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), x)[0])
    assert bool(found[1].any())
    assert_close(found[0], found[1], NET_GRADIENT)


def test_a_frozen_cut_net_sees_writes_as_a_frozen_net_does() -> None:
    model, twin = pair()
    for net in (model, twin):
        torch.manual_seed(1)
        net.body = Scaled(net.body)
        parametrizations.weight_norm(net.fc)
        net.double().eval()
    model.freeze()
    for write in ("fc.parametrizations.weight.original1", "stem.1.weight", "body.scale"):
        assert_close(without_gradients(model), without_gradients(twin), NET, write)
        with torch.no_grad():
            for net in (model, twin):
                net.get_parameter(write).mul_(2)
    assert_close(without_gradients(model), without_gradients(twin), NET)
    model.unfreeze()
    compare_steps(model, twin)


def test_a_wrapped_block_is_computed_again_in_backward() -> None:
    model, twin = pair()
    for net in (model, twin):
        net.body = Checkpointed(net.body.eval())  # a second forward moves no statistics
        net.drop = Checkpointed(net.drop)
    compare_steps(model, twin)


def test_new_sizes_behind_a_recurrence_are_planned_anew() -> None:
    model = netdsl.loads(RECURRENT).double()
    lengths = {t: torch.randn(2, t, 4, dtype=torch.float64) for t in (3, 5, 4)}
    expected = {t: model(x) for t, x in lengths.items()}
    model.first.register_forward_hook(lambda m, xs, y: None)
    for t, x in lengths.items():
        assert_close(model(x), expected[t], NET)
    model.first = nn.Sequential(model.first, nn.Tanh())
    assert model(lengths[3]).shape == expected[3].shape


def test_start_values_that_follow_from_no_tensor_are_made_behind_a_called_child() -> None:
    text = """netdsl 1
    net Steps(x: [N, T, 4]) {
      z = x -> linear(4) as first
      recur t in 1..T {
        h[0]: [N, 4] = 0
        h[t] = concat(z[t], h[t-1]) -> linear(4) as inner -> tanh
      }
      return h[T]
    }
    """
    model = netdsl.loads(text).double()
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    expected = model(x)
    model.first.register_forward_hook(lambda m, xs, y: None)
    assert_close(model(x), expected, NET)


def test_a_net_with_externs_calls_its_children_too() -> None:
    text = """netdsl 1
    extern scaled(x: [N, D]) -> [N, D]
    net Outside(x: [N, 4]) { return x -> linear(4) as first -> scaled as outside -> linear(3) }
    """
    model = netdsl.loads(text, ops={"scaled": nn.Linear(4, 4)}).double()
    x = torch.randn(2, 4, dtype=torch.float64)
    expected = model(x)
    seen: list[str] = []
    for name in ("first", "outside"):
        model.get_submodule(name).register_forward_hook(lambda m, xs, y, n=name: seen.append(n))
    assert_close(model(x), expected, NET)
    assert seen == ["first", "outside"]


def test_threads_share_a_net_that_is_cut() -> None:
    model, _ = pair()
    model.body = Scaled(model.body).double()
    model.eval()
    xs = [torch.randn(1 + i % 3, 3, 6 + i, 8, dtype=torch.float64) for i in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(model, xs))
    for x, y in zip(xs, found, strict=True):
        assert_close(y, model(x), NET)


def test_a_new_head_comes_through_a_state_dict_under_its_name() -> None:
    model, other = pair()[0], pair()[0]
    for net in (model, other):
        net.fc = nn.Linear(7, 37).double()
    assert [k for k in model.state_dict() if k.startswith("fc")] == ["fc.weight", "fc.bias"]
    other.load_state_dict(model.state_dict())
    assert_exact(other.eval()(images()), model.eval()(images()))


WIDER = """\
error[N205]: the parameter `fc.weight` is [5, 7], but [5, 8] would be needed for [2, 8]
 --> <text>:6:15
  |
6 |            -> linear(classes) as fc
  |               ^^^^^^^^^^^^^^^
  = help: a module in the place of a child must give what the next layer takes"""

FLAT = """\
error[N202]: the module in the place of `body` gave float64[2, 4], but \
[N, 6, floor(H/2), floor(W/2)] is needed there
 --> <text>:4:36
  |
4 |            -> (conv(6, 3) -> bn -> relu) as body[]
  |                                    ^^^^
  = help: it must give one tensor of that rank; sizes may differ where the net allows it"""


def test_sizes_change_behind_a_replaced_child_only_as_far_as_the_net_allows() -> None:
    model, _ = pair()
    model.hidden = nn.Linear(6, 8).double()
    with pytest.raises(NetError) as raised:
        model(images())
    assert str(raised.value) == WIDER


def test_a_child_that_gives_something_else_is_refused_at_its_place() -> None:
    model, _ = pair()
    model.body = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(NetError) as raised:
        model(images())
    assert str(raised.value) == FLAT


def test_a_region_takes_what_the_child_takes() -> None:
    model, _ = pair()
    model.body = Scaled(model.body).double()
    model(images())
    with pytest.raises(TypeError) as raised:
        model.body.inner(images(), images())
    assert str(raised.value) == "`body` takes 1 tensors, but 2 were given"
    with pytest.raises(TypeError) as raised:
        model.body.inner(images()[0])
    assert str(raised.value) == (
        "`body` takes [N, 4, floor(H/2), floor(W/2)] as operand 0, but a tensor of rank 3 was given"
    )


SHARED = """netdsl 1
net Shared(x: [N, 4], y: [N, 4]) {
  layer f = linear(4)
  return f(x) - 2 * f(y)
}
"""

CHAINED = """netdsl 1
net Chained(x: [N, 4]) {
  layer f = linear(4)
  return f(f(x))
}
"""

AGAIN = """netdsl 1
block A(x: [N, 4]) { return x -> linear(4) -> tanh }
net Again(x: [N, 4]) {
  layer a = A()
  return x -> a -> sigmoid -> a
}
"""

TWO_RESULTS = """netdsl 1
block Both(x: [N, 4]) -> (a: [N, 4], b: [N, 4]) {
  a = x -> linear(4)
  b = x -> linear(4)
}
net Two(x: [N, 4]) {
  both = Both(x) as both
  return both.a * both.b
}
"""

TIED = """netdsl 1
block Weighted(x: [N, 4]) -> (y: [N, 4], w: [4, 4]) {
  param w: [4, 4] = orthogonal
  y = x @ w
}
net Tied(x: [N, 4]) {
  a = Weighted(x) as a
  return a.y @ a.w
}
"""

GAP = """netdsl 1
block Gap(a: [N, D], b: [N, D]) { return (b -> linear(4)) - 2 * a }
net Two(x: [N, 4]) { return Gap(x -> tanh, x -> sigmoid) as gap }
"""


@pytest.mark.parametrize("text", [SHARED, AGAIN], ids=["beside", "behind"])
def test_a_layer_that_is_used_twice_is_called_twice(text: str) -> None:
    model = netdsl.loads(text).double()
    xs = torch.randn(len(model.graph.inputs), 3, 4, dtype=torch.float64)
    expected = model(*xs)
    ((name, child),) = model.named_children()
    seen: list[Tensor] = []
    child.register_forward_hook(lambda m, xs, y: seen.extend((*xs, y)))
    assert_close(model(*xs), expected, NET)
    assert len(seen) == 4
    second = xs[1] if text is SHARED else seen[1].sigmoid()
    assert_close(seen[0], xs[0], NET)
    assert_close(seen[2], second, NET)
    setattr(model, name, nn.Tanh())
    changed = xs[0].tanh() - 2 * xs[-1].tanh() if text is SHARED else xs[0].tanh().sigmoid().tanh()
    assert_close(model(*xs), changed, NET)


UNCUT = {
    "in steps": (
        RECURRENT,
        "inner",
        "it is used in the steps of a recurrence",
    ),
    "in a row": (CHAINED, "f", "it is used on its own result, more than once in a row"),
    "two results": (TWO_RESULTS, "both", "2 of its values are used outside of it"),
}


@pytest.mark.parametrize("name", UNCUT)
def test_what_cannot_be_called_on_its_own_is_refused(name: str) -> None:
    text, path, why = UNCUT[name]
    model = netdsl.loads(text)
    x = torch.randn(3, 4, 4) if name == "in steps" else torch.randn(3, 4)
    model(x)
    handle = model.get_submodule(path).register_forward_hook(lambda *_: None)
    with pytest.raises(RuntimeError) as raised:
        model(x)
    assert str(raised.value) == (
        f"`{path}` was replaced or has a hook, but it cannot be called on its own: {why}; change "
        "the .net file, or ask for the stage by `outputs=`"
    )
    handle.remove()
    model(x)


def test_a_replaced_child_whose_parameters_are_used_elsewhere_is_refused() -> None:
    model = netdsl.loads(TIED)
    model(torch.randn(2, 4))
    model.a = nn.Linear(4, 4)
    with pytest.raises(RuntimeError) as raised:
        model(torch.randn(2, 4))
    assert str(raised.value) == (
        "`a` was replaced or has a hook, but it cannot be called on its own: `a.w` is used "
        "elsewhere in the net too; change the .net file, or ask for the stage by `outputs=`"
    )


def test_a_block_of_two_tensors_has_hooks_but_is_not_replaced() -> None:
    model = netdsl.loads(GAP).double()
    x = torch.randn(3, 4, dtype=torch.float64)
    expected = model(x)
    seen: list[Tensor] = []
    model.gap.register_forward_hook(lambda m, xs, y: seen.extend(xs))
    assert_close(model(x), expected, NET)
    assert_close(seen[0], x.sigmoid(), NET)  # in the order of their use
    assert_close(seen[1], x.tanh(), NET)
    model.gap = nn.Bilinear(4, 4, 4).double()
    with pytest.raises(RuntimeError) as raised:
        model(x)
    assert str(raised.value) == (
        "`gap` was replaced or has a hook, but it cannot be called on its own: a block of 2 "
        "tensors has hooks only; change the .net file, or ask for the stage by `outputs=`"
    )


def pair(backend: str = "auto") -> tuple[NetModule, Any]:
    """Ours and torch.nn's, with the same numbers, in float64."""
    model = netdsl.loads(NET_TEXT, seed=0, backend=backend).double()
    twin = Twin().double()
    twin.load_state_dict(model.state_dict())
    return model, twin


def change(name: str, model: NetModule, twin: nn.Module) -> None:
    """The same change to both, with the same new numbers."""
    for net in (model, twin):
        torch.manual_seed(1)
        CHANGES[name](net)
        net.double()


def compare_steps(model: nn.Module, twin: nn.Module) -> dict[str, Tensor]:
    """A training step of both; the gradients, that of the input as `x`."""
    results, grads = [], []
    for net in (model, twin):
        net.zero_grad()
        x = images().requires_grad_()
        y = net(x)
        y.sin().sum().backward()
        results.append(y)
        grads.append({"x": x.grad, **gradients(net)})
    assert_close(results[0], results[1], NET)
    assert grads[0].keys() == grads[1].keys()
    assert_gradients_close(grads[0], grads[1])
    buffers = dict(twin.named_buffers())
    for name, buffer in model.named_buffers():
        assert_close(buffer, buffers[name], NET, name)
    return grads[0]


def gradients(net: nn.Module) -> dict[str, Tensor]:
    return {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}


def without_gradients(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(images())


def images() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 10, 8, generator=generator, dtype=torch.float64)


def test_a_module_in_the_place_of_a_stage_that_has_none_is_refused() -> None:
    text = "net A(x: [N, 4]) { return x -> (linear(4) -> relu) as head -> (tanh -> relu) as tail }"
    model = netdsl.loads(text)
    for owner, name in ((model.head, "relu1"), (model, "tail")):
        with pytest.raises(RuntimeError, match=f"`{name}` is a stage without parameters"):
            setattr(owner, name, nn.GELU())
    model.something_else = nn.GELU()  # as torch has it: a module that forward does not call
    model.head.linear1 = nn.Linear(4, 4)
    assert model(torch.zeros(2, 4)).shape == (2, 4)
