"""Parameter totals of the shipped nets as their papers and torchvision have them, without torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from netdsl import front

TOTALS = [
    ("resnet", {"depth": 50}, 25_557_032),
    ("resnet", {"depth": 101}, 44_549_160),
    ("resnet", {"depth": 152}, 60_192_808),
    ("vgg", {"depth": 16}, 138_357_544),
    ("vgg", {"depth": 19}, 143_667_240),
    ("alexnet", {}, 61_100_840),
    ("lenet", {}, 61_706),
    ("resnet_cifar", {"depth": 20}, 269_722),
    ("resnet_cifar", {"depth": 56}, 853_018),
    ("resnet_cifar", {"depth": 110}, 1_727_962),
    ("dannet:DanNet", {}, 76_040),
]


@pytest.mark.parametrize(("target", "hyper", "total"), TOTALS)
def test_the_net_has_as_many_parameters_as_the_paper(
    target: str, hyper: dict[str, object], total: int
) -> None:
    assert parameters(target, hyper) == total


def test_counting_the_parameters_of_resnet_needs_no_torch() -> None:
    program = (
        "import json, sys\n"
        "import netdsl\n"
        "graph = netdsl.parse('resnet', {'depth': 50})\n"
        "total = sum(p.type.numel for p in graph.parameters if not p.buffer)\n"
        "print(json.dumps([total, 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert json.loads(done.stdout) == [25_557_032, False]


def parameters(target: str, hyper: dict[str, object]) -> int:
    found = front.parse(target, hyper).parameters
    return sum(int(p.type.numel) for p in found if not p.buffer)
