"""The shipped models as graphs: their sizes, their types, what may be set from outside."""

from __future__ import annotations

import subprocess
import sys

import pytest
from nets import ops, paths

from netdsl.errors import NetError
from netdsl.front import check, models, nets, parse

NETS = [f"{name}:{net.name}" for name in models() for net in nets(name)]


@pytest.mark.parametrize("target", NETS)
def test_every_net_of_a_shipped_file_is_without_a_finding(target: str) -> None:
    assert check(target) == ()


def test_the_nets_of_the_lecture_and_of_six_papers_more_are_shipped() -> None:
    assert {target.partition(".net:")[2] for target in NETS} >= {
        *("LeNet5", "LeNet1998", "DanNet", "MCDNN", "AlexNet", "AlexNet2012", "VGG", "GoogLeNet"),
        *("ResNet", "ResNet101", "ResNet200", "ResNetCIFAR", "Plain20", "UNet", "Mobile"),
        *("Siamese", "VanillaRNN", "ElmanRNN", "Classifier", "CharLSTM"),
        *(
            "LayerNormMLP",
            "Crepe",
            "PNet",
            "RNet",
            "ONet",
            "SEResNet",
            "DenseNet",
            "WaveNet",
            "RNNsearch",
        ),
    }


def test_resnet_keeps_the_sizes_of_its_image() -> None:
    types = {node.path: str(node.types[0]) for _, node in parse("resnet").items if node.path}
    assert types["conv1"] == "[N, 64, floor((H + 1)/2), floor((W + 1)/2)]"
    assert types["layer2.0.conv2"] == "[N, 128, floor((H + 7)/8), floor((W + 7)/8)]"
    assert types["fc"] == "[N, 1000]"


def test_preactivation_ends_in_a_norm() -> None:
    graph = parse("resnet", {"depth": 200, "pre": True})
    assert paths(graph)[-3:] == ["relu2", "global_avg_pool1", "fc"]
    assert ops(graph)[-4:] == ["bn", "relu", "global_avg_pool", "linear"]


def test_nets_are_listed_with_their_hyper_parameters() -> None:
    found = {net.name: net for net in nets("resnet")}
    assert list(found) == ["ResNet", "ResNet101", "ResNet200"]
    assert found["ResNet"].signature == (
        "ResNet(x; depth = 50, pre = false, original = false, classes = 1000)"
    )
    assert found["ResNet200"].hypers == {
        "depth": "200",
        "pre": "true",
        "original": "false",
        "classes": "1000",
    }


def test_a_file_with_several_nets_asks_which() -> None:
    with pytest.raises(NetError) as raised:
        parse("dannet")
    assert str(raised.value) == (
        """\
error[N133]: dannet.net has 2 nets: pick one
 --> dannet.net:1:1
  |
1 | netdsl 1
  | ^
  = help: `dannet.net:DanNet`
  = help: `dannet.net:MCDNN`"""
    )
    assert parse("dannet.net:MCDNN").name == "MCDNN"


def test_an_unknown_model_is_told_with_the_known_ones() -> None:
    with pytest.raises(NetError) as raised:
        parse("resnett")
    first, *_, last = str(raised.value).splitlines()
    assert first == "error[N150]: there is no file and no shipped model `resnett`"
    assert last == "  = help: did you mean `resnet`?"


def test_hyper_parameters_from_outside_are_checked() -> None:
    with pytest.raises(NetError, match=r"N103.*`ResNet` has no hyper-parameter `dept`"):
        parse("resnet", {"dept": 101})
    with pytest.raises(NetError, match=r"N106.*`pre` is true or false, not 1"):
        parse("resnet", {"pre": 1})
    with pytest.raises(NetError, match=r"N106.*`depth` is a number, not \"deep\""):
        parse("resnet", {"depth": "deep"})
    with pytest.raises(NetError, match=r"N141.*the table has no entry 51"):
        parse("resnet", {"depth": 51})
    with pytest.raises(NetError, match=r"N140.*moves the stride of the bottleneck nets"):
        parse("resnet", {"depth": 18, "original": True})
    with pytest.raises(NetError, match=r"N140.*a CIFAR ResNet has depth 6n\+2"):
        parse("resnet_cifar", {"depth": 21})


def test_a_size_of_the_signature_can_be_given_too() -> None:
    graph = parse("resnet", {"H": 224, "W": 224})
    types = {node.path: str(node.types[0]) for _, node in graph.items if node.path}
    assert types["layer4.2.conv3"] == "[N, 2048, 7, 7]"


def test_the_front_end_imports_no_torch_and_no_numpy() -> None:
    code = (
        "import sys; from netdsl import front; front.parse('resnet'); front.check('vgg');"
        "print([m for m in ('torch', 'numpy', 'sympy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
