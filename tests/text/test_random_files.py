"""Random files: valid whatever their layout, formatted once, printed and read again, pinned."""

from __future__ import annotations

from examples import examples
from hypothesis import given
from net_files import laid_out_badly

from netdsl.errors import Diagnostics, Source
from netdsl.fmt import format
from netdsl.fmt.gaps import comments, gaps_of
from netdsl.front import check_sources, parse_text
from netdsl.parser import from_text, tokenize
from netdsl.pin import pin
from netdsl.sources import Sources, collect
from netdsl.text import to_text

NETS = ("Net", "Other")


def sources(text: str) -> Sources:
    return collect(from_text(text, "t.net"), "t.net", None)


def comments_of(text: str) -> list[str]:
    return comments(gaps_of(tokenize(Source("t.net", text), Diagnostics())))


@examples(25)
@given(laid_out_badly())
def test_they_have_no_errors(text: str) -> None:
    assert [d.render() for d in check_sources(sources(text)) if d.is_error] == []


@examples(25)
@given(laid_out_badly())
def test_the_style_is_reached_at_once_and_keeps_graphs_and_comments(text: str) -> None:
    formatted = format(text)
    assert format(formatted) == formatted
    assert comments_of(formatted) == comments_of(text)
    for net in NETS:
        assert parse_text(formatted, net=net) == parse_text(text, net=net)


@examples(25)
@given(laid_out_badly())
def test_their_graphs_return_from_text(text: str) -> None:
    for net in NETS:
        graph = parse_text(text, net=net)
        assert parse_text(to_text(graph)) == graph


@examples(15)
@given(laid_out_badly())
def test_pinned_files_have_the_same_graphs_and_nothing_to_pin(text: str) -> None:
    pinned = pin(sources(text)).text
    assert pin(sources(pinned)).labels == 0
    assert comments_of(pinned) == comments_of(text)
    for net in NETS:
        assert parse_text(pinned, net=net) == parse_text(text, net=net)
