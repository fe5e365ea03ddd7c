"""The language server, `netdsl lsp`: a function for each request of an editor, in a table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcInvalidParams

from netdsl import syntax as s
from netdsl.editors import links, protocol
from netdsl.editors.completion import complete, signature
from netdsl.editors.findings import findings
from netdsl.editors.formatting import formatted
from netdsl.editors.hints import hints
from netdsl.editors.hover import hover
from netdsl.editors.links import Place, Refused
from netdsl.editors.server import NetServer, path_of
from netdsl.editors.snapshot import Snapshot
from netdsl.editors.symbols import symbols
from netdsl.errors import Edit, Span


def serve() -> None:
    """Answer an editor on stdin and stdout until it says goodbye."""
    server().start_io()


def server() -> NetServer:
    """The server with all its features."""
    found = NetServer()
    for method, (answer, options) in FEATURES.items():
        found.feature(method, options)(answer)
    return found


def _changed(
    ls: NetServer, params: lsp.DidOpenTextDocumentParams | lsp.DidChangeTextDocumentParams
) -> None:
    """The findings of the file are due, and those of the files that import it."""
    uri = params.text_document.uri
    ls.check_soon(uri)
    for other, snapshot in ls.snapshots.items():
        if other != uri and uri in {ls.uri_of(snapshot, key) for key in snapshot.sources.files}:
            ls.check_soon(other)


def _closed(ls: NetServer, params: lsp.DidCloseTextDocumentParams) -> None:
    uri = params.text_document.uri
    ls.forget(uri)
    ls.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, []))


async def _hover(ls: NetServer, params: lsp.HoverParams) -> lsp.Hover | None:
    snapshot, offset = ls.at(params.text_document.uri, params.position)
    found = await asyncio.to_thread(hover, snapshot, offset)
    return None if found is None else protocol.hover(found, ls.codec)


async def _hints(ls: NetServer, params: lsp.InlayHintParams) -> list[lsp.InlayHint]:
    snapshot, start = ls.at(params.text_document.uri, params.range.start)
    end = protocol.offset(snapshot.source, params.range.end, ls.codec)
    found = await asyncio.to_thread(lambda: list(hints(snapshot, start, end)))
    ordered = sorted(found, key=lambda hint: hint.offset)
    return [protocol.hint(hint, snapshot.source, ls.codec) for hint in ordered]


def _completion(ls: NetServer, params: lsp.CompletionParams) -> list[lsp.CompletionItem]:
    snapshot, offset = ls.at(params.text_document.uri, params.position)
    return [protocol.completion(item) for item in complete(snapshot, offset)]


def _signature(ls: NetServer, params: lsp.SignatureHelpParams) -> lsp.SignatureHelp | None:
    found = signature(*ls.at(params.text_document.uri, params.position))
    return None if found is None else protocol.signature(found)


def _definition(ls: NetServer, params: lsp.DefinitionParams) -> lsp.Location | None:
    snapshot, offset = ls.at(params.text_document.uri, params.position)
    occurrence = snapshot.names.at(offset)
    if occurrence is None:
        return None
    if occurrence.role == "module":
        node = next(n for n in snapshot.around(offset) if isinstance(n, s.Import))
        key = links.imported(snapshot.files, snapshot.key, node)
        start = lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))
        return None if key is None else lsp.Location(ls.uri_of(snapshot, key), start)
    place = links.target(snapshot.files, snapshot.key, occurrence)
    return None if place is None else ls.location(snapshot, place.symbol.name.span)


def _references(ls: NetServer, params: lsp.ReferenceParams) -> list[lsp.Location]:
    found = []
    for view in _views(ls, *ls.at(params.text_document.uri, params.position)):
        for _, name in links.references(view.snapshot.files, view.place):
            given = name.span == view.place.symbol.name.span
            if params.context.include_declaration or not given:
                found.append(ls.location(view.snapshot, name.span))
    return _unique(found)


def _prepare_rename(ls: NetServer, params: lsp.PrepareRenameParams) -> lsp.Range | None:
    snapshot, offset = ls.at(params.text_document.uri, params.position)
    occurrence = snapshot.names.at(offset)
    if occurrence is None or links.target(snapshot.files, snapshot.key, occurrence) is None:
        return None
    return protocol.range_of(occurrence.name.span, ls.codec)


def _rename(ls: NetServer, params: lsp.RenameParams) -> lsp.WorkspaceEdit | None:
    """In all open files that know the name; none where one of them cannot take the new one."""
    edits: dict[tuple[str, int], Edit] = {}
    views = list(_views(ls, *ls.at(params.text_document.uri, params.position)))
    for view in views:
        try:
            found = links.rename(view.snapshot.files, view.place, params.new_name)
        except Refused as refused:
            raise JsonRpcInvalidParams(str(refused)) from None
        for key, name in found:
            place = ls.uri_of(view.snapshot, key), name.span.start
            edits[place] = Edit(name.span, params.new_name)
    changes: dict[str, list[lsp.TextEdit]] = {}
    for (uri, _), edit in sorted(edits.items(), key=lambda item: item[0]):
        where = protocol.range_of(edit.span, ls.codec)
        changes.setdefault(uri, []).append(lsp.TextEdit(where, edit.text))
    return lsp.WorkspaceEdit(changes) if changes else None


@dataclass(frozen=True)
class View:
    """A symbol as the program of one open file has it."""

    snapshot: Snapshot
    place: Place


def _views(ls: NetServer, snapshot: Snapshot, offset: int) -> Iterator[View]:
    """What stands at an offset, as every open file sees it that has a part in it."""
    occurrence = snapshot.names.at(offset)
    place = occurrence and links.target(snapshot.files, snapshot.key, occurrence)
    if not place:
        return
    home, start = path_of(snapshot, place.key), place.symbol.name.span.start
    for uri in list(ls.workspace.text_documents):
        other = ls.open(uri)
        for key, names in other.files.items():
            if path_of(other, key) == home:
                found = names.at(start)
                if found is not None and found.symbol is not None:
                    yield View(other, Place(key, found.symbol))


def _unique(locations: list[lsp.Location]) -> list[lsp.Location]:
    """Each once, by file and place."""
    found = {(at.uri, at.range.start.line, at.range.start.character): at for at in locations}
    return [found[place] for place in sorted(found)]


def _symbols(ls: NetServer, params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
    snapshot = ls.open(params.text_document.uri)
    return [protocol.symbol(entry, ls.codec) for entry in symbols(snapshot.names)]


def _format(ls: NetServer, params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit]:
    snapshot = ls.open(params.text_document.uri)
    edits = formatted(snapshot.source)
    return [lsp.TextEdit(protocol.range_of(edit.span, ls.codec), edit.text) for edit in edits]


async def _actions(ls: NetServer, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
    """The fixes of the findings in the range."""
    snapshot, start = ls.at(params.text_document.uri, params.range.start)
    end = protocol.offset(snapshot.source, params.range.end, ls.codec)
    await asyncio.to_thread(lambda: snapshot.findings)

    def inside(span: Span) -> bool:
        return span.start <= end and start <= span.end

    return [
        protocol.action(finding, ls.locate(snapshot))
        for finding in findings(snapshot)
        if finding.diagnostic.edits and inside(finding.span)
    ]


FEATURES: dict[str, tuple[Callable[..., Any], Any]] = {
    lsp.TEXT_DOCUMENT_DID_OPEN: (_changed, None),
    lsp.TEXT_DOCUMENT_DID_CHANGE: (_changed, None),
    lsp.TEXT_DOCUMENT_DID_CLOSE: (_closed, None),
    lsp.TEXT_DOCUMENT_HOVER: (_hover, None),
    lsp.TEXT_DOCUMENT_INLAY_HINT: (_hints, None),
    lsp.TEXT_DOCUMENT_COMPLETION: (
        _completion,
        lsp.CompletionOptions(trigger_characters=[">", "(", ",", ";", "=", "."]),
    ),
    lsp.TEXT_DOCUMENT_SIGNATURE_HELP: (
        _signature,
        lsp.SignatureHelpOptions(trigger_characters=["(", ",", ";"]),
    ),
    lsp.TEXT_DOCUMENT_DEFINITION: (_definition, None),
    lsp.TEXT_DOCUMENT_REFERENCES: (_references, None),
    lsp.TEXT_DOCUMENT_PREPARE_RENAME: (_prepare_rename, None),
    lsp.TEXT_DOCUMENT_RENAME: (_rename, lsp.RenameOptions(prepare_provider=True)),
    lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL: (_symbols, None),
    lsp.TEXT_DOCUMENT_FORMATTING: (_format, None),
    lsp.TEXT_DOCUMENT_CODE_ACTION: (
        _actions,
        lsp.CodeActionOptions([lsp.CodeActionKind.QuickFix]),
    ),
}
