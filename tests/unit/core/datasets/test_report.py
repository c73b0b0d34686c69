"""The report on a data set: every figure by hand, every list complete, the page safe and current."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets.report import DataItem, items_of_masks, report_data_set, report_page
from deeplab_core.errors import MaskFormatError
from deeplab_core.labels import LabelMap
from tests.unit.core.masks.samples import label_maps, photograph

VOC = get_catalog("voc21")


def entry(tmp_path: Path, name: str, labels: np.ndarray | None, reviewed: bool | None = None) -> DataItem:
    shape = (6, 8) if labels is None else labels.shape
    image = photograph(tmp_path / name, (shape[0], shape[1]))
    return DataItem(name=name, image=image, labels=lambda: labels, reviewed=reviewed)


@pytest.fixture
def labels() -> np.ndarray:
    found = np.zeros((6, 8), np.uint8)
    found[1:3, 1:4] = 9
    found[5, 7] = 9
    found[0, 0] = 255
    return found


def test_figures_by_hand(labels: np.ndarray, tmp_path: Path) -> None:
    items = [
        entry(tmp_path, "a.jpg", labels, reviewed=True),
        entry(tmp_path, "b.jpg", np.zeros((10, 20), np.uint8), reviewed=False),
        entry(tmp_path, "c.jpg", None, reviewed=False),
    ]
    found = report_data_set(items, VOC, title="three", tiny_pixels=2)
    assert (found.images, found.labelled, found.pixels, found.void_pixels) == (3, 2, 248, 1)
    chair = found.classes[9]
    assert (chair.pixels, chair.images, chair.regions, chair.tiny, chair.median) == (7, 1, 2, 1, 3.5)
    assert chair.share == pytest.approx(7 / 247)
    assert found.classes[1].share == 0
    assert found.classes[1].median is None
    assert found.unlabelled == ("c.jpg",)
    assert found.empty == ("b.jpg",)
    assert found.unreviewed == ("b.jpg", "c.jpg")
    assert found.sizes == {(8, 6): 2, (20, 10): 1}
    assert found.tiny == {"a.jpg": 1}
    said = " ".join(found.warnings())
    for text in (
        "1 image without labels: c.jpg.",
        "2 images not reviewed: b.jpg, c.jpg.",
        "Images of 2 sizes.",
        "No pixel has the classes aeroplane",
    ):
        assert text in said


@settings(max_examples=20)
@given(label_maps(VOC))
def test_shares_sum_to_one_or_are_unknown(tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray) -> None:
    found = report_data_set([entry(tmp_path_factory.mktemp("r"), "a.jpg", labels)], VOC, title="any")
    shares = [facts.share for facts in found.classes]
    known = bool((labels != 255).any())
    assert (None in shares) != known
    if known:
        assert sum(share or 0 for share in shares) == pytest.approx(1)
    assert sum(facts.pixels for facts in found.classes) + found.void_pixels == found.pixels == labels.size
    assert found.unreviewed is None


def test_equal_images_and_whether_their_labels_differ(labels: np.ndarray, tmp_path: Path) -> None:
    items = [entry(tmp_path, name, labels) for name in ("a.jpg", "b.jpg")]
    items += [entry(tmp_path, "c.jpg", np.ones_like(labels)), entry(tmp_path, "d.jpg", np.zeros((9, 9), np.uint8))]
    (tmp_path / "d.jpg").write_bytes((tmp_path / "a.jpg").read_bytes())
    found = report_data_set(items[:2], VOC, title="equal")
    assert found.duplicates == ((("a.jpg", "b.jpg"), False),)
    found = report_data_set(items, VOC, title="equal")
    assert found.duplicates == ((("a.jpg", "b.jpg", "c.jpg", "d.jpg"), True),)
    assert "1 set of equal images with different labels: a.jpg = b.jpg = c.jpg = 1 more." in found.warnings()
    bare = [entry(tmp_path, name, None) for name in ("a.jpg", "b.jpg")]
    assert report_data_set(bare, VOC, title="equal").duplicates == ((("a.jpg", "b.jpg"), None),)


def test_undeclared_ids_of_mask_files_are_counted(labels: np.ndarray, tmp_path: Path) -> None:
    names = []
    for number in range(2):
        strange = labels.copy()
        strange[3, :3] = 77 + number
        strange[4, 0] = 99
        photograph(tmp_path / f"im{number}.jpg", labels.shape)
        Image.fromarray(strange).save(tmp_path / f"m{number}.png")
        names.append(f"im{number}.jpg")
    masks = {name: tmp_path / f"m{number}.png" for number, name in enumerate(names)}
    found = report_data_set(items_of_masks(tmp_path, names, masks, VOC), VOC, title="strange")
    assert found.undeclared == {77: (3, 1), 78: (3, 1), 99: (2, 2)}
    assert set(found.unread) == set(names)
    assert found.labelled == 0


def test_one_bad_image_fails_alone(labels: np.ndarray, tmp_path: Path) -> None:
    def broken() -> LabelMap:
        raise MaskFormatError("damaged")

    good = entry(tmp_path, "good.jpg", labels)
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    items = [
        DataItem(name="bad.jpg", image=tmp_path / "bad.jpg", labels=lambda: labels),
        DataItem(name="mask.jpg", image=good.image, labels=broken),
        DataItem(name="gone.jpg", image=tmp_path / "gone.jpg", labels=lambda: labels),
        good,
    ]
    found = report_data_set(items, VOC, title="bad")
    assert list(found.unread) == ["bad.jpg", "mask.jpg", "gone.jpg"]
    assert found.labelled == 1


def test_cancelling_reports_what_was_read(labels: np.ndarray, tmp_path: Path) -> None:
    items = [entry(tmp_path, f"{number}.jpg", labels) for number in range(3)]
    asked = iter([False, True])
    seen: list[str] = []
    answer: Callable[[], bool] = lambda: next(asked)  # noqa: E731
    found = report_data_set(items, VOC, title="cut", progress=seen.append, cancel=answer)
    assert (found.images, found.cancelled, seen) == (1, True, ["0.jpg"])
    assert "was cancelled" in report_page(found)


def test_page_and_json(labels: np.ndarray, tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script>.jpg"
    image = photograph(tmp_path / "a.jpg", labels.shape)
    items = [DataItem(name=nasty, image=image, labels=lambda: labels, reviewed=False), entry(tmp_path, "b.jpg", None)]
    found = report_data_set(items, VOC, title="<b>title</b>")
    page = report_page(found)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<b>title</b>" not in page
    assert "not measured" not in page
    data = json.loads(json.dumps(found.to_dict()))
    assert data["unlabelled"] == ["b.jpg"]
    assert [row["name"] for row in data["classes"]] == list(VOC.names)
    assert data["warnings"] == found.warnings()
    empty = report_data_set([], VOC, title="nothing")
    assert "not measured" in report_page(empty)
