"""Truth and prediction meet in the displayed frame: in the evaluation, the error analysis, the ranking and training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deeplab_core.analysis.evaluate import evaluate_folders
from deeplab_core.analysis.inspection import FolderSources, inspect_folders
from deeplab_core.analysis.report import ReportExtras, render_report
from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets.pairing import MaskPair
from deeplab_core.errors import AmbiguousFrameError
from deeplab_core.images import to_stored
from deeplab_core.masks.output_marker import mark_output
from deeplab_core.masks.png import encode_png, write_indexed_png
from deeplab_core.training.samples import DataSource
from tests.unit.core.masks.samples import blobs, photograph

VOC = get_catalog("voc21")
SHAPE = (30, 41)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """One photograph of every orientation; the truth is stored as displayed, the prediction (equal to it) as the raw pixels."""
    for folder in ("images", "truth", "prediction"):
        (tmp_path / folder).mkdir()
    names = {f"{orientation}.png": None for orientation in range(1, 9)}
    mark_output(tmp_path / "prediction", "prediction", names, catalog=VOC, frame="stored")
    for orientation in range(1, 9):
        labels = blobs(VOC, SHAPE, seed=orientation)
        photograph(tmp_path / "images" / f"{orientation}.jpg", SHAPE, orientation)
        write_indexed_png(tmp_path / "truth" / f"{orientation}.png", labels, VOC)
        write_indexed_png(tmp_path / "prediction" / f"{orientation}.png", to_stored(labels, orientation), VOC)
        confidence = np.where(np.arange(SHAPE[1]) < 7, 10, 250).astype(np.uint8) * np.ones(SHAPE, np.uint8)
        path = tmp_path / "prediction" / f"{orientation}.confidence.png"
        path.write_bytes(b"".join(encode_png(to_stored(confidence, orientation))))
    return tmp_path


class TestEvaluation:
    def test_a_frame_that_is_said_makes_every_pixel_right(self, mixed: Path) -> None:
        found = evaluate_folders(
            mixed / "prediction", [mixed / "truth"], VOC, images_dir=mixed / "images", frame="oriented", resamples=0
        )
        assert not found.failures
        assert len(found.images) == 8
        assert found.matrix.pixel_accuracy() == 1
        assert found.calibrated_images == 8

    def test_without_it_only_the_images_in_doubt_fail_and_name_the_remedy(self, mixed: Path) -> None:
        found = evaluate_folders(mixed / "prediction", [mixed / "truth"], VOC, images_dir=mixed / "images", resamples=0)
        assert [image.name for image in found.images] == ["1.png", "5.png", "6.png", "7.png", "8.png"]
        assert found.matrix.pixel_accuracy() == 1
        assert {error.path.stem for error in found.failures if error.path} == {"2", "3", "4"}
        assert all(isinstance(error, AmbiguousFrameError) and "--mask-frame" in error.option for error in found.failures)

    @pytest.mark.parametrize(("frame", "warned"), [("stored", False), ("oriented", True)])
    def test_frames_that_differ_are_said_where_no_photograph_can_turn_them(self, mixed: Path, frame: str, warned: bool) -> None:
        mark_output(mixed / "truth", "export", {f"{n}.png": None for n in range(1, 9)}, catalog=VOC, frame=frame)
        found = evaluate_folders(mixed / "prediction", [mixed / "truth"], VOC, resamples=0)
        assert any(note.kind == "frame" for note in found.warnings) is warned
        turned = evaluate_folders(mixed / "prediction", [mixed / "truth"], VOC, images_dir=mixed / "images", resamples=0)
        assert not any(note.kind == "frame" for note in turned.warnings)
        if warned:
            assert turned.matrix.pixel_accuracy() == 1

    def test_the_report_shows_masks_as_the_photograph_is_displayed(self, mixed: Path) -> None:
        found = evaluate_folders(
            mixed / "prediction", [mixed / "truth"], VOC, images_dir=mixed / "images", frame="oriented", resamples=0
        )
        assert found.reader is not None
        for image in found.images:
            pair = found.reader.read(MaskPair(image.name, image.prediction, image.truth))
            assert np.array_equal(pair.prediction, blobs(VOC, SHAPE, seed=int(Path(image.name).stem)))
        page = render_report(found, extras=ReportExtras(photographs=mixed / "images"))
        assert "About these masks" in page
        assert "void (255) covers" in page

    def test_confidence_turns_with_its_mask(self, mixed: Path) -> None:
        upright = mixed / "upright"
        upright.mkdir()
        for orientation in range(1, 9):
            labels = blobs(VOC, SHAPE, seed=orientation)
            write_indexed_png(upright / f"{orientation}.png", labels, VOC)
            source = (mixed / "prediction" / "1.confidence.png").read_bytes()
            (upright / f"{orientation}.confidence.png").write_bytes(source)
        turned = evaluate_folders(
            mixed / "prediction", [mixed / "truth"], VOC, images_dir=mixed / "images", frame="oriented", resamples=0
        )
        plain = evaluate_folders(upright, [mixed / "truth"], VOC, resamples=0)
        assert turned.calibration is not None
        assert plain.calibration is not None
        assert turned.calibration.bins().ece == plain.calibration.bins().ece


def test_the_error_analysis_follows_the_frame(mixed: Path) -> None:
    sources = FolderSources(images=mixed / "images", frame="oriented")
    found = inspect_folders(mixed / "prediction", [mixed / "truth"], VOC, sources=sources)
    assert not found.failures
    assert found.analysis.wrong_px == 0
    doubtful = inspect_folders(mixed / "prediction", [mixed / "truth"], VOC, sources=FolderSources(images=mixed / "images"))
    assert {error.path.stem for error in doubtful.failures if error.path} == {"2", "3", "4"}


def test_the_ranking_follows_the_frame(mixed: Path) -> None:
    sources = FolderSources(images=mixed / "images", second=mixed / "truth", frame="oriented")
    found = inspect_folders(mixed / "prediction", [mixed / "truth"], VOC, sources=sources)
    assert not found.failures
    assert set(found.analysis.scores("disagreement").values()) == {0.0}
    untold = inspect_folders(mixed / "prediction", [], VOC, sources=sources)
    assert untold.analysis.scores("confidence") == found.analysis.scores("confidence")
    assert untold.analysis.scores("disagreement") == found.analysis.scores("disagreement")


def test_training_samples_follow_the_frame(mixed: Path) -> None:
    table = {"images": "images", "truth": "truth", "mask_frame": "displayed"}
    source = DataSource.from_table(table, mixed)
    assert DataSource.from_table(source.to_table(), mixed) == source
    for sample in source.samples(VOC):
        _, labels = sample.read(VOC)
        assert np.array_equal(labels, blobs(VOC, SHAPE, seed=int(Path(sample.name).stem)))
    untold = DataSource(images=mixed / "images", truth=mixed / "truth").samples(VOC)
    refused = [sample.name for sample in untold if _is_refused(sample)]
    assert refused == ["2.jpg", "3.jpg", "4.jpg"]


def _is_refused(sample: object) -> bool:
    try:
        sample.read(VOC)  # type: ignore[attr-defined]
    except AmbiguousFrameError:
        return True
    return False
