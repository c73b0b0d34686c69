from __future__ import annotations

import json
import math
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core.analysis.evaluate import Evaluation, evaluate_folders
from deeplab_core.analysis.report import render_report, write_report
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.datasets.ambiguous import AmbiguousMarks
from deeplab_core.errors import Cancelled, MaskFormatError, StorageError
from deeplab_core.masks.png import write_indexed_png
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.metrics.trimap import band_map
from deeplab_core.metrics.trimap_histogram import BandHistogram

CATALOG = ClassCatalog(
    name="rooms",
    title="Rooms <b>",
    classes=(ClassInfo(0, "floor", (0, 0, 0)), ClassInfo(3, "chair & stool", (192, 0, 0)), ClassInfo(8, "lamp", (0, 64, 0))),
)


def scene(seed: int, shape: tuple[int, int] = (60, 80)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.choice([0, 0, 3, 8, 255], (6, 8)), np.ones((10, 10))).astype(np.uint8)[: shape[0], : shape[1]]
    prediction = np.where(rng.random(truth.shape) < 0.2, rng.choice([0, 3, 255], truth.shape), truth).astype(np.uint8)
    return truth, prediction


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Five scenes as files: predictions with sub-folders, truth flat."""
    ours, theirs = tmp_path / "prediction", tmp_path / "truth"
    for seed in range(5):
        truth, prediction = scene(seed)
        for root, name, labels in ((ours, f"day{seed % 2}/{seed}.png", prediction), (theirs, f"{seed}.png", truth)):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            write_indexed_png(root / name, labels, CATALOG)
    return ours, theirs


def test_a_folder_equals_its_images_counted_by_hand(folders: tuple[Path, Path]) -> None:
    seen: list[tuple[int, int, str]] = []
    found = evaluate_folders(*folders[:1], [folders[1]], CATALOG, bands=(8, 2), progress=lambda *step: seen.append(step))
    matrix, bands = ConfusionMatrix(CATALOG), BandHistogram(CATALOG, rule="edge")
    for seed, image in zip((0, 2, 4, 1, 3), found.images, strict=True):
        truth, prediction = scene(seed)
        own = ConfusionMatrix(CATALOG).update(truth=truth, prediction=prediction)
        index = band_map(truth=truth, rule="edge")
        own_bands = BandHistogram(CATALOG, rule="edge").update(index=index, truth=truth, prediction=prediction)
        matrix += own
        bands += own_bands
        assert image.name == f"day{seed % 2}/{seed}.png"
        assert image.mean_iou == own.mean_iou("truth")
        assert image.pixel_accuracy == own.pixel_accuracy()
        assert image.labelled_px == own.total
        assert image.band_px == own_bands.inside(40).total
        assert image.band_iou == {2: own_bands.curve("truth").mean_iou[1], 8: own_bands.curve("truth").mean_iou[7]}
        np.testing.assert_array_equal(image.iou, own.iou())
        np.testing.assert_array_equal(image.truth_px, own.truth_pixels())
    assert found.matrix == matrix
    assert found.histogram == bands
    assert found.widths == (2, 8)
    assert found.failures == found.missing == found.extra == ()
    assert seen[-1] == (5, 5, "day1/3.png")
    assert [step[0] for step in seen] == [1, 2, 3, 4, 5]
    ranked = [image.mean_iou.value for image in found.worst_first]
    assert ranked == sorted(ranked)


@pytest.mark.parametrize(("rule", "around"), [("void", "truth"), ("edge", "prediction")])
def test_the_band_rule_is_passed_on(folders: tuple[Path, Path], rule, around) -> None:
    found = evaluate_folders(folders[0], [folders[1]], CATALOG, band_rule=rule, band_around=around)
    expected = BandHistogram(CATALOG, rule=rule, around=around)
    for seed in range(5):
        truth, prediction = scene(seed)
        index = band_map(truth=truth, prediction=prediction, rule=rule, around=around)
        expected.update(index=index, truth=truth, prediction=prediction)
    assert found.histogram == expected


def test_files_that_fail_are_collected_and_the_rest_goes_on(folders: tuple[Path, Path]) -> None:
    ours, theirs = folders
    sound = evaluate_folders(ours, [theirs], CATALOG)
    write_indexed_png(ours / "day0/0.png", np.zeros((60, 79), np.uint8), CATALOG)
    write_indexed_png(ours / "day1/1.png", np.zeros((80, 60), np.uint8), CATALOG)
    Image.fromarray(np.full((60, 80), 77, np.uint8)).save(ours / "day0/2.png")
    (theirs / "3.png").write_bytes(b"not a picture")
    write_indexed_png(theirs / "9.png", np.zeros((4, 4), np.uint8), CATALOG)
    write_indexed_png(ours / "7.png", np.zeros((4, 4), np.uint8), CATALOG)
    found = evaluate_folders(ours, [theirs], CATALOG)
    assert [image.name for image in found.images] == ["day0/4.png"]
    assert found.matrix.total == next(image for image in sound.images if image.name == "day0/4.png").labelled_px
    assert found.missing == (theirs / "9.png",)
    assert found.extra == (ours / "7.png",)
    by_file = {error.path: str(error) for error in found.failures}
    assert set(by_file) == {ours / "day0/0.png", ours / "day1/1.png", ours / "day0/2.png", theirs / "3.png"}
    assert "79 x 60 px, its truth 80 x 60 px" in by_file[ours / "day0/0.png"]
    assert "never resized" in by_file[ours / "day0/0.png"]
    assert "EXIF" in by_file[ours / "day1/1.png"]
    assert "77" in by_file[ours / "day0/2.png"]


def test_figures_do_not_depend_on_the_number_of_threads(folders: tuple[Path, Path]) -> None:
    (folders[1] / "3.png").write_bytes(b"not a picture")
    alone, together = (evaluate_folders(folders[0], [folders[1]], CATALOG, threads=threads) for threads in (1, 3))
    assert alone.to_json() == together.to_json()
    assert [image.name for image in alone.images] == [image.name for image in together.images]


def test_nothing_to_compare_is_an_error(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    with pytest.raises(MaskFormatError, match="no prediction here has a truth"):
        evaluate_folders(folders[0], [], CATALOG)
    with pytest.raises(MaskFormatError, match="no such folder"):
        evaluate_folders(folders[0], [tmp_path / "gone"], CATALOG)
    with pytest.raises(ValueError, match="band width 41"):
        evaluate_folders(folders[0], [folders[1]], CATALOG, bands=(1, 41))


def test_cancel_ends_the_work(folders: tuple[Path, Path]) -> None:
    done: list[str] = []
    with pytest.raises(Cancelled):
        evaluate_folders(
            folders[0], [folders[1]], CATALOG, progress=lambda *step: done.append(step[2]), cancel=lambda: len(done) >= 2
        )
    assert len(done) == 2


def evaluated(folders: tuple[Path, Path]) -> Evaluation:
    ours, theirs = folders
    write_indexed_png(theirs / "<script>.png", np.zeros((4, 4), np.uint8), CATALOG)
    write_indexed_png(ours / "void&.png", np.full((50, 50), 255, np.uint8), CATALOG)
    write_indexed_png(theirs / "void&.png", np.full((50, 50), 255, np.uint8), CATALOG)
    return evaluate_folders(ours, [theirs], CATALOG)


def test_json_is_plain_and_says_its_rules(folders: tuple[Path, Path]) -> None:
    found = evaluated(folders)
    data = json.loads(found.to_json())
    assert data["pooled"]["mean_iou"] == pytest.approx(found.matrix.mean_iou().value)
    assert data["pooled"]["mean_iou_classes"] == 3
    assert [row["iou"] for row in data["pooled"]["classes"]] == pytest.approx(found.matrix.iou().tolist())
    assert ConfusionMatrix.from_dict(data["confusion"], CATALOG) == found.matrix
    assert len(data["bands"]["curve"]) == 40
    assert [row["width_px"] for row in data["bands"]["widths"]] == [1, 2, 4, 8, 16, 40]
    inside, outside = data["bands"]["widths"][2]["inside"], data["bands"]["widths"][2]["outside"]
    assert inside["labelled_px"] + outside["labelled_px"] == data["pooled"]["labelled_px"]
    assert "Euclidean" in data["bands"]["rule_text"]
    assert "pooled" in data["absent_class_rule"]["pooled"]
    empty = next(row for row in data["images"] if row["name"] == "void&.png")
    assert empty["mean_iou"] is None
    assert empty["band_mean_iou"]["1"] is None
    assert data["truth_without_prediction"] == [str(folders[1] / "<script>.png")]
    assert ClassCatalog.from_dict(data["catalog"]) == CATALOG


class Page(HTMLParser):
    """Checks that tags are balanced and collects text and what the page would load."""

    void_tags = frozenset({"meta", "line", "circle", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.loads: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.loads += [f"{name}={value}" for name, value in attrs if name in ("src", "href")]
        if tag not in self.void_tags:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void_tags:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_report_is_one_sound_page_with_every_figure_and_its_rule(folders: tuple[Path, Path], tmp_path: Path) -> None:
    found = evaluated(folders)
    write_report(found, tmp_path / "report.html", "Rooms & lamps")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not page.open
    assert page.loads
    assert all(load.startswith("src=data:image/") for load in page.loads)
    assert "script" not in page.seen
    assert page.seen.count("svg") == 3  # bars, trimap curve, confusion
    words = " ".join(page.texts)
    mean = found.matrix.mean_iou()
    for expected in (
        "Rooms & lamps", "Rooms <b>", "chair & stool", "void&.png", "<script>.png", f"{100 * mean.value:.1f}\u202f%",
        f"mIoU over {mean.classes} classes", "from one pooled matrix", "classes present in the truth", "Euclidean",
        "5 of 6 images have such a boundary", "have no prediction", "1 file of the truth without a prediction",
    ):  # fmt: skip
        assert expected in words
    assert "prefers-color-scheme: dark" in text
    assert "nan" not in words.lower()
    order = [words.index(image.name) for image in found.worst_first]
    assert order == sorted(order)


def test_a_report_without_bands_or_confusions(tmp_path: Path) -> None:
    for name in ("p", "t"):
        (tmp_path / name).mkdir()
        write_indexed_png(tmp_path / name / "1.png", np.zeros((9, 9), np.uint8), CATALOG)
    found = evaluate_folders(tmp_path / "p", [tmp_path / "t"], CATALOG, bands=())
    words = " ".join(Page(render_report(found)).texts)
    assert "not measured: no pixel is within 40 px of such a boundary" in words
    assert "No class is called by another's name" in words
    assert "In neither truth nor prediction: chair & stool, lamp" in words
    assert math.isnan(found.histogram.curve().mean_iou[39])


def test_a_report_that_cannot_be_written_says_so(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        write_report(evaluated(folders), tmp_path / "no" / "such" / "report.html")


def test_long_lists_are_cut_and_say_so(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deeplab_core.analysis.report.tables._IMAGES", 2)
    monkeypatch.setattr("deeplab_core.analysis.report.page._LISTED", 1)
    for name in "xyz":
        write_indexed_png(folders[1] / f"{name}.png", np.zeros((4, 4), np.uint8), CATALOG)
    page = Page(render_report(evaluate_folders(folders[0], [folders[1]], CATALOG)))
    words = " ".join(page.texts)
    assert "3 better images are not listed" in words
    assert "and 2 more" in words
    assert "details" in page.seen


def test_ambiguous_regions_are_in_no_figure(folders: tuple[Path, Path], tmp_path: Path) -> None:
    truth, prediction = scene(0)
    inside = np.zeros(truth.shape, dtype=bool)
    inside[5:40, 10:60] = True
    (tmp_path / "marks").mkdir()
    path = tmp_path / "marks" / "0.ambiguous.json"
    path.write_text(json.dumps(AmbiguousMarks(*truth.shape).marked(inside, classes=(3, 8)).to_dict()))
    Image.fromarray(np.full(truth.shape, 128, np.uint8)).save(folders[0] / "day0" / "0.confidence.png")
    plain = evaluate_folders(folders[0], [folders[1]], CATALOG)
    found = evaluate_folders(folders[0], [folders[1]], CATALOG, ambiguous_dir=tmp_path / "marks")
    scored = np.where(inside, 255, truth).astype(np.uint8)
    expected = ConfusionMatrix(CATALOG).update(truth=scored, prediction=prediction)
    assert found.excluded_px == (inside & (truth != 255)).sum() == plain.matrix.total - found.matrix.total
    assert found.images[0].labelled_px == expected.total
    assert found.images[0].mean_iou == expected.mean_iou("truth")
    bands = BandHistogram(CATALOG, rule="edge").update(
        index=band_map(truth=truth, rule="edge"), truth=scored, prediction=prediction
    )
    before = BandHistogram(CATALOG, rule="edge").update(
        index=band_map(truth=truth, rule="edge"), truth=truth, prediction=prediction
    )
    lost = before.inside(4).total - bands.inside(4).total
    assert plain.histogram.inside(4).total - found.histogram.inside(4).total == lost > 0
    assert found.calibration is not None
    assert found.calibration.counts.sum() == (scored[prediction != 255] != 255).sum()
    assert json.loads(found.to_json())["excluded_px"] == found.excluded_px
    assert "marked as ambiguous" in render_report(found, "t")
    assert "marked as ambiguous" not in render_report(plain, "t")
    path.write_text("{")
    (error,) = evaluate_folders(folders[0], [folders[1]], CATALOG, ambiguous_dir=tmp_path / "marks").failures
    assert error.path == path
