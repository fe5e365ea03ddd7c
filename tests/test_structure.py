"""Imports go down only: the layers of netdsl as one table, measured on every module's source."""

from __future__ import annotations

import ast
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import networkx as nx

# From the lowest layer to the highest. An entry is a module of netdsl or a package with all that is
# in it, the most exact entry counts, and "" is the package root. A module imports from its own
# layer and from lower ones, in functions and under TYPE_CHECKING too.
LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "errors",
        "lazy",
        "files",
        "memory",
        "edits",
        "pause",
        "renaming",
        "spelling",
        "kernels",
        "collective",
        "models",
        "datasets",
    ),
    ("sizes",),
    ("kinds", "initial", "op", "shapes", "syntax"),
    ("ir", "ops", "parser", "signature"),
    ("rewrite", "differentiate", "loop"),
    ("recur", "recur_builder", "supplied"),
    (
        "elaborate",
        "sources",
        "front",
        "explain",
        "lints",
        "fixing",
        "expecting",
        "interpreter",
        "show",
        "fmt",
        "streaming",
        "text",
        "pin",
    ),
    ("editors",),
    ("modes", "cut", "segments", "taps", "passes"),
    ("fusions",),
    ("pipeline", "backend", "liveness"),
    ("plan",),
    ("backends",),
    ("kept",),
    ("program",),
    ("runtime",),
    (
        "artifact",
        "weights",
        "watched",
        "folded",
        "layout",
        "namespaces",
        "counterparts",
        "draws",
        "externs",
        "record",
        "called",
        "packing",
        "settings",
        "tree",
        "reference",
        "executable",
        "stepper",
        "module",
    ),
    ("compiler",),
    ("training", "verify"),
    ("bench",),
    ("",),
    ("cli", "__main__"),
)

# Where tensors exist. Anywhere else torch is imported in the function that needs it.
TORCH_AT_TOP = (
    "artifact",
    "backends.torch",
    "bench.jax_calls",
    "bench.torch_calls",
    "called",
    "collective",
    "compiler",
    "counterparts",
    "draws",
    "executable",
    "externs",
    "folded",
    "kernels",
    "layout",
    "module",
    "namespaces",
    "program",
    "record",
    "reference",
    "runtime",
    "settings",
    "stepper",
    "training",
    "tree",
    "verify",
    "watched",
    "weights",
)

# What `check`, `show` and `import netdsl` read, which must feel instant: nothing that they import
# on the way imports torch.
NEVER_TORCH = (
    *(entry for layer in LAYERS[:11] for entry in layer if entry not in ("kernels", "collective")),
    "",
    "cli",
)

TRITON = ("backends.triton", "kernels")

