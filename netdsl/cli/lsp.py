"""`netdsl lsp`: the language server, which editors start and talk to on stdin and stdout."""

from __future__ import annotations


def lsp() -> None:
    """Serve an editor on stdin and stdout, as a language server.

    Findings as one types and their fixes, shapes at each arrow, hover, completion, definitions,
    renaming, formatting. Editors start it themselves: docs/editors.md says how each is told to.

    \b
    netdsl lsp
    """
    try:
        from netdsl.editors.features import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        from netdsl.datasets.errors import MissingPackage

        raise MissingPackage("`netdsl lsp`", "pygls") from None
    serve()
