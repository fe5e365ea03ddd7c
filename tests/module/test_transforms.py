"""torch.func and forward-mode differentiation: what they do to a net is what they do to the same
net of torch.nn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from pairs import pair
from tolerances import NET, NET_GRADIENT, assert_close, assert_exact, assert_gradients_close
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacrev, jvp, vmap

import netdsl

# torch warns itself when forward mode is first asked for
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")

Weights = Mapping[str, Tensor]

# made here: inside vmap nothing may be drawn
IMAGES, OTHERS = torch.randn(
    2, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64
)


class Small(nn.Module):
    """The net of `pairs`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.linear1 = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 2)
        return self.linear1(self.bn2(self.conv2(x)).relu().mean((2, 3)))


def gradient(model: nn.Module, weights: Weights) -> Weights:
    return grad(lambda given: functional_call(model, given, (IMAGES,)).square().sum())(weights)


def gradients_of_each_example(model: nn.Module, weights: Weights) -> Weights:
    def loss(given: Weights, x: Tensor) -> Tensor:
        return functional_call(model, given, (x[None],)).square().sum()

    return vmap(grad(loss), (None, 0))(weights, IMAGES)


def examples_one_by_one(model: nn.Module, weights: Weights) -> Weights:
    return {"y": vmap(lambda x: model(x[None])[0])(IMAGES)}


def an_ensemble(model: nn.Module, weights: Weights) -> Weights:
    stacked = {name: torch.stack([p, 2 * p, -p]) for name, p in weights.items()}
    return {"y": vmap(lambda given: functional_call(model, given, (IMAGES,)))(stacked)}


def along_the_image(model: nn.Module, weights: Weights) -> Weights:
    y, dy = jvp(model, (IMAGES,), (OTHERS,))
    return {"y": y, "dy": dy}


def along_the_weights(model: nn.Module, weights: Weights) -> Weights:
    along = {name: torch.linspace(-1, 1, p.numel()).view(p.shape) for name, p in weights.items()}
    along = {name: t.to(IMAGES.dtype) for name, t in along.items()}
    y, dy = jvp(lambda given: functional_call(model, given, (IMAGES,)), (weights,), (along,))
    return {"y": y, "dy": dy}


def dual_numbers(model: nn.Module, weights: Weights) -> Weights:
    with torch.no_grad(), forward_ad.dual_level():
        y = model(forward_ad.make_dual(IMAGES, OTHERS))
        return dict(zip(("y", "dy"), forward_ad.unpack_dual(y), strict=True))


def a_jacobian(model: nn.Module, weights: Weights) -> Weights:
    return {"J": jacrev(model)(IMAGES)}


def a_hessian(model: nn.Module, weights: Weights) -> Weights:
    def loss(bias: Tensor) -> Tensor:
        return functional_call(model, {"linear1.bias": bias}, (IMAGES,)).sin().sum()

    return {"H": hessian(loss)(weights["linear1.bias"])}


TRANSFORMS = (
    gradient,
    gradients_of_each_example,
    examples_one_by_one,
    an_ensemble,
    along_the_image,
    along_the_weights,
    dual_numbers,
    a_jacobian,
    a_hessian,
)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_transform_gives_what_it_gives_of_torch_nn(
    transform: Callable[[nn.Module, Weights], Weights],
) -> None:
    model, _ = pair()
    twin = Small().double()
    twin.load_state_dict(model.state_dict())
    weights = {name: p.detach() for name, p in model.named_parameters()}
    with torch.no_grad():
        plain = model.eval()(IMAGES)  # folded weights are there, and must not be taken
    assert_gradients_close(transform(model, weights), transform(twin.eval(), weights), NET_GRADIENT)
    with torch.no_grad():
        assert_exact(model(IMAGES), plain)


def test_running_statistics_are_written_by_a_call_inside_a_transform() -> None:
    model, twin = pair()
    weights = {name: p.detach() for name, p in model.named_parameters()}
    gradient(model, weights)
    twin(IMAGES)
    for (name, buffer), expected in zip(model.named_buffers(), twin.buffers(), strict=True):
        assert not torch._C._functorch.is_functorch_wrapped_tensor(buffer)
        assert_close(buffer, expected, NET, name)


def test_one_mask_for_all_examples_and_no_other_under_vmap() -> None:
    text = "netdsl 1\nnet F(x: [N, 40]) { return x -> dropout(0.5) }"
    model = netdsl.loads(text)
    ones = torch.ones(3, 1, 40)

    def masks(**options: Any) -> Tensor:
        return vmap(model, **options)(ones)

    same = masks(randomness="same")
    assert bool((same == same[:1]).all())
    assert {0.0, 2.0} == set(same.unique().tolist())
    with pytest.raises(RuntimeError, match="called random operation"):
        masks()
    with pytest.raises(RuntimeError) as raised:
        masks(randomness="different")
    assert str(raised.value) == (
        'a net that draws numbers runs under vmap with randomness="same" only: for masks of their '
        "own give the examples as one batch"
    )
