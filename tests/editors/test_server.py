"""`netdsl lsp` driven as an editor drives it: one server for all, a broken file repaired in it."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest
import pytest_lsp
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from pytest_lsp import ClientServerConfig, LanguageClient, client_capabilities

import netdsl.fmt

pytestmark = pytest.mark.asyncio(loop_scope="module")

COMMAND = [sys.executable, "-m", "netdsl", "lsp"]


@pytest_lsp.fixture(scope="module", config=ClientServerConfig(server_command=COMMAND))
async def client(lsp_client: LanguageClient):
    capabilities = client_capabilities("visual-studio-code")
    await lsp_client.initialize_session(lsp.InitializeParams(capabilities=capabilities))
    yield
    await lsp_client.shutdown_session()
    assert lsp_client.error is None


class Opened:
    """A file in the editor: a text that is not saved, and where the marks of a test are in it."""

    def __init__(self, client: LanguageClient, path: Path | str, text: str) -> None:
        uri = path if isinstance(path, str) else path.as_uri()
        self.client, self.uri, self.version = client, uri, 1
        self.text = dedent(text)
        self.id = lsp.TextDocumentIdentifier(self.uri)
        document = lsp.TextDocumentItem(self.uri, "netdsl", 1, self.text)
        client.text_document_did_open(lsp.DidOpenTextDocumentParams(document))

    async def findings(self) -> list[lsp.Diagnostic]:
        """Those that are published for the file as it is now."""
        while self.uri not in self.client.diagnostics:
            await self.client.wait_for_notification(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        return list(self.client.diagnostics[self.uri])

    def change(self, old: str, new: str) -> None:
        assert old in self.text
        self.text, self.version = self.text.replace(old, new, 1), self.version + 1
        self.client.diagnostics.clear()
        self.client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(
                lsp.VersionedTextDocumentIdentifier(self.version, self.uri),
                [lsp.TextDocumentContentChangeWholeDocument(self.text)],
            )
        )

    def close(self) -> None:
        self.client.diagnostics.clear()
        self.client.text_document_did_close(lsp.DidCloseTextDocumentParams(self.id))

    def at(self, before: str, behind: str = "") -> lsp.Position:
        """The place between two texts."""
        assert before + behind in self.text
        read = self.text[: self.text.index(before + behind) + len(before)]
        last = read.rpartition("\n")[2]
        return lsp.Position(read.count("\n"), len(last.encode("utf-16-le")) // 2)

    def shown(self, place: lsp.Range) -> str:
        """The text of a range within a line."""
        return self.text.splitlines()[place.start.line][place.start.character : place.end.character]

    def replaced(self, edits: list[lsp.TextEdit]) -> str:
        """The text after edits of whole lines."""
        lines = self.text.splitlines(keepends=True)
        for edit in sorted(edits, key=lambda e: -e.range.start.line):
            lines[edit.range.start.line : edit.range.end.line] = [edit.new_text]
        return "".join(lines)

    def applied(self, edits: list[lsp.TextEdit]) -> str:
        """The text after edits, none of which spans lines."""
        lines = self.text.split("\n")
        for edit in sorted(edits, key=lambda e: (e.range.start.line, -e.range.start.character)):
            line, start, end = edit.range.start.line, edit.range.start, edit.range.end
            lines[line] = (
                lines[line][: start.character] + edit.new_text + lines[line][end.character :]
            )
        return "\n".join(lines)


SKIP = """\
netdsl 1
block Bottleneck(x: [N, C, H, W]; w) {  # y = F(x) + x
  f = x -> conv(4*w, 1) -> tanh
  return f + x -> relu
}
net A(x: [N, 64, 56, 56]; classes = 10) {
  return x -> Bottleneck(64) -> global_avg_pool -> linear(classes) as fc
}
"""


async def test_a_broken_file_is_explained_and_repaired(
    client: LanguageClient, tmp_path: Path
) -> None:
    file = Opened(client, tmp_path / "skip.net", SKIP)
    (found,) = await file.findings()
    assert (found.code, found.severity) == ("N206", lsp.DiagnosticSeverity.Error)
    assert found.message.startswith("cannot combine [N, 256, 56, 56] and [N, 64, 56, 56]\n")
    assert "help: project the skip with a 1x1 convolution" in found.message
    assert file.shown(found.range) == "f + x"
    related = {info.message: file.shown(info.location.range) for info in found.related_information}
    assert related == {"in `Bottleneck`, instantiated here": "Bottleneck(64)"}

    file.change("f + x ->", "f + (x -> conv(4*w, 1) -> bn) ->")
    (found,) = await file.findings()
    assert (found.code, found.severity) == ("W401", lsp.DiagnosticSeverity.Warning)
    file.change("conv(4*w, 1) -> bn", "conv(4*w, 1, bias=false) -> bn")
    assert await file.findings() == []
    file.close()
    assert await file.findings() == []


async def test_a_fix_of_a_finding_is_a_quick_fix(client: LanguageClient, tmp_path: Path) -> None:
    file = Opened(
        client, tmp_path / "fix.net", "net A(x: [N, 3, H, W]) {\n  return x -> Conv2d(8, 3)\n}\n"
    )
    (found,) = await file.findings()
    actions = await client.text_document_code_action_async(
        lsp.CodeActionParams(file.id, found.range, lsp.CodeActionContext([found]))
    )
    (action,) = actions
    assert (action.title, action.kind) == ("`Conv2d` is called `conv` here", "quickfix")
    assert list(action.diagnostics) == [found]
    assert "x -> conv(8, 3)" in file.applied(action.edit.changes[file.uri])
    start = lsp.Position(0, 0)
    elsewhere = lsp.CodeActionParams(file.id, lsp.Range(start, start), lsp.CodeActionContext([]))
    assert not await client.text_document_code_action_async(elsewhere)
    file.close()


async def test_a_file_with_a_syntax_error_still_answers(
    client: LanguageClient, tmp_path: Path
) -> None:
    file = Opened(
        client,
        tmp_path / "broken.net",
        """\
        net A(x: [N, 3, H, W]; width = 8) {
          f = x -> conv(width, 3)
          g = f -> linear(3 4)
          return f -> relu ->
        """,
    )
    codes = [found.code for found in await file.findings()]
    assert "N005" in codes and all(code.startswith("N00") for code in codes)
    hover = await client.text_document_hover_async(
        lsp.HoverParams(file.id, file.at("f = x -> co", "nv"))
    )
    assert "`float[N, 8, H, W]` · 224 parameters" in hover.contents.value
    items = await client.text_document_completion_async(
        lsp.CompletionParams(file.id, file.at("relu ->"))
    )
    assert {"conv", "relu", "repeat"} <= {item.label for item in items}
    file.close()


async def test_hover_tells_shape_cost_path_and_signature(
    client: LanguageClient, tmp_path: Path
) -> None:
    text = SKIP.replace("f + x ->", "f + (x -> conv(4*w, 1)) ->")
    file = Opened(client, tmp_path / "hover.net", text)

    async def hover(place: lsp.Position) -> str | None:
        found = await client.text_document_hover_async(lsp.HoverParams(file.id, place))
        return None if found is None else found.contents.value

    linear = await hover(file.at("line", "ar"))
    assert linear is not None
    assert linear.startswith(
        "`float[N, 10]` · 2,570 parameters · 2,560 MACs · at `fc`\n\n```net\nlinear(x; d, bias=true"
    )
    assert await hover(file.at("return f + (x -> conv(4*w, 1)) -> re", "lu")) == dedent(
        """\
        `float[N, 256, 56, 56]` · at `Bottleneck1.relu1`

        ```net
        relu(x)
        ```

        y = max(x, 0), NaN stays NaN. As torch.nn.functional.relu."""
    )
    assert await hover(file.at("-> Bottle", "neck(64)")) == dedent(
        """\
        `float[N, 256, 56, 56]` · 33,280 parameters · 102,760,448 MACs · at `Bottleneck1`

        ```net
        Bottleneck(x; w)
        ```

        y = F(x) + x"""
    )
    assert await hover(file.at("return ", "f +")) == "value `f`\n\n`float[N, 256, 56, 56]`"
    assert await hover(file.at("(4*", "w, 1) -> tanh")) == "hyper `w`\n\n`64`"
    assert await hover(file.at("", "netdsl")) is None
    file.close()


async def test_shapes_stand_behind_the_arrows(client: LanguageClient, tmp_path: Path) -> None:
    file = Opened(
        client,
        tmp_path / "hints.net",
        """\
        block B(x; c) { return x -> conv(c, 3) }
        net A(x: [N, 3, 32, 32]) {  # 😀
          return x -> B(8) -> B(16)
              -> flatten as flat
        }
        """,
    )
    whole = lsp.Range(lsp.Position(0, 0), lsp.Position(9, 0))
    found = await client.text_document_inlay_hint_async(lsp.InlayHintParams(file.id, whole))
    assert [(hint.position, hint.label) for hint in found] == [
        (file.at("conv(c, 3)"), "[N, 8, 32, 32] +1"),
        (file.at("B(8)"), "[N, 8, 32, 32]"),
        (file.at("B(16)"), "[N, 16, 32, 32]"),
        (file.at("flat", "\n"), "[N, 16384]"),
    ]
    assert found[0].tooltip == "[N, 8, 32, 32]\n[N, 16, 32, 32]"
    line = lsp.Range(lsp.Position(3, 0), lsp.Position(3, 80))
    last = await client.text_document_inlay_hint_async(lsp.InlayHintParams(file.id, line))
    assert last == found[-1:]
    file.close()


async def test_completion_knows_layers_hyper_parameters_and_their_words(
    client: LanguageClient, tmp_path: Path
) -> None:
    file = Opened(
        client,
        tmp_path / "complete.net",
        """\
        net A(x: [N, 3, H, W]) {
          y = x -> conv(8, 3, )
          return x -> conv(8, 3, pad=) -> relu
        }
        """,
    )

    async def complete(place: lsp.Position) -> dict[str, lsp.CompletionItem]:
        params = lsp.CompletionParams(file.id, place)
        items = await client.text_document_completion_async(params)
        return {item.label: item for item in items}

    inside = await complete(file.at("8, 3, "))
    assert (inside["stride"].insert_text, inside["stride"].detail) == ("stride=", "1 by default")
    assert inside["x"].kind == lsp.CompletionItemKind.Variable
    assert "half" in await complete(file.at("pad="))
    stages = await complete(file.at(") -> "))
    assert stages["conv"].detail.startswith("conv(x; c, k, stride=1")
    file.close()


async def test_a_call_shows_its_signature(client: LanguageClient, tmp_path: Path) -> None:
    file = Opened(
        client,
        tmp_path / "sign.net",
        "net A(x: [N, 3, H, W]) {\n  return x -> conv(8, 3, pad=\n}\n",
    )

    async def active(place: lsp.Position) -> str:
        params = lsp.SignatureHelpParams(file.id, place)
        found = await client.text_document_signature_help_async(params)
        (one,) = found.signatures
        start, end = one.parameters[found.active_parameter].label
        return one.label[start:end]

    assert await active(file.at("conv(")) == "c"
    assert await active(file.at("conv(8, ")) == "k"
    assert await active(file.at("pad=")) == "pad=half"
    file.close()


async def test_names_lead_to_where_they_are_given_in_other_files_too(
    client: LanguageClient, tmp_path: Path
) -> None:
    blocks = tmp_path / "blocks.net"
    blocks.write_text("block Unit(x; w = 4) {\n  return x -> linear(w)\n}\n")
    file = Opened(
        client,
        tmp_path / "main.net",
        """\
        from blocks import Unit
        net A(x: [N, 4]) {
          f = x -> Unit(w=3)
          return f -> Unit
        }
        """,
    )
    assert await file.findings() == []

    async def definition(place: lsp.Position) -> tuple[str, int, int]:
        found = await client.text_document_definition_async(lsp.DefinitionParams(file.id, place))
        start = found.range.start
        return Path(found.uri).name, start.line, start.character

    assert await definition(file.at("return ", "f")) == ("main.net", 2, 2)
    assert await definition(file.at("-> Un", "it(")) == ("blocks.net", 0, 6)
    assert await definition(file.at("Unit(", "w=3")) == ("blocks.net", 0, 14)
    assert await definition(file.at("from blo", "cks")) == ("blocks.net", 0, 0)

    params = lsp.ReferenceParams(
        lsp.ReferenceContext(include_declaration=False), file.id, file.at("import ", "Unit")
    )
    found = await client.text_document_references_async(params)
    assert [(Path(f.uri).name, f.range.start.line) for f in found] == [
        *(("main.net", 0), ("main.net", 2), ("main.net", 3)),
    ]
    file.close()


async def test_renaming_reaches_every_open_file_and_refuses_what_clashes(
    client: LanguageClient, tmp_path: Path
) -> None:
    blocks = Opened(client, tmp_path / "blocks.net", "block Unit(x; w) { return x -> linear(w) }\n")
    Path(tmp_path / "blocks.net").write_text("")  # the text in the editor counts
    main = Opened(
        client,
        tmp_path / "main.net",
        "from blocks import Unit\nnet A(x: [N, 4]) {\n  y = x -> Unit(w=3)\n  return y\n}\n",
    )

    async def rename(file: Opened, place: lsp.Position, new: str) -> lsp.WorkspaceEdit:
        return await client.text_document_rename_async(lsp.RenameParams(file.id, place, new))

    place = blocks.at("block Un", "it")
    prepared = await client.text_document_prepare_rename_async(
        lsp.PrepareRenameParams(blocks.id, place)
    )
    assert blocks.shown(prepared) == "Unit"
    edit = await rename(blocks, place, "Cell")
    assert blocks.applied(edit.changes[blocks.uri]).startswith("block Cell(x; w)")
    assert main.applied(edit.changes[main.uri]) == main.text.replace("Unit", "Cell")
    edit = await rename(main, main.at("Unit(", "w=3"), "width")
    assert blocks.applied(edit.changes[blocks.uri]) == (
        "block Unit(x; width) { return x -> linear(width) }\n"
    )
    assert "Unit(width=3)" in main.applied(edit.changes[main.uri])
    for new, why in [
        ("in", "`in` is a keyword and cannot be a name"),
        ("x", "`x` is given in line 2"),
        ("linear", "`linear` is used, for a layer of the library, in line 1"),
    ]:
        at = main.at("  ", "y = x") if new == "x" else place
        with pytest.raises(JsonRpcException, match=why):
            await rename(main if new == "x" else blocks, at, new)
    assert (
        await client.text_document_prepare_rename_async(
            lsp.PrepareRenameParams(blocks.id, blocks.at("-> lin", "ear"))
        )
        is None
    )
    blocks.close()
    main.close()


async def test_a_finding_of_an_imported_file_stands_where_it_is_used(
    client: LanguageClient, tmp_path: Path
) -> None:
    (tmp_path / "blocks.net").write_text("block Unit(x) {\n  return x -> linear(0)\n}\n")
    file = Opened(
        client,
        tmp_path / "main.net",
        "from blocks import Unit\nnet A(x: [N, 4]) {\n  return x -> Unit\n}\n",
    )
    (found,) = await file.findings()
    assert found.code == "N106"
    assert file.shown(found.range) == "Unit"
    assert found.range.start.line == 2
    first = found.related_information[0].location
    assert (Path(first.uri).name, first.range.start.line) == ("blocks.net", 1)
    file.close()


async def test_a_change_of_an_imported_file_is_seen_by_the_files_that_import_it(
    client: LanguageClient, tmp_path: Path
) -> None:
    (tmp_path / "parts.net").write_text("")  # the text in the editor counts
    blocks = Opened(client, tmp_path / "parts.net", "block Unit(x) { return x -> relu }\n")
    assert await blocks.findings() == []
    main = Opened(
        client,
        tmp_path / "user.net",
        "from parts import Unit\nnet A(x: [N, 4]) { return x -> Unit }\n",
    )
    assert await main.findings() == []
    blocks.change("Unit", "Cell")
    assert await blocks.findings() == []
    assert [found.code for found in await main.findings()] == ["N152"]
    blocks.close()
    main.close()


async def test_the_outline_of_a_file(client: LanguageClient, tmp_path: Path) -> None:
    file = Opened(client, tmp_path / "outline.net", SKIP)
    found = await client.text_document_document_symbol_async(lsp.DocumentSymbolParams(file.id))
    assert [(one.name, one.kind) for one in found] == [
        ("Bottleneck", lsp.SymbolKind.Class),
        ("A", lsp.SymbolKind.Class),
    ]
    assert [inner.name for inner in found[0].children] == ["x", "w", "f"]
    assert found[0].children[0].detail == "[N, C, H, W]"
    file.close()


async def test_bytes_that_are_no_net_file_are_said_to_be_none(
    client: LanguageClient, tmp_path: Path
) -> None:
    file = Opened(client, tmp_path / "nul.net", "net A(x: [N, 4]) { return x }\0")
    (found,) = await file.findings()
    assert found.code == "N001"
    file.close()


async def test_a_text_that_is_no_file_is_answered_too(client: LanguageClient) -> None:
    file = Opened(client, "untitled:Untitled-1", "net A(x: [N, 4]) {\n  y = z\n  return y\n}\n")
    (found,) = await file.findings()
    assert (found.code, file.shown(found.range)) == ("N101", "z")
    params = lsp.DefinitionParams(file.id, file.at("return ", "y"))
    place = await client.text_document_definition_async(params)
    assert (place.uri, place.range.start) == (file.uri, lsp.Position(1, 2))
    file.close()


async def test_what_is_never_used_is_marked_as_such(client: LanguageClient, tmp_path: Path) -> None:
    file = Opened(
        client,
        tmp_path / "unused.net",
        "net A(x: [N, 4]) {\n  y = x -> tanh\n  return x -> relu\n}\n",
    )
    (found,) = await file.findings()
    assert (found.severity, file.shown(found.range)) == (lsp.DiagnosticSeverity.Warning, "y")
    assert list(found.tags) == [lsp.DiagnosticTag.Unnecessary]
    file.close()


async def test_formatting_changes_the_lines_that_are_not_in_style(
    client: LanguageClient, tmp_path: Path
) -> None:
    text = "net A(x:[N, 4]) {\n  y = x -> tanh\n  return y->relu   # last\n}\n"
    file = Opened(client, tmp_path / "style.net", text)
    options = lsp.FormattingOptions(tab_size=8, insert_spaces=False)  # there is one style
    params = lsp.DocumentFormattingParams(file.id, options)
    edits = await client.text_document_formatting_async(params)
    assert [edit.range.start.line for edit in edits] == [0, 2]
    file.change(text, file.replaced(edits))
    assert file.text == netdsl.fmt.format(text)
    assert not await client.text_document_formatting_async(params)
    file.change("relu", "-> ->")
    assert not await client.text_document_formatting_async(params)
    file.close()
