"""Write net.tmLanguage.json, the TextMate grammar.

python -m netdsl.editors.generate     # after a change of the grammar or of the op table
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from netdsl.editors.textmate import FILE, grammar

if __name__ == "__main__":
    Path(str(files("netdsl.editors")), FILE).write_text(grammar(), "utf-8")
