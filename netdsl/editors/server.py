"""The language server's memory: a snapshot of each open file, and when findings are published.

A snapshot stays as long as the texts that it is made of. The nets are elaborated in a thread, so
that typing is never held up, and findings are published when it pauses.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from importlib.resources import files as resources
from pathlib import Path

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path
from pygls.workspace import PositionCodec

from netdsl import sources as files
from netdsl.editors import protocol
from netdsl.editors.findings import findings
from netdsl.editors.snapshot import Snapshot, take
from netdsl.elaborate.files import SHIPPED
from netdsl.errors import Problem, Source, Span
from netdsl.parser import from_text

PAUSE = 0.15  # seconds without a change before findings are published


class NetServer(LanguageServer):
    """The server and what it remembers: a snapshot of each open file, and the checks to come."""

    def __init__(self) -> None:
        # Whole texts: where lines end is our own reading, and a file is at most 256 kB.
        super().__init__("netdsl", version("netdsl"), lsp.TextDocumentSyncKind.Full)
        self.snapshots: dict[str, Snapshot] = {}
        self.checks: dict[str, asyncio.Task[None]] = {}

    @property
    def codec(self) -> PositionCodec:
        return self.workspace.position_codec

    def open(self, uri: str) -> Snapshot:
        """The file and its imports as they are now, with what is known of them already."""
        document = self.workspace.get_text_document(uri)
        path = to_fs_path(uri)
        folder = Path(path).parent if path else None
        key = Path(path).name if path else uri
        try:
            new = take(from_text(document.source, path or uri), key, folder, self._load)
        except Problem as problem:  # bytes that are no .net file
            empty = Source(path or uri, "")
            sources = files.Sources(key, {key: empty})
            new = Snapshot(sources, folder, self._load, (problem.at(Span(empty, 0, 0)),))
        old = self.snapshots.get(uri)
        if old is None or (old.sources, old.problems) != (new.sources, new.problems):
            self.snapshots[uri] = old = new
        return old

    def _load(self, path: Path, name: str) -> Source:
        """A file as the editor has it, saved or not."""
        uri = self.opened(str(path))
        if uri is None:
            return files.load(path, name)
        return from_text(self.workspace.get_text_document(uri).source, name)

    def opened(self, path: str) -> str | None:
        """The URI, as the editor writes it, of a file that is open."""
        return next((uri for uri in self.workspace.text_documents if to_fs_path(uri) == path), None)

    def at(self, uri: str, position: lsp.Position) -> tuple[Snapshot, int]:
        """A snapshot, and an offset in its file."""
        snapshot = self.open(uri)
        return snapshot, protocol.offset(snapshot.source, position, self.codec)

    def location(self, snapshot: Snapshot, span: Span) -> lsp.Location:
        """A place of one of the snapshot's files."""
        texts = snapshot.sources.files.items()
        key = next((key for key, source in texts if source == span.source), snapshot.key)
        return lsp.Location(self.uri_of(snapshot, key), protocol.range_of(span, self.codec))

    def uri_of(self, snapshot: Snapshot, key: str) -> str:
        """Where a file of a snapshot is."""
        if key in self.workspace.text_documents:  # it is no file: see `open`
            return key
        path = path_of(snapshot, key)
        return self.opened(path) or from_fs_path(path) or path

    def locate(self, snapshot: Snapshot) -> protocol.Locate:
        return lambda span: self.location(snapshot, span)

    def check_soon(self, uri: str) -> None:
        """Publish the findings of a file when typing pauses."""
        if uri in self.checks:
            self.checks[uri].cancel()
        self.checks[uri] = asyncio.get_running_loop().create_task(self._check(uri))

    def forget(self, uri: str) -> None:
        """The file is closed."""
        self.snapshots.pop(uri, None)
        if uri in self.checks:
            self.checks.pop(uri).cancel()

    async def _check(self, uri: str) -> None:
        await asyncio.sleep(PAUSE)
        snapshot = self.open(uri)
        await asyncio.to_thread(lambda: snapshot.findings)
        if self.snapshots.get(uri) is snapshot:  # neither changed nor closed since
            locate = self.locate(snapshot)
            found = [protocol.diagnostic(finding, locate) for finding in findings(snapshot)]
            document = self.workspace.get_text_document(uri)
            self.text_document_publish_diagnostics(
                lsp.PublishDiagnosticsParams(uri, found, document.version)
            )


def path_of(snapshot: Snapshot, key: str) -> str:
    """The path of a file of a snapshot; the URI of a text that is no file."""
    if key.startswith(SHIPPED):
        return str(resources("netdsl.models").joinpath(key.removeprefix(SHIPPED)))
    return key if snapshot.folder is None else str(snapshot.folder / key)
