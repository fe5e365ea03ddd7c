"""Parameter totals of the shipped nets as their papers and torchvision have them, without torch."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from netdsl import front

# Bahdanau et al. 2014, A.2: m = 620, n = n' = 1000, l = 500, 30,000 words of each language
RNNSEARCH = (
    2 * 30_000 * 620
    + 2 * 3 * (620 + 1000 + 1) * 1000  # the encoder's two directions, three matrices each
    + (1000 + 1) * 1000 + (2000 + 1) * 1000 + 1000 * 1000 + 1000  # W_s, U_a, W_a, v_a
    + 3 * (620 + 2000 + 1000 + 1) * 1000  # the decoder's unit
    + (1000 + 620 + 2000 + 1) * 1000 + (500 + 1) * 30_000  # U_o V_o C_o, W_o
)  # fmt: skip

TOTALS = [
    ("resnet", {"depth": 50}, 25_557_032),
    ("resnet", {"depth": 101}, 44_549_160),
    ("resnet", {"depth": 152}, 60_192_808),
    ("resnet", {"depth": 18}, 11_689_512),
    ("resnet", {"depth": 34}, 21_797_672),
    ("resnet:ResNet200", {}, 64_666_152),
    ("vgg", {"depth": 16}, 138_357_544),
    ("vgg", {"depth": 19}, 143_667_240),
    ("alexnet", {}, 61_100_840),
    ("lenet", {}, 61_706),
    ("lenet1998", {}, 60_000 + 10 * 84),  # "only 60,000 trainable", and the codes fixed by hand
    ("layernorm:LayerNormMLP", {}, (784 + 2) * 1000 + (1000 + 2) * 1000 + (1000 + 1) * 10),
    ("resnet_cifar", {"depth": 20}, 269_722),
    ("resnet_cifar", {"depth": 56}, 853_018),
    ("resnet_cifar", {"depth": 110}, 1_727_962),
    ("dannet:DanNet", {}, 76_040),
    ("dannet:MCDNN", {}, 5 * 76_040),
    ("alexnet2012", {}, 60_965_224),  # "60 million", section 1
    ("googlenet", {}, 13_004_888),
    ("googlenet", {"aux": False}, 6_624_904),
    ("googlenet2014", {"aux": False}, 6_998_552),  # of Caffe's weights
    ("densenet", {}, 7_978_856),
    ("densenet:DenseNet161", {}, 28_681_000),
    ("densenet:DenseNet169", {}, 14_149_480),
    ("densenet:DenseNet201", {}, 20_013_928),
    (
        "se_resnet",
        {},
        25_557_032 + 2_514_944 + 16_048,
    ),  # ResNet-50, 2 C^2/r a block (eq. 5), biases
    ("se_resnet:SEResNet101", {}, 49_326_872),
    ("se_resnet:SEResNet152", {}, 66_821_848),
    ("unet", {}, 31_036_546),
    ("rnn:VanillaRNN", {}, (28 + 128 + 1) * 128 + (128 + 1) * 10),
    ("rnn:ElmanRNN", {}, (27 + 128 + 1) * 128 + (128 + 1) * 27),
    ("lstm:Classifier", {}, 4 * (28 + 256 + 1) * 256 + 2 * (256 + 64 + 1) * 64 + (128 + 1) * 10),
    ("seq2seq", {}, RNNSEARCH),
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
