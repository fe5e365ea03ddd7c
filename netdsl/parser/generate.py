"""Write grammar.json, the tables of grammar.lark.

python -m netdsl.parser.generate
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from netdsl.parser.tables import dump

if __name__ == "__main__":
    folder = Path(str(files("netdsl")))
    grammar = (folder / "grammar.lark").read_text("utf-8")
    (folder / "grammar.json").write_text(dump(grammar), "utf-8")
