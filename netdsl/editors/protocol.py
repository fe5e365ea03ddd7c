"""What is found, in the types of the language server protocol, and places in its coordinates."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from lsprotocol import types as lsp
from pygls.workspace import PositionCodec

from netdsl.editors.completion import Help, Item
from netdsl.editors.findings import Finding
from netdsl.editors.hints import Hint
from netdsl.editors.hover import Hover
from netdsl.editors.symbols import Entry
from netdsl.errors import Edit, Source, Span

UNUSED = ("N122", "W403")  # what editors grey out

Locate = Callable[[Span], lsp.Location]

COMPLETIONS = {
    "argument": lsp.CompletionItemKind.Property,
    "block": lsp.CompletionItemKind.Class,
    "extern": lsp.CompletionItemKind.Class,
    "function": lsp.CompletionItemKind.Function,
    "hyper": lsp.CompletionItemKind.TypeParameter,
    "import": lsp.CompletionItemKind.Class,
    "index": lsp.CompletionItemKind.Variable,
    "input": lsp.CompletionItemKind.Variable,
    "keyword": lsp.CompletionItemKind.Keyword,
    "layer": lsp.CompletionItemKind.Class,
    "let": lsp.CompletionItemKind.Constant,
    "module": lsp.CompletionItemKind.Module,
    "net": lsp.CompletionItemKind.Class,
    "output": lsp.CompletionItemKind.Field,
    "param": lsp.CompletionItemKind.Variable,
    "size": lsp.CompletionItemKind.TypeParameter,
    "value": lsp.CompletionItemKind.Variable,
    "word": lsp.CompletionItemKind.EnumMember,
}
SYMBOLS = {
    "block": lsp.SymbolKind.Class,
    "extern": lsp.SymbolKind.Interface,
    "hyper": lsp.SymbolKind.TypeParameter,
    "input": lsp.SymbolKind.Variable,
    "layer": lsp.SymbolKind.Object,
    "let": lsp.SymbolKind.Constant,
    "net": lsp.SymbolKind.Class,
    "param": lsp.SymbolKind.Field,
    "value": lsp.SymbolKind.Variable,
}


def position(source: Source, offset: int, codec: PositionCodec) -> lsp.Position:
    """Of an offset: line and column from 0, the column in the units that the client counts in."""
    line, column = source.position(offset)
    return lsp.Position(line - 1, codec.client_num_units(source.line(line)[: column - 1]))


def offset(source: Source, place: lsp.Position, codec: PositionCodec) -> int:
    """The offset of such a position."""
    if source.offset(place.line + 1, 1) == len(source.text):
        return len(source.text)
    line = source.line(place.line + 1) + "\n"  # what is behind the end of the line is at its end
    asked = lsp.Position(0, min(place.character, codec.client_num_units(line) - 1))
    found = codec.position_from_client_units([line], asked)
    return source.offset(place.line + 1, found.character + 1)


def range_of(span: Span, codec: PositionCodec) -> lsp.Range:
    start, end = (position(span.source, at, codec) for at in (span.start, span.end))
    return lsp.Range(start, end)


def diagnostic(finding: Finding, locate: Locate) -> lsp.Diagnostic:
    """A finding; its other places and the instantiations are related information."""
    found = finding.diagnostic
    severity = lsp.DiagnosticSeverity.Error if found.is_error else lsp.DiagnosticSeverity.Warning
    return lsp.Diagnostic(
        range=locate(finding.span).range,
        message=finding.message,
        severity=severity,
        code=found.code,
        source="netdsl",
        tags=[lsp.DiagnosticTag.Unnecessary] if found.code in UNUSED else None,
        related_information=[
            lsp.DiagnosticRelatedInformation(locate(span), said) for span, said in finding.related
        ],
    )


def changes(edits: Iterable[Edit], locate: Locate) -> lsp.WorkspaceEdit:
    """Edits, by the file that they change."""
    found: dict[str, list[lsp.TextEdit]] = {}
    for edit in edits:
        where = locate(edit.span)
        found.setdefault(where.uri, []).append(lsp.TextEdit(where.range, edit.text))
    return lsp.WorkspaceEdit(found)


def action(finding: Finding, locate: Locate) -> lsp.CodeAction:
    """The fix that a finding brings."""
    return lsp.CodeAction(
        title=finding.fix,
        kind=lsp.CodeActionKind.QuickFix,
        diagnostics=[diagnostic(finding, locate)],
        is_preferred=finding.diagnostic.sure,
        edit=changes(finding.diagnostic.edits, locate),
    )


def hover(found: Hover, codec: PositionCodec) -> lsp.Hover:
    return lsp.Hover(_markdown(found.text), range_of(found.span, codec))


def hint(found: Hint, source: Source, codec: PositionCodec) -> lsp.InlayHint:
    """The shape behind a stage; where there are several, the first and how many more."""
    more = f" +{len(found.others)}" if found.others else ""
    return lsp.InlayHint(
        position=position(source, found.offset, codec),
        label=f"{found.text}{more}",
        kind=lsp.InlayHintKind.Type,
        tooltip="\n".join((found.text, *found.others)) if found.others else None,
        padding_left=True,
    )


def completion(item: Item) -> lsp.CompletionItem:
    return lsp.CompletionItem(
        label=item.name,
        kind=COMPLETIONS[item.kind],
        detail=item.detail or None,
        documentation=_markdown(item.about) if item.about else None,
        insert_text=item.text,
    )


def signature(found: Help) -> lsp.SignatureHelp:
    parameters = [lsp.ParameterInformation(place) for place in found.parameters]
    for parameter, hyper in zip(
        parameters[len(found.callee.tensors) :], found.callee.hypers, strict=True
    ):
        parameter.documentation = hyper.about or None
    one = lsp.SignatureInformation(
        label=found.callee.text,
        documentation=_markdown(found.callee.about) if found.callee.about else None,
        parameters=parameters,
    )
    return lsp.SignatureHelp([one], active_signature=0, active_parameter=found.active)


def symbol(entry: Entry, codec: PositionCodec) -> lsp.DocumentSymbol:
    return lsp.DocumentSymbol(
        name=entry.name,
        kind=SYMBOLS[entry.kind],
        range=range_of(entry.whole, codec),
        selection_range=range_of(entry.place, codec),
        detail=entry.detail,
        children=[symbol(inner, codec) for inner in entry.inner],
    )


def _markdown(text: str) -> lsp.MarkupContent:
    return lsp.MarkupContent(lsp.MarkupKind.Markdown, text)
