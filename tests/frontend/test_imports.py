"""Imports: the file's own folder, then the shipped models; no cycles, no paths out."""

from __future__ import annotations

from pathlib import Path

import pytest
from nets import keys

from netdsl.errors import NetError
from netdsl.front import build, parse, parse_text
from netdsl.sources import read

BLOCKS = "default conv(bias=false)\nblock ConvBN(x; c) { return x -> conv(c, 3) -> bn }\n"


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.net"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder / "main.net"


def problem(path: Path) -> str:
    with pytest.raises(NetError) as raised:
        parse(path)
    return str(raised.value).replace(f"{path.parent}/", "")


def test_a_block_of_the_own_folder_is_imported_without_the_importers_defaults(
    tmp_path: Path,
) -> None:
    main = (
        "from blocks import ConvBN\nnet A(x: [N, 3, H, W]) { return x -> ConvBN(8) -> conv(8, 3) }"
    )
    graph = parse(write(tmp_path, main=main, blocks=BLOCKS))
    assert [k for k in keys(graph) if "conv" in k] == [
        *("ConvBN1.conv1.weight", "conv1.weight", "conv1.bias"),
    ]


def test_folders_below_are_dotted(tmp_path: Path) -> None:
    main = "from parts.blocks import ConvBN\nnet A(x: [N, 3, H, W]) { return x -> ConvBN(8) }"
    assert len(parse(write(tmp_path, main=main, parts__blocks=BLOCKS)))


def test_shipped_models_are_imported_by_name() -> None:
    text = "from resnet import Bottleneck\nnet A(x: [N, 64, H, W]) { return x -> Bottleneck(16) }"
    assert "Bottleneck1.conv1.weight" in keys(parse_text(text))


def test_the_own_folder_comes_before_the_shipped_models(tmp_path: Path) -> None:
    main = "from resnet import ConvBN\nnet A(x: [N, 3, H, W]) { return x -> ConvBN(8) }"
    assert len(parse(write(tmp_path, main=main, resnet=BLOCKS)))


def test_sources_are_all_that_is_needed_to_build_the_graph_again(tmp_path: Path) -> None:
    main = "from blocks import ConvBN\nnet A(x: [N, 3, H, W]) { return x -> ConvBN(8) }"
    path = write(tmp_path, main=main, blocks=BLOCKS)
    sources, net = read(path)
    graph = parse(path)
    path.unlink()
    assert sorted(sources.files) == ["blocks.net", "main.net"]
    assert build(sources, net) == graph


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert problem(write(tmp_path, main="from nothing import A\nnet B(x: [N]) { return x }")) == (
        """\
error[N150]: there is no file `nothing.net` in this folder, nor a model of that name
 --> main.net:1:6
  |
1 | from nothing import A
  |      ^^^^^^^"""
    )


def test_a_missing_name_is_told_and_guessed(tmp_path: Path) -> None:
    main = "from blocks import ConvBm\nnet A(x: [N, 3, H, W]) { return x -> ConvBm(8) }"
    assert problem(write(tmp_path, main=main, blocks=BLOCKS)) == (
        """\
error[N152]: `blocks` has no `ConvBm`
 --> main.net:1:20
  |
1 | from blocks import ConvBm
  |                    ^^^^^^
  = help: did you mean `ConvBN`?"""
    )


def test_files_that_import_each_other_are_told(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        main="from other import B\nnet A(x: [N]) { return x }",
        other="from main import A\nblock B(x) { return x }",
    )
    assert problem(path).splitlines()[0] == (
        "error[N151]: files import each other: main.net → other.net → main.net"
    )


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    write(tmp_path, blocks=BLOCKS)
    path = write(inner, main="from blocks import ConvBN\nnet A(x: [N]) { return x }")
    (inner / "blocks.net").symlink_to(tmp_path / "blocks.net")
    assert problem(path).splitlines()[0] == (
        "error[N153]: `blocks.net` leads out of the folder of the importing file"
    )


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "main.net").mkdir()
    assert "is no regular file" in problem(tmp_path / "main.net")


def test_a_syntax_error_in_an_imported_file_is_told_there(tmp_path: Path) -> None:
    main = "from blocks import ConvBN\nnet A(x: [N, 3, H, W]) { return x -> ConvBN(8) }"
    assert problem(write(tmp_path, main=main, blocks="block ConvBN(x; c) { return }")).splitlines()[
        :2
    ] == ["error[N003]: the statement is not complete behind `return`", " --> blocks.net:1:22"]
