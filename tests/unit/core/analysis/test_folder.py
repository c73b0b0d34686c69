"""A folder of masks: streaming, companions, orders, cut-outs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core.analysis import ErrorComponent, FailureKind, ObjectAxis, inspect_image, slice_objects
from deeplab_core.analysis.cutout import cutout, cutout_box
from deeplab_core.analysis.inspection import FolderSources, inspect_folders
from deeplab_core.analysis.record import EXCLUDED
from deeplab_core.analysis.summary import inspection_to_dict
from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets.ambiguous import AmbiguousMarks
from deeplab_core.datasets.sidecars import SidecarFiles
from deeplab_core.errors import Cancelled, MaskFormatError
from deeplab_core.geometry import Box
from deeplab_core.masks.png import write_mask

VOC = get_catalog("voc21")


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two images: in a/one a chair is called sofa, in two nothing is wrong."""
    for name, called in (("a/one", 18), ("two", 9)):
        truth, prediction = np.zeros((50, 60), np.uint8), np.zeros((50, 60), np.uint8)
        truth[10:40, 10:40], prediction[10:40, 10:40] = 9, called
        for folder in ("truth", "prediction"):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_mask(tmp_path / "truth" / f"{name}.png", truth, VOC)
        write_mask(tmp_path / "prediction" / f"{name}.png", prediction, VOC)
        photograph = tmp_path / "images" / f"{name}.jpg"
        photograph.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((50, 60, 3), 120, np.uint8)).save(photograph)
        confidence = np.full((50, 60), 250 if called == 9 else 100, np.uint8)
        Image.fromarray(confidence).save(tmp_path / "prediction" / f"{name}.confidence.png")
    return tmp_path


