"""Files beside the masks, pictures of the worst images, curves from files, and the declared layout of the JSON."""

from __future__ import annotations

import base64
import io
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core.analysis import report
from deeplab_core.analysis.evaluate import evaluate_folders
from deeplab_core.analysis.evaluation import FORMAT
from deeplab_core.analysis.inspection import inspect_folders
from deeplab_core.analysis.report import ReportExtras, read_failures, read_slices, render_report
from deeplab_core.analysis.report.plots import polyline, score_ticks, slices_svg
from deeplab_core.analysis.report.slices import SliceCurve, SlicePoint
from deeplab_core.analysis.report.thumbnails import Photographs
from deeplab_core.analysis.summary import inspection_to_dict
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import MaskFormatError
from deeplab_core.masks.png import write_indexed_png
from deeplab_core.metrics.image_counts import ImageCounts
from tests.unit.core.metrics.maps import catalog_of

CATALOG = catalog_of(0, 3, 8, name="rooms")
SCHEMA = json.loads((Path(report.__file__).parent / "evaluation.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three images; the first is all wrong, two have confidence maps."""
    ours, theirs = tmp_path / "prediction", tmp_path / "truth"
    ours.mkdir()
    theirs.mkdir()
    for seed in range(3):
        rng = np.random.default_rng(seed)
        truth = np.kron(rng.choice([0, 3, 8, 255], (4, 5)), np.ones((9, 9))).astype(np.uint8)
        prediction = np.where(rng.random(truth.shape) < 0.2, 8, truth).astype(np.uint8)
        prediction[truth == 255] = 0
        if seed == 0:
            prediction[:] = np.where(truth == 3, 8, 3)
        write_indexed_png(theirs / f"{seed}.png", truth, CATALOG)
        write_indexed_png(ours / f"{seed}.png", prediction, CATALOG)
        if seed:
            confidence = rng.integers(100, 256, truth.shape).astype(np.uint8)
            Image.fromarray(confidence).save(ours / f"{seed}.confidence.png")
    return ours, theirs


def schema_errors(data: object) -> list[str]:
    jsonschema = pytest.importorskip("jsonschema", reason="the JSON is validated with the package jsonschema")
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(data)]


def test_confidence_maps_give_the_calibration(folders: tuple[Path, Path]) -> None:
    found = evaluate_folders(folders[0], [folders[1]], CATALOG, resamples=50)
    assert found.calibrated_images == 2
    assert found.calibration is not None
    assert found.calibration.total == sum(image.labelled_px for image in found.images[1:])
    page = render_report(found)
    assert "2 of 3 images have a confidence map" in page
    assert "expected calibration error" in page


def test_a_confidence_map_that_does_not_fit_is_named_and_its_image_stays(folders: tuple[Path, Path]) -> None:
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(folders[0] / "1.confidence.png")
    Image.fromarray(np.zeros((36, 45), np.uint16)).save(folders[0] / "2.confidence.png")
    found = evaluate_folders(folders[0], [folders[1]], CATALOG, resamples=0)
    assert len(found.images) == 3
    assert found.calibration is None
    assert [error.path for error in found.failures] == [folders[0] / "1.confidence.png", folders[0] / "2.confidence.png"]
    assert "5 x 5 px" in str(found.failures[0])
    assert "8-bit" in str(found.failures[1])


def test_cityscapes_scores_come_with_its_catalog(tmp_path: Path) -> None:
    city = get_catalog("cityscapes19")
    (tmp_path / "p").mkdir()
    (tmp_path / "t").mkdir()
    for number in range(2):
        truth = np.full((6, 8), 13, np.uint8)
        truth[3:] = 0
        prediction = truth.copy()
        prediction[0, : 4 + number] = 0
        write_indexed_png(tmp_path / "p" / f"a_{number}.png", prediction, city)
        write_indexed_png(tmp_path / "t" / f"a_{number}_gtFine_labelTrainIds.png", truth, city)
        instances = np.where(truth == 13, 26_000 + number, 7).astype(np.uint16)
        Image.fromarray(instances).save(tmp_path / "t" / f"a_{number}_gtFine_instanceIds.png")
    found = evaluate_folders(tmp_path / "p", [tmp_path / "t"], city, resamples=0)
    assert found.boundary is not None
    assert found.boundary.ratio == 0.005
    assert found.cityscapes is not None
    weight = 12794.0202738185 / 24
    assert found.cityscapes.instance_iou["car"] == pytest.approx(39 * weight / (48 * weight))
    assert found.cityscapes.category_iou["vehicle"] == pytest.approx(39 / 48)
    assert "weighted by instance size" in render_report(found)
    assert schema_errors(found.to_dict()) == []
    (tmp_path / "t" / "a_1_gtFine_instanceIds.png").unlink()
    partly = evaluate_folders(tmp_path / "p", [tmp_path / "t"], city, resamples=0)
    assert partly.cityscapes is not None
    assert partly.cityscapes.instance_iou == {}
    assert "No iIoU" in render_report(partly)


@pytest.mark.parametrize("options", [{}, {"boundary": False, "resamples": 0, "bands": ()}, {"band_rule": "void"}])
def test_the_json_is_as_its_schema_declares(folders: tuple[Path, Path], options) -> None:
    write_indexed_png(folders[0] / "1.png", np.zeros((5, 5), np.uint8), CATALOG)  # a failure
    data = json.loads(evaluate_folders(folders[0], [folders[1]], CATALOG, **options).to_json())
    assert schema_errors(data) == []
    assert data["format"] == FORMAT == SCHEMA["properties"]["format"]["const"]
    assert len(data["failures"]) == 1
    assert data["pooled"]["mean_iou_by_rule"]["union"]["mean_iou"] == data["pooled"]["mean_iou"]
    assert data["bands"]["curve"][39]["pixel_error"] == pytest.approx(1 - data["bands"]["curve"][39]["pixel_accuracy"])


def test_the_schema_refuses_what_it_does_not_declare(folders: tuple[Path, Path]) -> None:
    data = evaluate_folders(folders[0], [folders[1]], CATALOG, resamples=20).to_dict()
    assert schema_errors({**data, "format": "atrous-evaluation-1"})
    assert schema_errors({**data, "pooled": {**data["pooled"], "mean_iou": 1.5}})
    assert schema_errors({key: value for key, value in data.items() if key != "images"})


def pictures(page: str) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall(r'src="data:image/\w+;base64,([^"]+)"', page)]


