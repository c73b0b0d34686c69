"""Graphs that want to do harm, and graphs that are broken."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import pytest

from deeplab_core.backends import engine_of
from deeplab_core.backends.onnx_file import read_onnx_file
from deeplab_core.errors import AtrousError, UnsafeCheckpoint, WeightsError
from deeplab_core.weights import card_path, load_model, read_card
from tests.unit.core.backends.graphs import write_onnx

pytest.importorskip("onnx", reason="onnx is not installed: no graphs can be written")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: no ONNX graph can be run")

#: Damaged files per kind of damage; the same every time.
ROUNDS = 120


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "a/../../secret", "C:\\secret", "..\\secret", ""])
def test_weights_outside_the_folder_are_not_opened(place: str, tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"0" * 4096)
    path = write_onnx(folder / "g.onnx", external=place)
    with pytest.raises(WeightsError) as caught:
        load_model(path)
    assert isinstance(caught.value, UnsafeCheckpoint) or place == ""
    with pytest.raises(WeightsError):
        read_card(path)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"0" * 4096)
    (folder / "weights.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(UnsafeCheckpoint, match="outside its folder"):
        load_model(write_onnx(folder / "g.onnx", external="weights.bin"))


def test_missing_weights_beside_the_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="part of the ONNX file is missing") as caught:
        load_model(write_onnx(tmp_path / "g.onnx", external="weights.bin"))
    assert "Put weights.bin beside it" in caught.value.remedy


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"second_input": True}, "2 inputs"),
        ({"channels": 2}, "takes no image of 1"),
        ({"metadata": {"atrous_card": "{"}}, "card inside the file is damaged"),
    ],
)
def test_graphs_that_are_no_segmentation_network(form: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "g.onnx", **form)
    with pytest.raises(WeightsError, match=message) as caught:
        load_model(path)
    assert caught.value.path == path


def test_a_broken_card_beside_a_graph_is_never_passed_over(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "g.onnx")
    card_path(path).write_text("{")
    with pytest.raises(WeightsError, match="card beside the weights is damaged"):
        load_model(path)


def test_a_missing_library_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_onnx(tmp_path / "g.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(WeightsError, match="needs ONNX Runtime") as caught:
        load_model(path)
    assert caught.value.remedy.startswith("Run: pip install onnxruntime")


def test_other_formats_are_no_graphs(tmp_path: Path) -> None:
    for name, content in (("a.onnx", b""), ("b.onnx", b"<html>"), ("c.onnx", b"\x08\x01\x12\x00"), ("d.tflite", b"TFL3")):
        path = tmp_path / name
        path.write_bytes(content)
        assert engine_of(path) == ""
        with pytest.raises(WeightsError):
            load_model(path)
    assert engine_of(tmp_path / "absent.onnx") == ""


@pytest.mark.parametrize("damage", ["cut", "bytes", "swap"])
def test_damaged_files_load_whole_or_not_at_all(damage: str, tmp_path: Path) -> None:
    whole = write_onnx(tmp_path / "g.onnx", ending="align_corners").read_bytes()
    structure = whole.index(b"w1") + 200  # behind it stand the weights, of which any bytes are a number
    draw = random.Random(damage)
    refused = 0
    for number in range(ROUNDS):
        content = bytearray(whole)
        if damage == "cut":
            content = content[: draw.randrange(len(content))]
        elif damage == "bytes":
            for _ in range(draw.choice((1, 2, 8))):
                content[draw.randrange(structure)] = draw.randrange(256)
        else:
            start, length = draw.randrange(structure), draw.randrange(1, 64)
            content[start : start + length] = draw.randbytes(length)
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(content)
        try:
            load_model(path)
        except AtrousError:  # any other error fails the test
            refused += 1
    assert refused == ROUNDS if damage == "cut" else refused > ROUNDS // 3


def test_graphs_that_nest_without_end_are_refused(tmp_path: Path) -> None:
    from deeplab_core.backends.onnx_file import bytes_field

    graph = b""
    for _ in range(40):
        graph = bytes_field(1, bytes_field(5, bytes_field(6, graph)))
    path = tmp_path / "g.onnx"
    path.write_bytes(b"\x08\x09" + bytes_field(7, graph))
    with pytest.raises(WeightsError, match="truncated or damaged") as caught:
        read_onnx_file(path)
    assert "nest" in caught.value.why
