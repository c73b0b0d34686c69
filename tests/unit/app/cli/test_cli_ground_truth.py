"""Every command that reads ground truth: found only if certain, never a prediction, classes recognised, all of it said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.cli import run
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets import find_truth, read_marker
from deeplab_core.masks import Untouched, mark_output
from deeplab_core.masks.export import ExportItem, export_masks, get_exporter
from deeplab_core.masks.png import write_indexed_png
from tests.unit.app.tiny_model import save_photograph, save_tiny_model

VOC, CAMVID = get_catalog("voc21"), get_catalog("camvid11")
SIZE = (48, 64)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny.safetensors")


def labels(seed: int = 0) -> np.ndarray:
    found = np.zeros(SIZE, np.uint8)
    found[10:30, 10 + seed : 40 + seed] = 1
    found[30:40, :] = 2
    return found


def masks(folder: Path, count: int = 3, catalog: ClassCatalog | None = VOC, values: np.ndarray | None = None) -> Path:
    """Indexed masks of a catalog; grey ones without."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        content = labels(number) if values is None else values
        if catalog is None:
            Image.fromarray(content).save(folder / f"{number}.png")
        else:
            write_indexed_png(folder / f"{number}.png", content, catalog)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """``photos`` with three photographs, and masks to evaluate in ``answers``."""
    (tmp_path / "photos").mkdir()
    for number in range(3):
        save_photograph(tmp_path / "photos" / f"{number}.jpg", *SIZE, seed=number)
    masks(tmp_path / "answers")
    return tmp_path


def export(folder: Path, touched: int) -> None:
    items = [
        ExportItem(
            name=f"{n}.jpg",
            catalog=VOC,
            labels=lambda n=n: labels(n),  # type: ignore[misc]
            untouched=lambda n=n: Untouched(10, whole=n >= touched),  # type: ignore[misc]
        )
        for n in range(3)
    ]
    export_masks(items, get_exporter("indexed"), folder)


def evaluate(data: Path, *more: str) -> int:
    return run(["evaluate", "--prediction", str(data / "answers"), "--resamples", "0", "--json", str(data / "e.json"), *more])


def written(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())["ground_truth"]


#: Commands that find ground truth beside photographs: arguments without ``--truth``.
FINDERS: dict[str, Callable[[Path, Path], list[str]]] = {
    "evaluate": lambda data, _model: [
        "evaluate", "--prediction", str(data / "answers"), "--images", str(data / "photos"), "--resamples", "0"
    ],
    "refine --search": lambda data, model: ["refine", str(data / "photos"), "--search", "--model", str(model), "--limit", "2"],
    "train": lambda data, _model: ["train", "--images", str(data / "photos"), "-o", str(data / "run"), "--steps", "1"],
}  # fmt: skip
#: Commands that read ground truth from ``--truth``.
READERS: dict[str, Callable[[Path, Path], list[str]]] = FINDERS | {
    "inspect": lambda data, _model: ["inspect", "--prediction", str(data / "answers")],
    "rank": lambda data, model: ["rank", str(data / "photos"), "--model", str(model), "--device", "cpu"],
}


