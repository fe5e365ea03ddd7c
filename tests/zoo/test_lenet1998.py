"""LeNet-5 of 1998 against its equations in torch: one convolution under the mask of table I."""

from __future__ import annotations

import torch
from parity import assert_learns, assert_parity, images, pair
from torch import Tensor, nn
from torch.nn import functional as F

import netdsl

# LeCun et al. 1998, table I: a row for each map of S2, an X for each map of C3 that sees it.
TABLE_I = """
X...XXX..XXXX.XX
XX...XXX..XXXX.X
XXX...XXX..X.XXX
.XXX..XXXX..X.XX
..XXX..XXXX.XX.X
...XXX..XXXX.XXX
"""


def test_lenet_of_1998_is_the_net_of_the_paper() -> None:
    model, twin = pair(LeNet1998, "lenet1998")
    assert_parity(model, twin, images(3, 1, 32, 32))


def test_the_right_code_has_no_distance() -> None:
    model = netdsl.load("lenet1998", outputs=["F6", "output"], seed=0)
    code, x = model.get_parameter("output.code"), torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        code[7] = 1.7159 * torch.tanh(2 / 3 * model(x)[0][0])
        distances = model(x)[1]
    assert int(distances.argmin()) == 7
    assert float(distances[0, 7]) < 1e-9


def test_lenet_of_1998_learns_with_the_papers_loss() -> None:
    model = netdsl.load("lenet1998", seed=0)
    codes = model.get_parameter("output.code").requires_grad_(False)
    codes.copy_(codes.sign())
    x, target = images(6, 1, 32, 32).float(), torch.arange(6)

    def loss() -> Tensor:  # eq. 9, j = 0.1
        y = model(x)
        others = torch.logsumexp(torch.cat([torch.full((6, 1), -0.1), -y], dim=1), dim=1)
        return (y[torch.arange(6), target] + others).mean()

    assert_learns(model, loss, 1e-4)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 60_000


def squash(x: Tensor) -> Tensor:
    return 1.7159 * torch.tanh(x * 2 / 3)


class Subsample(nn.Module):
    """The sum of four neighbours, times a coefficient, plus a bias."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(maps, 1, 1))
        self.bias = nn.Parameter(torch.empty(maps, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        rows = x[:, :, ::2] + x[:, :, 1::2]
        return squash(self.weight * (rows[..., ::2] + rows[..., 1::2]) + self.bias)


class C3(nn.Module):
    """Sixteen maps; each part of the weight has the columns of the table that are crossed."""

    def __init__(self) -> None:
        super().__init__()
        rows = TABLE_I.split()
        self.seen = [[i for i in range(6) if rows[i][m] == "X"] for m in range(16)]
        self.maps = nn.ModuleList(nn.Conv2d(len(seen), 1, 5) for seen in self.seen)

    def forward(self, s: Tensor) -> Tensor:
        weight = s.new_zeros(16, 6, 5, 5)
        for m, (seen, part) in enumerate(zip(self.seen, self.maps, strict=True)):
            weight[m, seen] = part.weight[0]
        return F.conv2d(s, weight, torch.cat([part.bias for part in self.maps]))


class LeNet1998(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c1, self.s2 = nn.Conv2d(1, 6, 5), Subsample(6)
        self.c3, self.s4 = C3(), Subsample(16)
        self.c5, self.f6 = nn.Conv2d(16, 120, 5), nn.Linear(120, 84)
        self.output = nn.ParameterList([torch.empty(10, 84)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.s2(squash(self.c1(x)))
        x = self.s4(squash(self.c3(x)))
        x = squash(self.f6(squash(self.c5(x)).flatten(1)))
        return torch.stack([(x - w).square().sum(dim=1) for w in self.output[0]], dim=1)
