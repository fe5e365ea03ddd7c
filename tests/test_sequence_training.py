"""Training on sequences: of several lengths, which the net takes too, and with a class a step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netdsl
from netdsl import datasets, front
from netdsl.datasets import Dataset
from netdsl.training import LOSSES, METRICS, Options, TrainingError, check_fit, evaluate, train


def two_lengths() -> Dataset:
    """Of 40 sequences the class is whether they are long; all are 1, and behind their end 0."""
    y = np.arange(40) % 2
    n = 3 + 2 * y
    x = (np.arange(5) < n[:, None]).astype(np.float32)[:, :, None]
    parts = [slice(0, 30), slice(30, 40)]
    (x0, x1), (y0, y1), (n0, n1) = ([a[part] for part in parts] for a in (x, y, n))
    return Dataset("two", x0, y0, x1, y1, 2, "two lengths", n0, n1)


class OfLength(nn.Module):
    """Logits of the length alone; the sequences have to be those of the lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 2)

    def forward(self, x: Tensor, n: Tensor) -> Tensor:
        assert torch.equal(x.sum((1, 2)).long(), n)
        return self.linear(n[:, None].float() - 4)


def test_the_lengths_of_a_batch_come_with_its_sequences() -> None:
    history = train(OfLength(), two_lengths(), epochs=8, batch=7, lr=0.1)
    assert history.metric == 1


def test_the_classes_of_steps_are_the_last_axis() -> None:
    y, target = torch.randn(4, 5, 3), torch.randint(3, (4, 5))
    wanted = F.cross_entropy(y.flatten(0, 1), target.flatten())
    torch.testing.assert_close(LOSSES["ce"](y, target), wanted)
    torch.testing.assert_close(LOSSES["nll"](y.log_softmax(2), target), wanted)
    right = (y.argmax(2) == target).float().mean()
    assert METRICS["accuracy"](y, target) == right
    assert METRICS["top5"](y, target) == 1
    pixels = y.transpose(1, 2)[..., None].expand(4, 3, 5, 2)  # of images the classes are axis 1
    assert METRICS["accuracy"](pixels, target[..., None].expand(4, 5, 2)) == right


def test_outputs_whose_classes_could_be_either_axis_are_refused() -> None:
    with pytest.raises(TrainingError, match="as many steps as classes, 4"):
        LOSSES["ce"](torch.zeros(2, 4, 4), torch.zeros(2, 4, dtype=torch.int64))


def test_a_class_a_step_is_trained_from_a_spec() -> None:
    model = netdsl.load("rnn:ElmanRNN", hyper={"symbols": 10, "hidden": 16}, seed=0)
    data = datasets.load("copy:3,train=200")
    data = replace(data, x_test=data.x_test[:100], y_test=data.y_test[:100])
    check_fit(model.graph, data, Options())
    before, _ = evaluate(model, data, LOSSES["ce"], METRICS["accuracy"])
    history = train(model, data, epochs=4, lr=0.02)
    assert history.rows[-1].test_loss < 0.7 * before


@pytest.mark.parametrize(
    ("text", "data", "message"),
    [
        (
            "x: [N, T, 1]) -> [N, 2] { return x -> mean(axis=1) -> linear(2) }",
            two_lengths(),
            "two has sequences and their lengths, but A takes x: "
            "add `n: int[N]` behind the sequences, and `recur t in 1..n`",
        ),
        (
            "x: [N, T, 1], h: [N, 1]) -> [N, 2] { return h + mean(x; axis=1) -> linear(2) }",
            replace(two_lengths(), lengths_train=None),
            "A takes 2 inputs (x, h), two has one; train it from Python (netdsl.load)",
        ),
        (
            "x: int[N, T]) -> [N, 2] { return x -> embedding(9, 2) -> mean(axis=1) }",
            replace(two_lengths(), lengths_train=None),
            "A takes x: int[N, T], but two has no symbols but numbers",
        ),
        (
            "x: int[N, T]) -> [N, T, 8] { return x -> embedding(10, 8) }",
            datasets.load("copy:3"),
            "copy has 9 classes, but A gives [N, T, 8]: "
            "add `-D classes=9`, or what its number of outputs is called",
        ),
    ],
)
def test_a_net_that_does_not_fit_is_told_why(text: str, data: Dataset, message: str) -> None:
    graph = front.parse_text(f"net A({text}")
    with pytest.raises(TrainingError) as caught:
        check_fit(graph, data, Options())
    assert str(caught.value) == message
