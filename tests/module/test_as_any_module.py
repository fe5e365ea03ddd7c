"""What any nn.Module can do: copies, files, dtypes, hooks; where a net cannot, it says so."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from tolerances import NET, assert_close, assert_exact
from torch import Tensor, nn

import netdsl
from netdsl.module import NetModule

NET_TEXT = """netdsl 1
net Small(x: [N, 3, H, W]) {
  return x -> (conv(8, 3) -> bn -> relu) as stem[]
           -> global_avg_pool -> dropout(0.5) -> linear(5) as fc
}
"""

WORDS = """netdsl 1
net Words(x: [N, 4]) {
  return x -> linear(4) as forward -> linear(4) as training -> linear(4) as class
           -> linear(4) as "weight" -> linear(4) as "__class__" -> linear(2) as _places
           -> linear(2) as _modules -> linear(2) as graph
}
"""

WORDS_USED = ("forward", "training", "class", "weight", "__class__", "_places", "_modules", "graph")


def deepcopied(model: NetModule) -> NetModule:
    return copy.deepcopy(model)


def pickled(model: NetModule) -> NetModule:
    return pickle.loads(pickle.dumps(model))


def saved_whole(model: NetModule) -> NetModule:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("duplicate", [deepcopied, pickled, saved_whole])
def test_a_copy_computes_the_same_and_shares_nothing(
    duplicate: Callable[[NetModule], NetModule],
) -> None:
    model = small().eval()
    before = call(model)
    copied = duplicate(model)
    assert_exact(call(copied), before)
    assert not copied.training
    copied.train()
    copied(images()).sum().backward()
    with torch.no_grad():
        for t in copied.parameters():
            t.add_(1)
    assert_exact(call(model), before)
    assert all(p.grad is None for p in model.parameters())
    assert int(model.stem.get_submodule("1").num_batches_tracked) == 0
    assert not torch.equal(call(copied.eval()), before)


def test_a_copy_calls_hooks_of_its_own_children_only() -> None:
    model = small()
    copied = copy.deepcopy(model)
    seen: list[str] = []
    copied.fc.register_forward_hook(lambda *_: seen.append("fc"))
    call(model)
    assert seen == []
    call(copied)
    assert seen == ["fc"]
    again = copy.deepcopy(copied)
    call(again)
    assert seen == ["fc", "fc"]


def test_a_state_dict_goes_through_torchs_files() -> None:
    model, other = small(), small(seed=1)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert_exact(call(other.eval()), call(model.eval()))


def test_a_missing_and_an_unexpected_key_are_named_as_ever() -> None:
    model = small()
    numbers = model.state_dict()
    numbers["fc.wait"] = numbers.pop("fc.weight")
    with pytest.raises(RuntimeError) as raised:
        model.load_state_dict(numbers)
    assert str(raised.value) == (
        "Error(s) in loading state_dict for NetModule:\n"
        '\tMissing key(s) in state_dict: "fc.weight". \n'
        '\tUnexpected key(s) in state_dict: "fc.wait". '
    )


def test_names_that_python_and_torch_use_are_names_of_layers_too() -> None:
    model = netdsl.loads(WORDS, seed=0)
    assert [name for name, _ in model.named_parameters()] == [
        f"{path}.{kind}" for path in WORDS_USED for kind in ("weight", "bias")
    ]
    other = netdsl.loads(WORDS, seed=1, backend="reference")
    other.load_state_dict(model.state_dict())
    x = torch.randn(3, 4)
    assert_close(model(x), other.double()(x.double()), NET)
    model(x).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    assert not model.eval().training
    assert_exact(copy.deepcopy(model)(x), model(x))


def test_moving_to_another_dtype_and_layout_keeps_the_numbers() -> None:
    model = small().eval()
    before = call(model)
    assert_exact(call(model.double().float()), before)
    flat = call(model.to(memory_format=torch.contiguous_format))
    assert_close(flat, before.double(), NET)
    assert nn.utils.parameters_to_vector(model.parameters()).shape == (8 * 3 * 9 + 24 + 45,)
    assert_close(call(model.to(memory_format=torch.channels_last)), before.double(), NET)


def test_a_net_without_memory_gets_it_from_a_state_dict() -> None:
    with torch.device("meta"):
        empty = netdsl.loads(NET_TEXT)
    assert all(t.is_meta for t in empty.state_dict().values())
    model = small()
    empty.load_state_dict(model.state_dict(), assign=True)
    assert_exact(call(empty.eval()), call(model.eval()))


def test_shared_memory_and_half_precision_copies_work() -> None:
    model = small().eval()
    before = call(model)
    assert_exact(call(model.share_memory()), before)
    assert copy.deepcopy(model).half()(images().half()).dtype == torch.float16
    assert copy.deepcopy(model).bfloat16()(images().bfloat16()).dtype == torch.bfloat16


def test_hooks_of_the_net_itself_are_called() -> None:
    model = small().eval()
    seen: list[str] = []
    model.register_forward_pre_hook(lambda *_: seen.append("before"))
    model.register_forward_hook(lambda *_: seen.append("after"))
    model.register_full_backward_hook(lambda *_: seen.append("backward"))
    model(images().requires_grad_()).sum().backward()
    assert seen == ["before", "after", "backward"]


def test_hooks_of_a_parameter_are_called() -> None:
    model = small()
    seen: list[torch.Size] = []
    model.fc.weight.register_hook(lambda g: seen.append(g.shape))
    model.fc.weight.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.shape))
    model(images()).sum().backward()
    assert seen == [torch.Size([5, 8])] * 2


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_a_child_that_was_removed_is_missed(backend: str) -> None:
    model = netdsl.loads(NET_TEXT, backend=backend)
    call(model)
    del model.fc
    with pytest.raises(RuntimeError) as raised:
        call(model)
    assert str(raised.value) == (
        "`fc` was removed, but the net calls it: put a module in its place"
    )


def test_a_parameter_that_was_removed_is_missed() -> None:
    model = small()
    del model.fc.weight
    with pytest.raises(RuntimeError) as raised:
        call(model)
    assert str(raised.value) == (
        "`fc.weight` was removed, but a compiled net reads its parameters where the .net file "
        "puts them"
    )


def test_a_part_is_not_called_on_its_own() -> None:
    with pytest.raises(RuntimeError) as raised:
        small().stem(torch.zeros(1, 3, 6, 5))
    assert str(raised.value) == (
        "a part of a net is not called on its own; ask for its path by `outputs=`"
    )


def test_the_tree_prints_with_its_signature() -> None:
    assert str(small()) == (
        "NetModule(\n"
        "  x: [N, 3, H, W]\n"
        "  (stem): Namespace(\n"
        "    (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))\n"
        f"    (1): {nn.BatchNorm2d(8)}\n"
        "  )\n"
        "  (fc): Linear(in_features=8, out_features=5, bias=True)\n"
        "  (dropout1): Dropout(p=0.5, inplace=False)\n"
        ")"
    )


def small(seed: int = 0) -> NetModule:
    return netdsl.loads(NET_TEXT, seed=seed)


def call(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model(images())


def images() -> Tensor:
    return torch.randn(2, 3, 6, 5, generator=torch.Generator().manual_seed(0))