def test_the_worst_case_is_shown_with_its_photograph(folders: tuple[Path, Path], tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    Image.fromarray(np.full((36, 45, 3), (200, 30, 30), np.uint8)).save(photographs / "0.jpg")
    page = render_report(evaluate_folders(folders[0], [folders[1]], CATALOG), extras=ReportExtras(photographs=photographs))
    first = pictures(page)[:4]
    assert first[0].format == "JPEG"
    np.testing.assert_allclose(np.asarray(first[0])[5, 5], (200, 30, 30), atol=4)
    truth = np.asarray(Image.open(folders[1] / "0.png").convert("RGB"))
    np.testing.assert_array_equal(np.asarray(first[1]), truth)
    errors = np.asarray(first[3])
    void = np.asarray(Image.open(folders[1] / "0.png")) == 255
    assert (errors[~void] == (208, 62, 32)).all()  # everything labelled is wrong
    assert (errors[void] == (150, 156, 168)).all()
    assert len(pictures(page)) == 4 + 3 + 3  # the others have no photograph


def test_large_masks_are_shown_small_and_vanished_ones_said(folders: tuple[Path, Path]) -> None:
    big = np.zeros((500, 1000), np.uint8)
    big[:, 500:] = 3
    write_indexed_png(folders[1] / "2.png", big, CATALOG)
    write_indexed_png(folders[0] / "2.png", 3 - big, CATALOG)
    (folders[0] / "2.confidence.png").unlink()
    found = evaluate_folders(folders[0], [folders[1]], CATALOG)
    shown = [picture.size for picture in pictures(render_report(found))]
    assert (360, 180) in shown
    (folders[1] / "2.png").unlink()
    assert "cannot be read" in render_report(found)


def test_photographs_are_found_by_path_then_by_name(tmp_path: Path) -> None:
    for name in ("a/1.jpg", "b/1.jpg", "b/2_leftImg8bit.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    found = Photographs.below(tmp_path)
    assert found.of("b/1.png") == tmp_path / "b/1.jpg"
    assert found.of("elsewhere/2_gtFine_labelIds.png") == tmp_path / "b/2_leftImg8bit.jpg"
    assert found.of("3.png") is None
    assert Photographs.below(None).of("1.png") is None


def test_curves_of_one_title_share_a_plot(folders: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "slices.json"
    large = {"x": 2, "label": "large", "score": 0.7, "low": 0.6, "high": 0.8, "objects": 9}
    points = [large, {"x": 1, "label": "small", "score": None}]
    curves = [{"title": "by <size>", "x_label": "area, px", "series": name, "points": points} for name in ("A & B", "C")]
    curves.insert(1, {"title": "by occlusion", "x_label": "hidden", "points": [{"x": 0.5, "score": 0.5}]})
    path.write_text(json.dumps({"format": "atrous-slices-1", "curves": curves}))
    found = read_slices(path)
    assert [point.x for point in found[0].points] == [1, 2]
    assert math.isnan(found[0].points[0].score)
    page = render_report(evaluate_folders(folders[0], [folders[1]], CATALOG), extras=ReportExtras(slices=found))
    assert page.count("<h2>by &lt;size&gt;</h2>") == 1
    assert "A &amp; B" in page
    assert "9 objects" in page
    assert "nan" not in re.sub(r'base64,[^"]+', "", page)


def test_slices_of_an_inspection_become_curves(tmp_path: Path) -> None:
    rows = [
        {"low": 0.0, "high": 1024.0, "objects": 7, "pixels": 900, "recall": 0.5, "iou": 0.25},
        {"low": 1024.0, "high": 9216.0, "objects": 0, "pixels": 0, "recall": None, "iou": None},
        {"low": 9216.0, "high": None, "objects": 2, "pixels": 20_000, "recall": 0.9, "iou": 0.75},
    ]
    distance = [{"low": 1.0, "high": 3.0, "pixels": 50, "accuracy": 0.5, "mean_iou": 0.25}]
    data = {
        "format": "atrous-inspection-1",
        "object_slices": {"size": {"text": "area, px", "rows": rows}, "contrast": {"text": "contrast", "rows": []}},
        "pixel_slices": {"distance": {"text": "distance, px", "rows": distance}},
    }
    path = tmp_path / "inspection.json"
    path.write_text(json.dumps(data))
    found = read_slices(path)
    assert [(curve.title, curve.series) for curve in found] == [
        ("By size", "IoU"), ("By size", "recall"), ("By distance", "mIoU"), ("By distance", "pixel accuracy"),
    ]  # fmt: skip
    assert [(point.label, point.score, point.objects) for point in found[0].points] == [
        ("0 \u2013 1024", 0.25, 7), ("9216 or more", 0.75, 2),
    ]  # fmt: skip


def test_the_failure_board_of_an_inspection_is_in_the_report(folders: tuple[Path, Path], tmp_path: Path) -> None:
    found = inspect_folders(folders[0], [folders[1]], CATALOG)
    path = tmp_path / "inspection.json"
    path.write_text(json.dumps(inspection_to_dict(found)))
    kinds = read_failures(path)
    rows = {row.kind.value: row for row in found.analysis.failures() if row.pixels}
    assert [kind.kind for kind in kinds if not kind.measured] == ["low_visible"]
    assert {kind.kind: (kind.pixels, kind.images) for kind in kinds if kind.measured} == {
        name: (row.pixels, row.images) for name, row in rows.items()
    }
    for kind in kinds:
        assert not kind.measured or kind.gain == pytest.approx(rows[kind.kind].mean_gain)
    page = render_report(evaluate_folders(folders[0], [folders[1]], CATALOG), extras=ReportExtras(failures=kinds))
    assert "<h2>Kinds of failure</h2>" in page
    assert '<td class="name" colspan="5">not measured</td>' in page
    assert f"{100 * kinds[0].gain:+.1f}" in page
    path.write_text('{"format": "atrous-inspection-1"}')
    with pytest.raises(MaskFormatError, match="not an inspection"):
        read_failures(path)
    path.write_text('{"format": "atrous-slices-1", "curves": []}')
    assert read_failures(path) == ()


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"format": "other", "curves": []}', '{"format": "atrous-slices-1", "curves": [{"title": "t"}]}']
)
def test_damaged_curves_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "slices.json"
    path.write_text(text)
    with pytest.raises(MaskFormatError, match="curves") as caught:
        read_slices(path)
    assert caught.value.path == path


def test_a_gap_in_a_line_and_steps_of_an_axis() -> None:
    assert polyline([(0, 1), (1, math.nan), (2, 3), (3, 4)]) == "M0.0 1.0M2.0 3.0L3.0 4.0"
    assert score_ticks([0.52, 0.58]) == pytest.approx([0.52, 0.54, 0.56, 0.58])
    assert score_ticks([math.nan]) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert score_ticks([0.5]) == pytest.approx([0.5, 0.52])


def test_what_was_not_measured_is_null_in_the_json(folders: tuple[Path, Path]) -> None:
    found = evaluate_folders(folders[0], [folders[1]], CATALOG, resamples=0, boundary=False).to_dict()
    assert schema_errors(found) == []
    assert found["boundary"] is None
    assert {row["boundary_px"] for image in found["images"] for row in image["counts"]} == {None}
    again = ImageCounts.from_rows(found["images"][0]["counts"], CATALOG.ids, (1, 2, 4, 8, 16, 40))
    assert not again.boundary.any()


def test_slices_say_how_many_objects_or_images_they_rest_on() -> None:
    points = tuple(SlicePoint(x=x, label=f"{x}", score=0.5, objects=number) for x, number in ((1, 3), (2, 117)))
    pixels = tuple(SlicePoint(x=x, score=0.5, images=number) for x, number in ((1, 5), (2, 6)))
    assert [point.few for point in (*points, *pixels)] == [True, False, True, False]
    page = slices_svg([SliceCurve(title="t", x_label="l", series="s", points=points)])
    assert ">n 3</text>" in page
    assert ">n 117</text>" in page
    assert page.count("opacity:0.35") == 1
    assert ", 1 image" in slices_svg([SliceCurve(title="t", x_label="l", series="s", points=(replace(pixels[0], images=1),))])


def test_curves_over_other_objects_have_counts_of_their_own() -> None:
    def curve(series: str, *counts: int) -> SliceCurve:
        points = tuple(SlicePoint(x=x, score=0.5, objects=count) for x, count in enumerate(counts) if count)
        return SliceCurve(title="t", x_label="l", series=series, points=points)

    page = slices_svg([curve("chair", 90, 172, 46), curve("sofa", 0, 24, 46)])
    assert re.findall(r">(n [^<]*)<", page) == ["n 90 / –", "n 172 / 24", "n 46"]


def test_classes_of_few_images_are_pale_in_the_report(folders: tuple[Path, Path]) -> None:
    page = render_report(evaluate_folders(folders[0], [folders[1]], CATALOG, resamples=50))
    assert ", n 3</text>" in page
    assert "pale bars rest on fewer than 6" in page
