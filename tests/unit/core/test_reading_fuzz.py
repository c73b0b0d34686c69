"""Seeded mutations of every text file that a user may hand to the program: an answer or a named error, never anything else."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.services.settings import SettingsStore
from app.state.ambiguous import _decode
from app.state.measurement import read_score
from deeplab_core.analysis.compare import compare_reports
from deeplab_core.analysis.evaluation import FORMAT
from deeplab_core.analysis.objects import read_known_objects
from deeplab_core.analysis.report import read_failures, read_other_curve, read_slices
from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets.ambiguous import AmbiguousMarks, read_ambiguous
from deeplab_core.errors import AtrousError
from deeplab_core.hub.install import read_receipt, receipt_path
from deeplab_core.images.split_list import read_split
from deeplab_core.masks import read_marker
from deeplab_core.masks.output_marker import MARKER_NAME
from deeplab_core.model_cards import card_from_metadata, read_card_file
from deeplab_core.records import ModelCard, card_path
from deeplab_core.refine.parameters import read_params
from deeplab_core.training.recipe import Recipe
from deeplab_core.weights.listing import list_models

CATALOG = get_catalog("voc21")
CARD = ModelCard(id="1", name="net", architecture={"name": "deeplabv3plus"}, catalog=CATALOG).to_dict()
MARKS = AmbiguousMarks(40, 50).to_dict() | {
    "marks": [{"box": [2, 3, 4, 5], "runs": [0, 20], "classes": [1], "reason": "blurred"}]
}
OBJECTS = {"objects": [{"voc_id": 9, "box": [1, 2, 30, 20], "visible_px": 3, "visible_fraction": 0.5, "truncated": False}]}
ROWS = [{"id": 0, "name": "ground", "color": [0, 0, 0]}, {"id": 1, "name": "chair", "color": "#ff0000"}]
CLASSES = {"name": "own", "classes": ROWS}
CURVES = {
    "format": "atrous-slices-1",
    "curves": [{"title": "IoU", "x_label": "px", "points": [{"x": 1, "score": 0.5, "low": 0.4, "high": 0.6, "objects": 3}]}],
}
KINDS = {"format": "atrous-inspection-1", "failures": [], "object_slices": {}, "pixel_slices": {}}
BANDS = {"rule": "edge", "around": "truth", "curve": [{"width_px": 1, "mean_iou": 0.5}], "widths": [{"width_px": 1}]}
FIGURES = {"format": FORMAT, "catalog": CATALOG.to_dict(), "bands": BANDS}
YAML = "name: own\nclasses:\n- {id: 0, name: ground, color: [0, 0, 0]}\n- {id: 1, name: chair, color: '#ff0000', key: c}\n"
TOML = '[recipe]\nsteps = 100\ncrop = [64, 64]\nname = "mine"\n\n[[data.train]]\nimages = "a"\n'
SETTINGS = 'version = 1\nlook.theme = "dark"\nmodel.folder = "/models"\n'


def _twice(path: Path) -> None:
    compare_reports(path, path, resamples=100)


def _card(path: Path) -> None:
    weights = path.with_name("net.pth")
    path.rename(card_path(weights))
    read_card_file(weights)


def _beside_a_model(path: Path) -> None:
    weights = path.with_name("net.safetensors")
    weights.write_bytes(b"no weights")
    path.rename(card_path(weights))
    assert len(list_models([path.parent])) == 1


def _inside(path: Path) -> None:
    card_from_metadata(path.read_bytes().decode("utf-8", "replace"), path)


def _receipt(path: Path) -> None:
    path.rename(receipt_path(path.with_name("net.pth")))
    read_receipt(path.with_name("net.pth"))


def _marker(path: Path) -> None:
    path.rename(path.with_name(MARKER_NAME))
    assert read_marker(path.parent) is not None


def _settings(path: Path) -> None:
    store = SettingsStore(path)
    assert store["model.folder"] is not None


#: What is read, an intact file of it, and its reader. Those in ``_SILENT`` promise to pass over damage without an error.
READERS: dict[str, tuple[str, str, Callable[[Path], Any]]] = {
    "classes.json": (json.dumps(CLASSES, indent=1), ".json", get_catalog),
    "classes.yaml": (YAML, ".yaml", get_catalog),
    "card beside": (json.dumps(CARD), ".json", _card),
    "card in a list": (json.dumps(CARD), ".json", _beside_a_model),
    "card inside": (json.dumps(CARD), ".json", _inside),
    "recipe": (TOML, ".toml", Recipe.read),
    "settings": (SETTINGS, ".toml", _settings),
    "CRF parameters": (json.dumps({"params": {"iterations": 5, "gaussian_sxy": 3.0}}), ".json", read_params),
    "objects": (json.dumps(OBJECTS), ".json", lambda path: read_known_objects(path, CATALOG)),
    "marks": (json.dumps(MARKS), ".json", lambda path: read_ambiguous(path, (40, 50))),
    "marks in a project": (json.dumps(MARKS), ".json", lambda path: _decode(path.read_bytes())),
    "curves": (json.dumps(CURVES), ".json", read_slices),
    "kinds": (json.dumps(KINDS), ".json", read_failures),
    "figures": (json.dumps(FIGURES), ".json", read_other_curve),
    "report": (json.dumps(FIGURES | {"images": []}), ".json", _twice),
    "receipt": (json.dumps({"id": "a", "bytes": 1}), ".json", _receipt),
    "marker": (json.dumps({"kind": "export", "outputs": {"a.png": None}}), ".json", _marker),
    "score": (
        json.dumps({"scores": {"iou": 0.5}, "places": [0, 3], "pixels": [5, 7]}), ".json",
        lambda path: read_score(path.read_bytes(), get_catalog("voc21")),
    ),
    "list of images": ("a\nb.jpg\n# c\n", ".txt", lambda path: read_split(path, ["a.jpg", "b.jpg"])),
}  # fmt: skip

#: Those with an intact file that is not complete; only that this is named matters.
INCOMPLETE = ("report", "kinds", "figures", "receipt", "card in a list")

_INSERTS = (
    "[" * 3000, "{" * 3000, '{"a":' * 2000, "9" * 5000, "-", "NaN", "Infinity", "-Infinity", "1e999", "null", "true", "\0",
    "\ufeff", "\\ud800", "2024-13-45", "&a [*a]", "*a",
    "<<: *a", "!!python/object:os.system x", "\t", "'", '"', "{}", "[]", ",", ":", "\n",
    "x" * 2000, "\x1b[31m",
)  # fmt: skip


def mutated(text: str, rng: random.Random) -> bytes:
    """One of several kinds of damage: bytes flipped, cut, doubled or put in, values exchanged for others."""
    data = bytearray(text.encode())
    for _ in range(rng.choice((1, 1, 2, 5))):
        place = rng.randrange(len(data) + 1)
        way = rng.randrange(6)
        if way == 0 and data:
            data[min(place, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif way == 1:
            del data[place:]
        elif way == 2:
            data[place:place] = data[: rng.randrange(60)]
        elif way == 3:
            data[place:place] = rng.choice(_INSERTS).encode("utf-8", "surrogatepass")
        elif way == 4:
            data[place : place + rng.randrange(20)] = b""
        else:
            digits = [at for at, byte in enumerate(data) if chr(byte).isdigit()]
            if digits:
                at = rng.choice(digits)
                data[at : at + 1] = rng.choice(_INSERTS).encode("utf-8", "surrogatepass")
    return bytes(data)


def exchanged(text: str, rng: random.Random) -> bytes:
    """A valid JSON file in which one value is another."""
    values = json.loads(text)
    strange = (None, True, -1, 10**400, 1e308, float("nan"), float("inf"), "", "x", [], {}, [[]], {"a": [1]}, "\udcff")
    node, key = values, None
    for _ in range(rng.randrange(1, 5)):
        if isinstance(node, dict) and node:
            parent, key = node, rng.choice(list(node))
        elif isinstance(node, list) and node:
            parent, key = node, rng.randrange(len(node))
        else:
            break
        node = parent[key]
    if key is None:
        return json.dumps(rng.choice(strange)).encode()
    parent[key] = rng.choice(strange)
    return json.dumps(values).encode()


@pytest.mark.parametrize("name", READERS)
def test_intact_files_are_read(tmp_path: Path, name: str) -> None:
    text, suffix, read = READERS[name]
    path = tmp_path / f"file{suffix}"
    path.write_text(text, encoding="utf-8")
    if name in INCOMPLETE:
        return
    read(path)


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    text, suffix, read = READERS[name]
    rng = random.Random(name)
    for number in range(30):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / f"file{suffix}"
        data = exchanged(text, rng) if suffix == ".json" and number % 3 == 0 else mutated(text, rng)
        path.write_bytes(data)
        error = _outcome(read, path)
        assert error is None or isinstance(error, AtrousError), f"{number}: {error!r} from {data[:300]!r}"
        assert error is None or (error.what and len(str(error)) < 2000), data


def _outcome(read: Callable[[Path], Any], path: Path) -> Exception | None:
    try:
        read(path)
    except Exception as error:
        return error
    return None
