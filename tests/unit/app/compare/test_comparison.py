"""Counting what several models say about the same pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.state.comparison import (
    VARIANTS,
    ComparedModel,
    FolderComparison,
    ImageDifference,
    ModelSetting,
    PairCount,
    ablation_of,
    count_pair,
    figures_of,
    figures_of_image,
    pairs_of,
    shown_classes,
)
from app.viewmodels.compare.rows import difference_parts, heading, image_lines, signed, table_rows, verdict_rows
from deeplab_core.analysis import FolderAnalysis, ImageAnalysis, count_labels
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import AtrousError
from deeplab_core.metrics import ConfusionMatrix
from deeplab_core.records import ModelCard, PredictOptions, TrimapBand
from deeplab_core.refine.parameters import preset

VOC = get_catalog("voc21")
BAND = TrimapBand(width_px=3)


def maps(seed: int, count: int = 3, shape: tuple[int, int] = (24, 30)) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    found = [random.integers(0, 4, shape).astype(np.uint8) for _ in range(count)]
    found[-1][:, :3] = 255
    return found


def counted(labels: np.ndarray, truth: np.ndarray | None = None) -> ImageAnalysis:
    return count_labels(labels, VOC, truth=truth, band=BAND)


@given(st.integers(0, 10_000))
def test_every_differing_pixel_is_counted_once(seed):
    one, other, truth = maps(seed)
    count = count_pair(one, other, 255, truth)
    assert count.differ == np.count_nonzero(one != other)
    assert count.first + count.second + count.neither + count.unjudged == count.differ
    assert count.first == np.count_nonzero((one != other) & (one == truth) & (truth != 255))
    back = count_pair(other, one, 255, truth)
    assert (back.first, back.second, back.neither) == (count.second, count.first, count.neither)


def test_without_truth_neither_is_right():
    one, other, _ = maps(1)
    count = count_pair(one, other, 255)
    assert (count.first, count.second, count.neither, count.unjudged) == (0, 0, 0, count.differ)
    assert difference_parts(count, (0, 2)) == [("unjudged", f"differ {100 * count.share:.1f} %")]
    assert PairCount().share == 0


def test_maps_of_other_sizes_are_refused():
    one, other, truth = maps(2)
    with pytest.raises(ValueError, match="label maps"):
        count_pair(one, other[:-1], 255)
    with pytest.raises(ValueError, match="truth"):
        count_pair(one, other, 255, truth[:-1])


def test_a_folder_is_the_sum_of_its_images():
    images = [maps(seed) for seed in (3, 4)]
    pooled, matrix = FolderAnalysis(VOC), ConfusionMatrix(VOC)
    for place, (one, _, truth) in enumerate(images):
        pooled.update(str(place), counted(one, truth))
        matrix.update(truth=truth, prediction=one)
    figures = figures_of(pooled, BAND)
    assert (figures.mean, figures.classes) == pytest.approx(matrix.mean_iou("truth"))
    assert figures.accuracy == pytest.approx(matrix.pixel_accuracy())
    assert len(figures.curve) == 40
    assert sum(figures.shares.values()) == pytest.approx(1)
    bare = counted(images[0][0])
    pooled.update("without ground truth", bare)
    assert figures_of(pooled, BAND).mean == figures.mean
    assert figures_of_image(bare, BAND).curve == ()
    assert math.isnan(figures_of_image(bare, BAND).mean)


def test_the_table_marks_the_best_where_one_is_better():
    one, other, truth = maps(5)
    figures = [figures_of_image(counted(labels, truth), BAND) for labels in (one, truth)] + [None]
    rows = {row.name: row for row in table_rows(VOC, figures, (1234.4, None, float("nan")))}
    mean = f"mIoU over {figures[0].classes}"
    assert heading(figures) == "IoU, %"
    assert rows[mean].values[1:] == ("100.0", "–")
    assert rows[mean].best == {1}
    assert rows["Time, ms"].values == ("1\u202f234", "–", "–")
    assert rows["Time, ms"].best == frozenset()
    assert [row for row in rows if rows[row].color] == ["background", "aeroplane", "bicycle", "bird"]
    same = table_rows(VOC, [figures[0], figures[0]], (5.0, 9.0))
    assert {row.name: row.best for row in same}[mean] == frozenset()
    assert {row.name: row.best for row in same}["Time, ms"] == {0}
    bare = [figures_of_image(counted(other), BAND)]
    assert heading(bare) == "Area, %"
    assert not any("mIoU" in row.name for row in table_rows(VOC, bare, (None,)))
    assert shown_classes(VOC, bare) == [0, 1, 2, 3]


def test_models_have_one_class_set_however_much_one_invents():
    _, _, truth = maps(6)
    stray = truth.copy()
    place = tuple(np.argwhere(truth != 255)[0])
    stray[place] = 17  # a sheep
    clean, wrong = (figures_of_image(counted(labels, truth), BAND) for labels in (truth, stray))
    assert clean.classes == wrong.classes
    assert clean.mean - wrong.mean < 0.1  # under the rule "union" a class more with IoU 0
    present = [c for c in VOC.ids.tolist() if (truth == c).any()]
    labelled = truth != 255
    iou = [((truth == c) & (stray == c)).sum() / (((truth == c) | (stray == c)) & labelled).sum() for c in present]
    assert wrong.mean == pytest.approx(float(np.mean(iou)))


def test_images_with_the_largest_difference_come_first():
    nan = float("nan")
    rows = [
        ImageDifference(1, "b.png", {(0, 1): PairCount(100, 5)}, (0.5, 0.25)),
        ImageDifference(2, "a.png", {(0, 1): PairCount(100, 9)}, (nan, nan)),
        ImageDifference(3, "c.png", {(0, 1): PairCount(100, 0)}, (0.5, 0.5)),
    ]
    lines = image_lines(rows, (0, 1))
    assert [(line.image, line.gain) for line in lines] == [(2, None), (1, -0.25)]
    assert [signed(line.gain) for line in lines] == ["", "−25.0"]
    assert signed(0.0312) == "+3.1"
    assert pairs_of(3) == [(0, 1), (0, 2), (1, 2)]


def test_a_model_without_the_stride_takes_its_own():
    card = ModelCard(id="m", name="m", architecture={}, catalog=VOC, output_strides=(16,))
    wanted = PredictOptions(output_stride=8, flip=True)
    assert ComparedModel(Path("m"), "m", card).options(wanted) == PredictOptions(flip=True)
    assert ComparedModel(Path("m"), "m").options(wanted) == wanted


def test_a_setting_changes_the_options_of_its_model() -> None:
    wanted = PredictOptions(flip=False, device="cpu")
    path = Path("folder") / "net.pth"
    assert ModelSetting(path).apply(wanted) == wanted
    assert ModelSetting(path, "flip").apply(wanted).flip
    assert ModelSetting(path, "os8").apply(wanted).output_stride == 8
    assert ModelSetting(path, "scales:0.75,1,1.25").apply(wanted).scales == (0.75, 1.0, 1.25)
    assert ModelSetting(path, "crf:v2").apply(wanted).crf == preset("v2")
    for variant in ("", *VARIANTS):
        setting = ModelSetting(path, variant)
        assert ModelSetting.of(setting.text) == setting
        assert setting.titled("Net").startswith("Net")
        assert (setting.titled("Net") == "Net") == (not variant)
    assert ModelSetting.of(f"{path}\tsteam") == ModelSetting(path)
    assert ModelSetting.of(f"{path}\tflip+steam+crf:v2") == ModelSetting(path, "flip+crf:v2")
    both = ModelSetting(path, "crf:v2").with_part("flip")
    assert (both.variant, both.words) == ("flip+crf:v2", "mirrored too, CRF v2")
    assert (both.apply(wanted).flip, both.apply(wanted).crf) == (True, preset("v2"))
    assert both.with_part("crf:v1").variant == "flip+crf:v1", "of one kind there is one"
    assert ModelSetting(path, "os8").with_part("os32").variant == "os32"
    # The command line knows every one of them by the same name.
    from deeplab_core.inference import parse_variant

    for variant in VARIANTS:
        assert parse_variant(variant, wanted).options == ModelSetting(path, variant).apply(wanted)


def folder_of(models: Sequence[Callable[[np.ndarray], np.ndarray]], images: int = 8) -> FolderComparison:
    """Models that change the ground truth in their own way."""
    taking = tuple(ComparedModel(Path(f"{place}.pth"), f"Net {place}/x") for place in range(len(models)))
    counts = [FolderAnalysis(VOC) for _ in models]
    found = FolderComparison(taking, TrimapBand(), counts, {}, scored=images, times=[[5.0] for _ in models])
    rng = np.random.default_rng(0)
    for image in range(images):
        truth = np.where(rng.random((30, 40)) < 0.5, 15, 0).astype(np.uint8)
        for folder, model in zip(counts, models, strict=True):
            folder.update(str(image), count_labels(model(truth), VOC, truth=truth, band=TrimapBand()))
    return found


def test_models_are_tested_against_the_first_as_one_family() -> None:
    def spoilt(share: int) -> Callable[[np.ndarray], np.ndarray]:
        return lambda truth: np.where(np.arange(truth.size).reshape(truth.shape) % share == 0, 0, truth).astype(np.uint8)

    found = folder_of([spoilt(5), spoilt(9), spoilt(2), spoilt(5)])
    ablation = ablation_of(found)
    rows = {row.name: row for row in verdict_rows(VOC, ablation)}
    texts = [cell.text.split(maxsplit=1) for cell in rows["mIoU"].cells]
    assert [words for _, words in texts] == ["helps", "hurts", "cannot tell"]
    assert texts[0][0].startswith("+")
    assert rows["mIoU"].cells[0].interval.startswith("[+")
    assert "p 0.00" in rows["mIoU"].cells[0].tip
    tested = sum(not np.isnan(change.change.p) for change in ablation.changes() if change.family == "overall")
    (alone,) = (row.comparison for row in ablation_of(folder_of([spoilt(5), spoilt(9)])).others)
    assert alone is not None
    assert ablation.others[0].comparison.overall[0].p >= alone.overall[0].p, "three models are one family"
    assert tested == 3 * sum(not np.isnan(change.p) for change in alone.overall)
    assert rows["person"].color == VOC.by_id(15).color
    assert "aeroplane" not in rows
    with pytest.raises(AtrousError):
        ablation_of(folder_of([spoilt(5), spoilt(9)], images=1))


def test_draws_follow_the_number_of_models_and_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 / 101 for each of six tests is above 0.05: so few draws could call none of them, whatever the difference."""
    monkeypatch.setattr("app.state.comparison._DRAWS", 100)
    found = ablation_of(folder_of([_person_lost, *[lambda truth: truth] * 3]))
    rows = {row.name: row for row in verdict_rows(VOC, found)}
    assert [cell.text.split(maxsplit=1)[1] for cell in rows["person"].cells] == ["helps"] * 3


def _person_lost(truth: np.ndarray) -> np.ndarray:
    return np.where(np.arange(truth.size).reshape(truth.shape) % 2 == 0, 0, truth).astype(np.uint8)
