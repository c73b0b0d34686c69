"""More than 254 classes: masks have 16 bits from a list of names to predictions, edits, exports, imports and figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from app.state.patch import diff_patch
from app.state.project import Project
from app.state.provenance import Provenance
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks.read import read_mask

SHAPE = (48, 64)
#: Formats that hold ids above 254 and void.
EXACT = ("raw_ids", "ids_16bit", "color", "npz", "geotiff", "coco_rle", "coco_panoptic", "labelme", "binary")


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_text("background\n" + "".join(f"class {number}\n" for number in range(1, 300)))
    return path


@pytest.fixture
def photos(tmp_path: Path, names: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(2):
        Image.fromarray(rng.integers(0, 255, (*SHAPE, 3), dtype=np.uint8)).save(folder / f"a{number}.png")
    assert run(["classes", "set", str(folder), str(names)]) == 0
    with Project.open(folder) as project:
        for number, record in enumerate(project.images):
            document = project.load(record.id).document
            labels = np.zeros(SHAPE, np.uint16)
            labels[5:20, 5:30], labels[20:40, 10:40], labels[41:43], labels[44:] = 280 + number, 100, 65535, 255
            patch = diff_patch(document.labels, document.provenance, labels, np.full(SHAPE, Provenance.USER, np.uint8))
            project.append_step(record.id, "Brush", Provenance.USER, patch)
            document.apply(patch)
            project.save_mask(record.id, document.labels, document.provenance, project.journal.head(record.id))
    return folder


def labels_of(folder: Path, project_dir: Path | None = None) -> list[np.ndarray]:
    with Project.open(folder, project_dir) as project:
        return [project.load(record.id).document.labels.copy() for record in project.images]


def test_edits_exports_and_imports_keep_16_bit(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = labels_of(photos)
    edit = ["--merge", "class 281=class 280", "--delete", "class 100", "--add", "new one", "--lock", "class 255"]
    assert run(["classes", "edit", str(photos), *edit]) == 0
    after = labels_of(photos)
    for old, new in zip(before, after, strict=True):
        expected = np.where(old == 281, 280, np.where(old == 100, 65535, old))
        assert new.dtype == np.uint16
        assert np.array_equal(new, expected)
    for form in EXACT:
        out, again = tmp_path / form, tmp_path / f"{form}-again"
        assert run(["export", str(photos), "-o", str(out), "--format", form, "--scope", "touched"]) == 0, form
        assert run(["import", str(out), "--images", str(photos), "--project", str(again)]) == 0, form
        with Project.open(photos, again) as project:
            assert project.catalog.wide
            assert project.catalog.by_name("new one") is not None
        for one, other in zip(labels_of(photos, again), after, strict=True):
            assert np.array_equal(one, other), form
    assert run(["report", str(photos)]) == 0
    said = capsys.readouterr()
    assert "class 280" in said.out
    assert "more." in said.err
    assert max(map(len, said.err.splitlines())) < 400


def test_a_narrow_format_refuses_with_what_to_do(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("indexed", "voc"):
        assert run(["export", str(photos), "-o", str(tmp_path / form), "--format", form, "--scope", "touched"]) == 1
        assert "Choose raw ids (16-bit PNG) instead" in capsys.readouterr().err
        assert not (tmp_path / form).exists()


def test_predict_evaluate_and_import_of_the_predictions(
    photos: Path, names: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from deeplab_core.nn import create_model
    from deeplab_core.records import ModelCard
    from deeplab_core.weights import save_model

    torch.manual_seed(1)
    model = create_model("deeplabv3plus", backbone="mobilenet_v2", num_classes=300, output_stride=16).eval()
    catalog = get_catalog(names)
    card = ModelCard(
        id="wide", name="Wide", architecture=dict(model.architecture), catalog=catalog, align_corners=model.align_corners
    )
    save_model(tmp_path / "wide.safetensors", model, card)
    pred = tmp_path / "pred"
    assert run(["predict", str(photos), "--model", str(tmp_path / "wide.safetensors"), "-o", str(pred)]) == 0
    masks = [read_mask(path, catalog) for path in sorted(pred.glob("*.png"))]
    assert len(masks) == 2
    assert max(int(mask.max()) for mask in masks) > 254
    assert run(["import", str(pred), "--images", str(photos), "--project", str(tmp_path / "again")]) == 0
    for one, other in zip(labels_of(photos, tmp_path / "again"), masks, strict=True):
        assert np.array_equal(one, other)
    truth, report = tmp_path / "truth", tmp_path / "report.json"
    assert run(["export", str(photos), "-o", str(truth), "--format", "raw_ids", "--scope", "touched"]) == 0
    done = run(["evaluate", "--truth", str(truth), "--prediction", str(pred), "--images", str(photos), "--json", str(report)])
    assert done == 0
    assert "class 299" in report.read_text()
    json.loads(report.read_text())
    # After an edit the classes differ, and the message says in what, although both catalogs have one name.
    assert run(["classes", "edit", str(photos), "--delete", "class 100"]) == 0
    assert run(["export", str(photos), "-o", str(tmp_path / "truth2"), "--format", "raw_ids", "--scope", "touched"]) == 0
    capsys.readouterr()
    arguments = ["--truth", str(tmp_path / "truth2"), "--prediction", str(pred), "--images", str(photos)]
    assert run(["evaluate", *arguments]) == 2
    assert "only the masks have class 100" in capsys.readouterr().err


def test_an_edit_that_would_change_the_bits_is_refused(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = labels_of(photos)
    options = [part for number in range(255, 300) for part in ("--delete", f"class {number}")]
    options += [part for number in range(200, 255) for part in ("--delete", f"class {number}")]
    assert run(["classes", "edit", str(photos), *options]) == 2
    assert "another number of bits" in capsys.readouterr().err
    for one, other in zip(labels_of(photos), before, strict=True):
        assert np.array_equal(one, other)
    assert run(["classes", "set", str(photos), "voc21"]) == 2


def test_an_8_bit_project_says_how_to_get_more_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", SHAPE[::-1]).save(folder / "a.png")
    names = tmp_path / "names.txt"
    names.write_text("".join(f"class {number}\n" for number in range(254)))
    assert run(["classes", "set", str(folder), str(names)]) == 0
    assert run(["classes", "edit", str(folder), "--add", "one more"]) == 2
    assert "class list of more than 254 classes: its masks have 16 bits" in capsys.readouterr().err