# An artefact is untrusted: nothing that we load may run code that came with it.
RUNS_CODE_ON_LOAD = ("pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "torch.load")

# Foreign weights, read with weights_only=True: tests/artifact proves that nothing runs.
READS_TORCH_FILES = ("weights",)

ROOT = Path(__file__).parents[1] / "netdsl"


@dataclass(frozen=True)
class Import:
    """`target` is imported by `module`; `at_top` as soon as `module` is."""

    module: str
    target: str
    at_top: bool
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def test_every_module_stands_in_the_table() -> None:
    assert [name for name in modules() if layer_of(name) is None] == []


def test_every_entry_of_the_table_is_a_module() -> None:
    entries = [entry for layer in LAYERS for entry in layer]
    assert len(entries) == len(set(entries))
    assert [entry for entry in entries if full(entry) not in modules()] == []


def test_imports_go_down_only() -> None:
    upwards = [str(i) for i in own_imports() if rank(i.target) > rank(i.module)]
    assert upwards == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = nx.DiGraph((i.module, i.target) for i in own_imports())
    assert list(nx.simple_cycles(graph)) == []


def test_torch_is_imported_at_the_top_only_where_tensors_exist() -> None:
    found = [i for i in imports() if i.at_top and package(i.target) == "torch"]
    assert [str(i) for i in found if not under(i.module, TORCH_AT_TOP)] == []


def test_torch_is_on_no_way_of_check_and_show() -> None:
    graph = nx.DiGraph((i.module, i.target) for i in imports() if i.at_top)
    graph.add_edges_from((name, parent) for name in modules() for parent in parents(name))
    graph.add_edges_from((i.target, "torch") for i in imports() if package(i.target) == "torch")
    light = [name for name in modules() if under(name, NEVER_TORCH)]
    reached = [name for name in light if name in graph and reaches(graph, name, "torch")]
    assert [" → ".join(nx.shortest_path(graph, name, "torch")) for name in reached] == []


def test_triton_is_imported_only_by_kernels_and_their_backend() -> None:
    found = [i for i in imports() if package(i.target) == "triton"]
    assert [str(i) for i in found if not under(i.module, TRITON)] == []


def test_kernels_import_only_torch_triton_and_each_other() -> None:
    allowed = ("__future__", "collections", "dataclasses", "functools", "math", "torch", "triton")
    found = [i for i in imports() if under(i.module, ("kernels",))]
    wrong = [i for i in found if not i.target.startswith("netdsl.kernels")]
    assert [str(i) for i in wrong if package(i.target) not in allowed] == []


def test_nothing_that_is_loaded_can_run_code() -> None:
    found = [str(i) for i in imports() if i.target.startswith(RUNS_CODE_ON_LOAD)]
    for name, path in modules().items():
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                data_only = under(name, READS_TORCH_FILES) and "weights_only=True" in ast.unparse(
                    node
                )
                if called in ("eval", "exec", "torch.load") and not data_only:
                    found.append(f"{name}:{node.lineno} calls {called}")
                careful = "allow_pickle=False" in ast.unparse(node)
                if called in ("np.load", "numpy.load") and not careful:
                    found.append(f"{name}:{node.lineno} calls {called} without allow_pickle=False")
    assert found == []


def test_every_file_opens_with_a_sentence_on_its_job() -> None:
    assert [n for n, path in modules().items() if not ast.get_docstring(parsed(path))] == []


@cache
def modules() -> dict[str, Path]:
    """Every module of netdsl by its full name."""
    found = {}
    for folder, _, files in os.walk(ROOT, followlinks=True):
        for file in files:
            if file.endswith(".py"):
                path = Path(folder, file)
                parts = path.relative_to(ROOT.parent).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return dict(sorted(found.items()))


@cache
def imports() -> tuple[Import, ...]:
    """Every import in netdsl, wherever it stands."""
    return tuple(i for name, path in modules().items() for i in imports_of(name, path))


def own_imports() -> list[Import]:
    """Imports of one module of netdsl by another."""
    return [i for i in imports() if i.target in modules() and i.target != i.module]


def imports_of(name: str, path: Path) -> Iterator[Import]:
    parent = name if path.name == "__init__.py" else name.rpartition(".")[0]
    pending: list[tuple[ast.AST, bool]] = [(parsed(path), True)]
    while pending:
        node, at_top = pending.pop()
        for target in targets(node, parent):
            yield Import(name, target, at_top, getattr(node, "lineno", 0))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            at_top = False
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            pending += [(child, False) for child in node.body]
            pending += [(child, at_top) for child in node.orelse]
        else:
            pending += [(child, at_top) for child in ast.iter_child_nodes(node)]


def targets(node: ast.AST, parent: str) -> list[str]:
    """The modules that a statement names; `from a import b` is `a.b` where that is a module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = importlib.util.resolve_name("." * node.level + (node.module or ""), parent)
        outside = package(base) != "netdsl"
        inner = [f"{base}.{alias.name}" for alias in node.names]
        return list(dict.fromkeys(n if outside or n in modules() else base for n in inner))
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            return [importlib.util.resolve_name(first.value, parent)]
    return []


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def layer_of(name: str) -> int | None:
    """The layer of a module, by the longest entry that covers it; the root covers itself alone."""
    covering = [
        (len(entry), number)
        for number, layer in enumerate(LAYERS)
        for entry in layer
        if under(name, (entry,))
    ]
    return max(covering)[1] if covering else None


def rank(name: str) -> int:
    number = layer_of(name)
    return len(LAYERS) if number is None else number


def under(name: str, entries: tuple[str, ...]) -> bool:
    """Whether a module is one of the entries, or inside one that is not the root."""
    return any(
        name == full(entry) or (entry != "" and name.startswith(full(entry) + "."))
        for entry in entries
    )


def full(entry: str) -> str:
    return f"netdsl.{entry}" if entry else "netdsl"


def package(name: str) -> str:
    return name.partition(".")[0]


def parents(name: str) -> list[str]:
    """The packages that run before a module does."""
    parts = name.split(".")
    return [".".join(parts[:end]) for end in range(1, len(parts))]


def reaches(graph: nx.DiGraph[str], start: str, goal: str) -> bool:
    return goal in graph and nx.has_path(graph, start, goal)


def test_no_two_files_of_tests_have_one_name() -> None:
    """pytest puts every folder that is no package on the import path, where the first of a name
    wins."""
    found = (ROOT.parent / "tests").rglob("*.py")
    files = [path.name for path in found if not (path.parent / "__init__.py").exists()]
    assert [n for n in set(files) if files.count(n) > 1 and n != "conftest.py"] == []
