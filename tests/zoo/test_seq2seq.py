"""RNNsearch (Bahdanau et al. 2014) against its equations written by hand in torch.nn."""

from __future__ import annotations

import torch
from parity import assert_learns, assert_parity, pair, symbols
from torch import Tensor, nn
from torch.nn import functional as F

import netdsl

SMALL = {"sources": 11, "targets": 13, "m": 5, "n": 6, "align": 7, "maxout": 4}
TARGET = "seq2seq:RNNsearch"


def test_the_decoder_attends_over_the_whole_encoder() -> None:
    model, twin = pair(lambda: RNNsearch(**SMALL), TARGET, SMALL)
    assert_parity(model, twin, symbols(11, 3, 9), symbols(13, 3, 8))


def test_a_source_of_one_word_is_translated_too() -> None:
    model, twin = pair(lambda: RNNsearch(**SMALL), TARGET, SMALL)
    assert_parity(model, twin, symbols(11, 2, 1), symbols(13, 2, 2))


def test_a_word_depends_on_the_whole_source_and_on_the_words_before() -> None:
    model = netdsl.load(TARGET, hyper=SMALL, seed=0).double()
    source, before = symbols(11, 1, 9), symbols(13, 1, 8)
    y = model(source, before)
    other = source.clone()
    other[0, 8] = (source[0, 8] + 1) % 11
    assert (model(other, before) != y).any(dim=2).all()
    later = before.clone()
    later[0, 5] = (before[0, 5] + 1) % 13
    same = (model(source, later) == y).all(dim=2)[0]
    assert same[:5].all() and not same[5:].any()


def test_rnnsearch_learns_a_translation() -> None:
    model = netdsl.load(TARGET, hyper=SMALL, seed=0)
    source, words = symbols(11, 3, 9), symbols(13, 3, 8)
    before = F.pad(words[:, :-1], (1, 0))  # 0 starts a sentence
    assert_learns(model, lambda: F.cross_entropy(model(source, before).transpose(1, 2), words), 0.5)


class GRU(nn.Module):
    """A.1.1, the matrices of input and state side by side."""

    def __init__(self, reads: int, n: int) -> None:
        super().__init__()
        self.update = nn.Linear(reads + n, n)
        self.reset = nn.Linear(reads + n, n)
        self.candidate = nn.Linear(reads + n, n)

    def forward(self, e: Tensor, s: Tensor) -> Tensor:
        z = torch.sigmoid(self.update(torch.cat([e, s], 1)))
        r = torch.sigmoid(self.reset(torch.cat([e, s], 1)))
        new = torch.tanh(self.candidate(torch.cat([e, r * s], 1)))
        return (1 - z) * s + z * new


class Encoder(nn.Module):
    def __init__(self, m: int, n: int) -> None:
        super().__init__()
        self.forward_, self.backward_, self.n = GRU(m, n), GRU(m, n), n

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        steps = range(x.shape[1])
        s = x.new_zeros(len(x), self.n)
        f = [s := self.forward_(x[:, t], s) for t in steps]
        s = torch.zeros_like(s)
        b = [s := self.backward_(x[:, t], s) for t in reversed(steps)]
        return torch.cat([torch.stack(f, 1), torch.stack(b[::-1], 1)], 2), s


class Decoder(nn.Module):
    def __init__(self, m: int, n: int, align: int, maxout: int) -> None:
        super().__init__()
        self.start = nn.Linear(n, n)
        self.U_a = nn.Linear(2 * n, align)
        self.W_a = nn.Linear(n, align, bias=False)
        self.v_a = nn.Linear(align, 1, bias=False)
        self.gru = GRU(m + 2 * n, n)
        self.deep = nn.Linear(n + m + 2 * n, 2 * maxout)

    def forward(self, y: Tensor, h: Tensor, first: Tensor) -> Tensor:
        s, seen, found = torch.tanh(self.start(first)), self.U_a(h), []
        for y_i in y.unbind(1):
            a = self.v_a(torch.tanh(self.W_a(s)[:, None] + seen)).softmax(1)
            c = (a * h).sum(1)
            t = self.deep(torch.cat([s, y_i, c], 1))
            s = self.gru(torch.cat([y_i, c], 1), s)
            found.append(t.unflatten(1, (-1, 2)).amax(2))
        return torch.stack(found, 1)


class RNNsearch(nn.Module):
    def __init__(self, sources: int, targets: int, m: int, n: int, align: int, maxout: int) -> None:
        super().__init__()
        self.source_words = nn.Embedding(sources, m)
        self.encoder = Encoder(m, n)
        self.target_words = nn.Embedding(targets, m)
        self.decoder = Decoder(m, n, align, maxout)
        self.W_o = nn.Linear(maxout, targets)

    def forward(self, source: Tensor, before: Tensor) -> Tensor:
        h, first = self.encoder(self.source_words(source))
        return self.W_o(self.decoder(self.target_words(before), h, first))