def test_from_folder_to_component(folders: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    found = inspect_folders(
        folders / "prediction",
        [folders / "truth"],
        VOC,
        sources=FolderSources(images=folders / "images"),
        progress=lambda *step: seen.append(step),
    )
    folder = found.analysis
    assert seen == [(1, 2, "a/one.png"), (2, 2, "two.png")]
    assert [entry.image for entry in folder.errors.components(truth=9, prediction=18)] == ["a/one.png"]
    assert folder.failure_images(FailureKind.CLASS_SWAP) == [("a/one.png", 900)]
    assert folder.objects["brightness"].tolist() == [120, 120]
    assert folder.get("two.png").objects["right"].tolist() == [900]
    data = json.loads(json.dumps(inspection_to_dict(found), allow_nan=False))
    assert data["format"] == "atrous-inspection-1"
    assert data["components"][0]["box"] == [10, 10, 30, 30]
    assert data["pairs"][0]["forward"] == 900

    # A correction flows into all figures.
    labels = np.zeros((50, 60), np.uint8)
    folder.update("a/one.png", inspect_image(truth=labels, prediction=labels, catalog=VOC))
    assert folder.errors.components() == []
    assert len(folder.objects) == 1
    assert sum(row.objects for row in slice_objects(folder.objects, ObjectAxis.SIZE)) == 1
    assert sum(row.pixels for row in folder.slices["brightness"].rows()) == 50 * 60
    assert sum(row.pixels for row in folder.slices["distance"].rows()) == 2 * 50 * 60


def test_files_that_fail_are_collected(folders: Path) -> None:
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(folders / "truth" / "two.png")
    found = inspect_folders(folders / "prediction", [folders / "truth"], VOC)
    assert list(found.analysis) == ["a/one.png"]
    (error,) = found.failures
    assert error.path == folders / "prediction" / "two.png"
    assert "60 x 50 px, its truth 3 x 3 px" in str(error)


def test_ambiguous_regions_are_not_scored(folders: Path) -> None:
    marks = AmbiguousMarks(50, 60).marked(np.ones((30, 30)), offset=(10, 10), classes=(9, 18))
    (folders / "marks" / "a").mkdir(parents=True)
    path = folders / "marks" / "a" / "one.ambiguous.json"
    path.write_text(json.dumps(marks.to_dict()))
    found = inspect_folders(folders / "prediction", [folders / "truth"], VOC, sources=FolderSources(ambiguous=folders / "marks"))
    assert found.analysis.errors.components() == []
    assert found.analysis.total(EXCLUDED).tolist() == [900]
    for text, says in (
        ("{", "not valid JSON"),
        ("{}", "not a list"),
        (json.dumps(AmbiguousMarks(5, 6).to_dict()), "of 6 x 5 px"),
    ):
        path.write_text(text)
        found = inspect_folders(
            folders / "prediction", [folders / "truth"], VOC, sources=FolderSources(ambiguous=folders / "marks")
        )
        assert says in str(found.failures[0])
        assert found.failures[0].path == path


def test_nothing_to_inspect_and_cancel(folders: Path) -> None:
    (folders / "empty").mkdir()
    with pytest.raises(MaskFormatError, match="no prediction here"):
        inspect_folders(folders / "prediction", [folders / "empty"], VOC)
    with pytest.raises(Cancelled):
        inspect_folders(folders / "prediction", [folders / "truth"], VOC, cancel=lambda: True)
    with pytest.raises(MaskFormatError, match="no such folder"):
        SidecarFiles(folders / "absent", (".json",))


def test_companions_by_path_then_by_stem(tmp_path: Path) -> None:
    for name in ("a/x.jpg", "b/x.jpg", "c/only_leftImg8bit.png", ".hidden/y.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = SidecarFiles(tmp_path, (".jpg", ".png"))
    assert found.of("a/x.png") == tmp_path / "a" / "x.jpg"
    assert found.of("x.png") is None  # two of them
    assert found.of("elsewhere/only_gtFine_labelIds.png") == tmp_path / "c" / "only_leftImg8bit.png"
    assert found.of("y.png") is None


def test_rankings_of_a_folder(folders: Path) -> None:
    sources = FolderSources(second=folders / "truth")
    folder = inspect_folders(folders / "prediction", [folders / "truth"], VOC, sources=sources).analysis
    assert folder.ranking("confidence") == ["a/one.png", "two.png"]
    assert folder.scores("confidence")["a/one.png"] == pytest.approx(155 / 255)
    assert folder.scores("disagreement")["two.png"] == 0
    assert [folder.get(name).wrong_px for name in ("a/one.png", "two.png")] == [900, 0]
    gain = folder.gain("disagreement")
    assert gain is not None
    assert gain.skill == 1
    untold = inspect_folders(folders / "prediction", [], VOC)
    assert untold.rankings == ["confidence", "least_certain", "expected_wrong"]
    assert untold.analysis.gain("confidence") is None
    assert set(inspection_to_dict(untold)) == {"format", "catalog", "images", "rankings", "not_inspected"}


def test_a_mask_without_ground_truth_is_ranked_with_the_others(folders: Path) -> None:
    (folders / "truth" / "two.png").unlink()
    found = inspect_folders(folders / "prediction", [folders / "truth"], VOC)
    assert found.analysis.ranking("confidence") == ["a/one.png", "two.png"]
    assert inspection_to_dict(found)["images"] == 1
    assert [row["image"] for row in inspection_to_dict(found)["rankings"]["confidence"]["images"]] == ["a/one.png", "two.png"]


def test_rankings_need_something_to_go_by(folders: Path) -> None:
    with pytest.raises(MaskFormatError, match="nothing to rank"):
        inspect_folders(folders / "truth", [], VOC)


def test_a_confidence_that_fails_takes_no_image_out_of_the_ranking(folders: Path) -> None:
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(folders / "prediction" / "two.confidence.png")
    found = inspect_folders(folders / "prediction", [folders / "truth"], VOC)
    assert list(found.analysis.scores("confidence")) == ["a/one.png"]
    assert "3 x 3 px" in str(found.failures[0])
    rows = inspection_to_dict(found)["rankings"]["confidence"]["images"]
    assert [row["image"] for row in rows] == ["a/one.png", "two.png"]
    assert rows[1]["score"] is None
    assert set(found.pairs) == {"a/one.png", "two.png"}


def test_a_cutout_shows_the_outline() -> None:
    rgb = np.full((100, 120, 3), 90, np.uint8)
    component = ErrorComponent("x", 9, 18, Box(40, 30, 20, 10), 200, (49.5, 34.5), (40, 30))
    box = cutout_box(component, rgb.shape)
    assert box.holds(component.box)
    picture = cutout(rgb, component, np.ones((10, 20), bool), side=192)
    assert max(picture.shape) == 192
    assert (picture == 255).all(axis=2).any()
    assert (picture < 60).all(axis=2).any()
    corner = cutout_box(ErrorComponent("x", 9, 18, Box(0, 0, 1, 1), 1, (0, 0), (0, 0)), (8, 8, 3))
    assert corner == Box(0, 0, 8, 8)


def test_figures_do_not_depend_on_the_number_of_threads(folders: Path) -> None:
    one, several = (inspect_folders(folders / "prediction", [folders / "truth"], VOC, threads=threads) for threads in (1, 4))
    assert list(one.analysis) == list(several.analysis)
    assert len(one.analysis)
    for image in one.analysis:
        known, other = one.analysis.get(image), several.analysis.get(image)
        assert known is not None
        assert other is not None
        assert known.to_bytes() == other.to_bytes()
    assert [str(error) for error in one.failures] == [str(error) for error in several.failures]