@pytest.mark.parametrize("command", FINDERS)
class TestFinding:
    def test_doubt_is_refused_and_both_folders_are_named(
        self, command: str, data: Path, model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        one, other = masks(data / "masks"), masks(data / "annotations")
        assert run(FINDERS[command](data, model)) == 2
        told = capsys.readouterr()
        assert "the ground truth is not certain" in told.err
        assert "Name it with --truth DIR" in told.err
        assert f": {other} or {one}" in told.err or f": {one} or {other}" in told.err
        assert told.out == ""

    def test_a_folder_that_is_only_named_after_the_images_is_refused(
        self, command: str, data: Path, model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        masks(data / "photos_masks")
        assert run(FINDERS[command](data, model)) == 2
        told = capsys.readouterr().err
        assert "Name it with --truth DIR" in told
        assert f": {data / 'photos_masks'}" in told

    @pytest.mark.parametrize("kind", ["prediction", "refined", "export"])
    def test_what_atrous_wrote_is_not_found(
        self, command: str, kind: Any, data: Path, model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        masks(data / "masks")
        mark_output(data / "masks", kind, {f"{n}.png": None for n in range(3)}, catalog=VOC)
        assert run(FINDERS[command](data, model)) == 2
        assert str(data / "masks") in capsys.readouterr().err

    def test_classes_in_doubt_are_refused_with_the_candidates(
        self, command: str, data: Path, model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        if command == "refine --search":
            pytest.skip("the classes of the model count where only values speak")
        masks(data / "labels", catalog=None)
        assert run(FINDERS[command](data, model)) == 2
        told = capsys.readouterr().err
        assert "the classes of these masks are not certain" in told
        assert "--catalog" in told
        assert "voc21" in told
        assert "camvid11" in told

    def test_a_contradiction_is_refused(self, command: str, data: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (data / "photos").rename(data / "train")
        masks(data / "trainannot", catalog=None, values=np.full(SIZE, 20, np.uint8))
        arguments = [part.replace(str(data / "photos"), str(data / "train")) for part in FINDERS[command](data, model)]
        assert run(arguments) == 2
        assert "the ids 20 are not those of 'camvid11'" in capsys.readouterr().err


@pytest.mark.parametrize("command", READERS)
class TestNaming:
    def test_predictions_are_refused(self, command: str, data: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
        folder = masks(data / "out")
        mark_output(folder, "prediction", {f"{n}.png": None for n in range(3)}, catalog=VOC, model="rooms-voc")
        assert run([*READERS[command](data, model), "--truth", str(folder)]) == 2
        told = capsys.readouterr().err
        assert "it holds predictions that Atrous wrote (rooms-voc)" in told
        assert "--allow-predicted-truth" in told

    def test_the_record_of_an_older_predict_is_enough(
        self, command: str, data: Path, model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = masks(data / "out")
        record = {"model": "m", "catalog": "voc21", "options": "o", "frame": "stored"}
        (folder / "atrous-run.json").write_text(json.dumps(record))
        assert run([*READERS[command](data, model), "--truth", str(folder)]) == 2
        assert "predictions that Atrous wrote" in capsys.readouterr().err


class TestEvaluate:
    def test_what_is_found_is_said_and_recorded(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        masks(data / "truth")
        assert evaluate(data, "--images", str(data / "photos")) == 0
        told = capsys.readouterr()
        assert f"ground truth: {data / 'truth'} has the names of 3 of 3 images" in told.err
        assert f"classes: {VOC.title} ('voc21'). The colours are those of the catalog" in told.err
        assert "mIoU  1.0000" in told.out
        found = written(data / "e.json")
        assert (found["folders"], found["found"], found["catalog"]) == ([str(data / "truth")], True, "voc21")
        assert found["written_by_atrous"] == []

    def test_more_matches_win_over_a_nicer_name(self, data: Path) -> None:
        masks(data / "truth", 3)
        masks(data / "photos_masks", 2)
        assert evaluate(data, "--images", str(data / "photos")) == 0
        assert written(data / "e.json")["folders"] == [str(data / "truth")]

    @pytest.mark.parametrize("name", ["masks", "photos_masks", "labels"])
    def test_the_masks_themselves_are_never_their_ground_truth(
        self, name: str, data: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["--prediction", str(masks(data / name)), "--images", str(data / "photos"), "--resamples", "0"]
        assert run(["evaluate", *arguments]) == 2
        assert "holds the masks that are to be compared" in capsys.readouterr().err
        masks(data / "truth", 2)
        assert run(["evaluate", *arguments]) == 0
        assert f"ground truth: {data / 'truth'} has" in capsys.readouterr().err

    def test_an_export_is_accepted_with_the_images_that_no_user_touched(
        self, data: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        export(data / "photos_export", touched=1)
        assert evaluate(data, "--truth", str(data / "photos_export")) == 0
        assert "no user touched 2 of its 3 images" in capsys.readouterr().err
        (row,) = written(data / "e.json")["written_by_atrous"]
        assert (row["kind"], row["images"], row["untouched_images"], row["untouched_pixels"]) == ("export", 3, 2, 30)

    def test_predictions_are_allowed_on_request(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        folder = masks(data / "out")
        mark_output(folder, "prediction", {f"{n}.png": None for n in range(3)}, catalog=VOC)
        assert evaluate(data, "--truth", str(folder), "--allow-predicted-truth") == 0
        assert "predictions that Atrous wrote" in capsys.readouterr().err
        assert written(data / "e.json")["written_by_atrous"][0]["kind"] == "prediction"

    def test_all_that_is_named_leaves_nothing_to_say(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        masks(data / "truth")
        assert evaluate(data, "--truth", str(data / "truth"), "--catalog", "voc21") == 0
        assert "ground truth" not in capsys.readouterr().err
        assert written(data / "e.json")["catalog_reason"] == "You named them"

    def test_the_classes_of_camvid_are_recognised(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """8f62d5b read such a folder as VOC in the window, and asked for --catalog here."""
        (data / "photos").rename(data / "train")
        masks(data / "trainannot", catalog=None)
        assert evaluate(data, "--images", str(data / "train")) == 0
        assert "('camvid11')" in capsys.readouterr().err
        assert json.loads((data / "e.json").read_text())["catalog"]["name"] == "camvid11"

    def test_masks_and_ground_truth_of_different_classes_are_refused(
        self, data: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        masks(data / "trainannot", catalog=None)
        mark_output(data / "answers", "prediction", {f"{n}.png": None for n in range(3)}, catalog=VOC)
        assert evaluate(data, "--truth", str(data / "trainannot")) == 2
        assert (
            "the masks have the classes of 'voc21', the ground truth has others: only the masks have background"
            in capsys.readouterr().err
        )
        assert evaluate(data, "--truth", str(data / "trainannot"), "--catalog", "camvid11") == 0

    def test_neither_ground_truth_nor_photographs(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert evaluate(data) == 2
        assert "--truth DIR, or the photographs with --images DIR" in capsys.readouterr().err

    def test_the_frame_of_masks_that_fit_both_ways_must_be_named(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for number in range(3):
            picture = Image.open(data / "photos" / f"{number}.jpg")
            exif = picture.getexif()
            exif[0x0112] = 3  # turned by 180 degrees: both frames have the same size
            picture.save(data / "photos" / f"{number}.jpg", exif=exif)
        folder = masks(data / "truth")
        for number in range(3):
            write_indexed_png(folder / f"{number}.png", labels(number)[::-1, ::-1].copy(), VOC)
        more = ["--images", str(data / "photos"), "--catalog", "voc21"]
        mark_output(data / "answers", "prediction", {f"{n}.png": None for n in range(3)}, catalog=VOC, frame="oriented")
        assert evaluate(data, *more) != 0
        assert "--mask-frame stored or --mask-frame displayed" in capsys.readouterr().err
        assert evaluate(data, *more, "--mask-frame", "stored") == 0
        assert "mIoU  1.0000" in capsys.readouterr().out
        assert written(data / "e.json")["mask_frame"] == "stored"
        assert evaluate(data, *more, "--mask-frame", "displayed") == 0
        assert "mIoU  1.0000" not in capsys.readouterr().out
        assert evaluate(data, "--truth", str(folder), "--catalog", "voc21", "--mask-frame", "stored") == 2
        assert "--mask-frame needs the photographs" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "inspect"])
def test_a_folder_without_masks_is_named(command: str, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Photographs, or nothing: the remedy was once to name classes."""
    for folder in (data / "photos", data / "empty"):
        folder.mkdir(exist_ok=True)
        assert run([command, "--prediction", str(data / "answers"), "--truth", str(folder)]) == 2
        told = capsys.readouterr().err
        assert f"{folder}: no ground truth mask was found in this folder" in told
        assert "--catalog" not in told


def test_inspect_recognises_classes_with_and_without_ground_truth(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks(data / "truth")
    file = data / "i.json"
    base = ["inspect", "--prediction", str(data / "answers"), "--json", str(file)]
    assert run([*base, "--truth", str(data / "truth")]) == 0
    assert "('voc21')" in capsys.readouterr().err
    assert written(file)["folders"] == [str(data / "truth")]
    assert run([*base, "--second", str(data / "truth")]) == 0
    assert "('voc21')" in capsys.readouterr().err
    masks(data / "answers", catalog=None)
    assert run([*base, "--second", str(data / "truth")]) == 2
    assert "the classes of these masks are not certain" in capsys.readouterr().err


def test_ranking_takes_the_classes_of_the_model_where_only_values_speak(
    data: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks(data / "truth", catalog=None)
    file = data / "d.json"
    arguments = ["rank", str(data / "photos"), "--model", str(model), "--device", "cpu", "--json", str(file)]
    assert run([*arguments, "--truth", str(data / "truth")]) == 0
    assert "classes: Tiny ('tiny'). They are the classes of the model" in capsys.readouterr().err
    assert written(file)["catalog"] == "tiny"
    # Anything else that speaks for other classes contradicts the model.
    masks(data / "trainannot", catalog=None)
    assert run([*arguments, "--truth", str(data / "trainannot")]) == 2
    assert "no class in common" in capsys.readouterr().err


def test_refine_takes_the_classes_of_its_masks_from_their_marker_and_leaves_one(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark_output(data / "answers", "prediction", {f"{n}.png": None for n in range(3)}, catalog=VOC, model="m")
    out = data / "refined"
    assert run(["refine", str(data / "photos"), "--masks", str(data / "answers"), "-o", str(out)]) == 0
    assert "Atrous wrote these masks with the classes of 'voc21'" in capsys.readouterr().err
    marker = read_marker(out)
    assert marker is not None
    assert (marker.kind, marker.images, marker.catalog) == ("refined", 3, VOC)


def test_predict_leaves_a_marker_that_a_resumed_run_keeps(data: Path, model: Path) -> None:
    out = data / "photos_masks"
    arguments = ["predict", str(data / "photos"), "--model", str(model), "-o", str(out)]
    assert run(arguments) == 0
    marker = read_marker(out)
    assert marker is not None
    assert (marker.kind, marker.images, marker.frame, marker.complete) == ("prediction", 3, "stored", True)
    assert marker.model is not None
    assert marker.model.endswith("tiny")
    assert marker.catalog is not None
    assert marker.catalog.name == "tiny"
    save_photograph(data / "photos" / "3.jpg", *SIZE)
    assert run([*arguments, "--resume"]) == 0
    again = read_marker(out)
    assert again is not None
    assert (again.images, again.complete) == (4, True)
    names = [f"{number}.jpg" for number in range(4)]
    assert not find_truth(data / "photos", names).files, "its own masks are not ground truth"


def test_validation_images_go_through_the_same_door(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    masks(data / "photos_masks")
    (data / "more").mkdir()
    for number in range(3):
        save_photograph(data / "more" / f"{number}.jpg", *SIZE, seed=number)
    masks(data / "set_labels")
    more = ["--truth", str(data / "set_labels"), "-o", str(data / "run"), "--steps", "1"]
    assert run(["train", "--images", str(data / "more"), "--val-images", str(data / "photos"), *more]) == 2
    told = capsys.readouterr().err
    assert f"{data / 'photos_masks'} is only named after the images" in told or "have as many masks" in told
    assert "--val-truth for validation images" in told


def test_training_says_what_it_found(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(data / "set_export", touched=3)
    more = ["-o", str(data / "run"), "--steps", "1", "--batch", "1", "--crop", "33x33", "--threads", "1", "--json"]
    more += ["--backbone", "mobilenet_v2", "--device", "cpu", "--set", "norm='frozen'"]
    assert run(["train", "--images", str(data / "photos"), "--truth", str(data / "set_export"), *more]) == 0
    told = capsys.readouterr()
    assert "users worked on each of its 3 images" in told.err
    assert "('voc21')" in told.err
    summary = json.loads(told.out.splitlines()[-1])
    (row,) = summary["ground_truth"]
    assert (row["folders"], row["found"], row["untouched_images"]) == ([str(data / "set_export")], False, 0)
