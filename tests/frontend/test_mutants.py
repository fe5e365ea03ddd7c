"""Single mistakes in the shipped models: where they are found, and whether a help repairs them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from mutator import KINDS, Mutant, found, mutants, repairs, wronged

from netdsl.errors import Diagnostic, NetError

EACH = 9  # mutants of a kind
PLACED = 0.95
REPAIRED = 0.60


@dataclass(frozen=True)
class Outcome:
    """What the checker says about a mutant: nothing (`valid`), at the right place, with a help
    whose edits leave nothing to find, or bring back the model word by word (`restored`)."""

    mutant: Mutant
    valid: bool
    placed: bool
    repaired: bool
    restored: bool


def judged(mutant: Mutant) -> Outcome:
    diagnostics = findings(mutant.text, mutant.model)
    errors = [d for d in diagnostics if d.is_error]
    if not errors:
        return Outcome(mutant, True, False, False, False)
    span = errors[0].span
    here = span is not None and span.source.text == mutant.text and span.line in wronged(mutant)
    texts = list(repairs(diagnostics))
    clean = any(not errors_of(text, mutant.model) for text in texts)
    same = any(_words(text) == _words(mutant.original) for text in texts)
    return Outcome(mutant, False, here, clean, same)


def _words(text: str) -> str:
    return "".join(text.split())


def findings(text: str, model: str) -> tuple[Diagnostic, ...]:
    try:
        return found(text, model)
    except NetError as error:
        return error.diagnostics


def errors_of(text: str, model: str) -> list[Diagnostic]:
    return [d for d in findings(text, model) if d.is_error]


@pytest.mark.slow
def test_a_single_mistake_is_found_where_it_is_and_most_helps_repair_it() -> None:
    outcomes = [judged(mutant) for mutant in mutants(EACH)]
    mistakes = [o for o in outcomes if not o.valid]
    table = "\n" + _table(outcomes)
    print(table)
    assert len(mistakes) >= 200, table
    assert {o.mutant.kind for o in mistakes} == set(KINDS), table
    assert sum(o.placed for o in mistakes) >= PLACED * len(mistakes), table
    assert sum(o.repaired for o in mistakes) >= REPAIRED * len(mistakes), table


def test_mutants_are_the_same_every_time() -> None:
    assert [m.text for m in mutants(1)] == [m.text for m in mutants(1)]
    assert [m.text for m in mutants(1)] != [m.text for m in mutants(1, seed=2)]


def _table(outcomes: list[Outcome]) -> str:
    """A line a kind: mistakes, found in place, repaired by a help; and mutants that are valid."""
    rows: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for o in outcomes:
        row = rows[o.mutant.kind]
        row.update(
            mistakes=not o.valid,
            placed=o.placed,
            repaired=o.repaired,
            restored=o.restored,
            valid=o.valid,
        )
    total = sum(rows.values(), Counter[str]())
    names = ("mistakes", "placed", "repaired", "restored", "valid")
    lines = [f"{'kind':36}" + "".join(f"{name:>10}" for name in names)]
    for kind, row in [*rows.items(), ("all", total)]:
        lines.append(f"{kind:36}" + "".join(f"{row[name]:10}" for name in names))
    return "\n".join(lines)
