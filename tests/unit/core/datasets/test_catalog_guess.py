"""Which classes a folder of masks holds: certain from marker, layout, names or colours, never from values that several have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deeplab_core.catalogs import builtin_catalogs, get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.datasets import CatalogGuess, guess_catalog
from deeplab_core.masks import mark_output
from deeplab_core.masks.png import write_indexed_png

VOC, CAMVID = get_catalog("voc21"), get_catalog("camvid11")
CRACKS = ClassCatalog("cracks", "Cracks", (ClassInfo(0, "wall", (0, 0, 0)), ClassInfo(1, "crack", (255, 0, 0))))


def grey(path: Path, values: list[int]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array([values], np.uint8)).save(path)
    return path


def indexed(path: Path, values: list[int], catalog: ClassCatalog) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_indexed_png(path, np.array([values], np.uint8), catalog)
    return path


@pytest.mark.parametrize(
    ("name", "values", "catalog"),
    [
        ("trainannot/a.png", [*range(12)], "camvid11"),
        ("valannot/a.png", [0, 3, 11], "camvid11"),
        ("labels/0001TP_006690.png", [0, 3, 11], "camvid11"),
        ("labels/Seq05VD_f00000_L.png", [0, 3, 11], "camvid11"),
        ("SegmentationClass/a.png", [0, 7, 15], "voc21"),
        ("SegmentationClassAug/a.png", [0, 15, 255], "voc21"),
        ("masks/2007_000032.png", [0, 1, 15], "voc21"),
        ("gtFine/val/ulm/a_gtFine_labelIds.png", [0, 7, 26], "cityscapes34"),
        ("gtFine/val/ulm/a_gtFine_labelTrainIds.png", [0, 13, 255], "cityscapes19"),
        ("gtFine/a.png", [0, 13, 18, 255], "cityscapes19"),
        ("gtFine/a.png", [4, 7, 26, 33], "cityscapes34"),
        ("annotations/training/ADE_train_00000001.png", [0, 4, 20], "ade20k150"),
        ("annotations/validation/ADE_val_00000001.png", [0, 4, 20], "ade20k150"),
        ("labels/a.png", [0, 60, 70, 80, 90, 100, 150], "ade20k150"),
    ],
)
def test_layouts_and_names_are_certain(tmp_path: Path, name: str, values: list[int], catalog: str) -> None:
    guess = guess_catalog([grey(tmp_path / name, values)])
    assert (guess.best, guess.certain) == (catalog, True), guess.reason
    assert guess.catalog == get_catalog(catalog)


@pytest.mark.parametrize("values", [[*range(12)], [*range(19), 255], [0, 1, 2], [0, 5, 255], [0, 100]])
def test_values_alone_are_not(tmp_path: Path, values: list[int]) -> None:
    """All ids of CamVid and all train ids of Cityscapes are declared in VOC as well."""
    guess = guess_catalog([grey(tmp_path / "labels/a.png", values)])
    assert not guess.certain
    assert not guess.hinted
    assert guess.names


@given(catalog=st.sampled_from([*builtin_catalogs().values()]), data=st.data())
@settings(max_examples=40)
def test_values_that_two_catalogs_declare_are_never_certain(
    tmp_path_factory: pytest.TempPathFactory, catalog: ClassCatalog, data: st.DataObject
) -> None:
    values = data.draw(st.lists(st.sampled_from(catalog.ids.tolist()), min_size=1, max_size=20))
    guess = guess_catalog([grey(tmp_path_factory.mktemp("set") / "labels/a.png", values)])
    assert catalog.name in guess.names
    fitting = [one for one in builtin_catalogs().values() if set(values) <= {*one.ids.tolist(), one.file_ignore}]
    assert set(guess.names) == {one.name for one in fitting}
    if len(fitting) > 1:
        assert not guess.certain


@pytest.mark.parametrize(
    ("name", "values", "says"),
    [
        ("trainannot/a.png", [0, 11, 20], "CamVid's, but the ids 20 are not those of 'camvid11'"),
        ("SegmentationClass/a.png", [0, 21, 33], "but the ids 21, 33 are not those of 'voc21'"),
        ("trainannot/2007_000032.png", [0, 1], "but"),
        ("gtFine/a_gtFine_labelTrainIds.png", [0, 26], "but the ids 26 are not those of 'cityscapes19'"),
    ],
)
def test_a_contradiction_is_said(tmp_path: Path, name: str, values: list[int], says: str) -> None:
    guess = guess_catalog([grey(tmp_path / name, values)])
    assert not guess.certain
    assert guess.hinted
    assert says in guess.reason


def test_the_palette_of_another_catalog_contradicts_the_layout(tmp_path: Path) -> None:
    guess = guess_catalog([indexed(tmp_path / "trainannot/a.png", [1, 2, 3], VOC)])
    assert not guess.certain
    assert "the colours are those of 'voc21'" in guess.reason


@pytest.mark.parametrize("place", ["labels", "SegmentationClass", "trainannot"])
def test_binary_masks_are_not_certain(tmp_path: Path, place: str) -> None:
    guess = guess_catalog([grey(tmp_path / place / "a.png", [0, 255])])
    assert not guess.certain
    if place != "trainannot":  # 255 is not an id of CamVid at all
        assert "binary" in guess.reason


@pytest.mark.parametrize("where", ["SegmentationClass/labelmap.txt", "labelmap.txt", "class_names.txt"])
def test_a_list_of_other_class_names_beside_the_masks_contradicts(tmp_path: Path, where: str) -> None:
    path = indexed(tmp_path / "SegmentationClass/a.png", [0, 1, 2], VOC)
    assert guess_catalog([path]).certain
    (tmp_path / where).write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\nwheat:128,0,0::\nweed:0,128,0::\n")
    guess = guess_catalog([path])
    assert not guess.certain
    assert "wheat, weed" in guess.reason
    (tmp_path / where).write_text("_background_\naeroplane\nbicycle\n")
    assert guess_catalog([path]).certain


class TestMarkers:
    @pytest.mark.parametrize("catalog", [CRACKS, replace(VOC, title="mine").recolored(1, (1, 2, 3)), CAMVID])
    def test_the_marker_gives_the_catalog_whole(self, tmp_path: Path, catalog: ClassCatalog) -> None:
        path = grey(tmp_path / "out/deep/a.png", [0, 1])
        mark_output(tmp_path / "out", "export", {"deep/a.png": None}, catalog=catalog)
        guess = guess_catalog([path])
        assert (guess.catalog, guess.certain) == (catalog, True)

    def test_values_that_it_does_not_declare_contradict_it(self, tmp_path: Path) -> None:
        path = grey(tmp_path / "out/a.png", [0, 1, 2])
        mark_output(tmp_path / "out", "export", {"a.png": None}, catalog=CRACKS)
        guess = guess_catalog([path])
        assert not guess.certain
        assert "the ids 2 are not those of 'cracks'" in guess.reason

    def test_masks_that_the_marker_does_not_list_are_not_covered(self, tmp_path: Path) -> None:
        own, other = grey(tmp_path / "out/a.png", [0, 1]), grey(tmp_path / "out/other/b.png", [0, 1])
        mark_output(tmp_path / "out", "export", {"a.png": None}, catalog=CRACKS)
        assert guess_catalog([own]).certain
        assert not guess_catalog([own, other]).certain


def test_other_catalogs_may_be_offered(tmp_path: Path) -> None:
    path = grey(tmp_path / "labels/a.png", [0, 1])
    guess: CatalogGuess = guess_catalog([path], [CRACKS])
    assert guess.names == ("cracks",)
    assert not guess.certain


def test_a_rebuilt_palette_speaks_for_the_catalog_of_its_colours(tmp_path: Path) -> None:
    """The ids 0, 1, 2 are ids of every catalog; the colours of person, chair and background are VOC's."""
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    table = np.zeros((256, 3), np.uint8)
    table[:3] = [VOC.by_id(value).color for value in (15, 9, 0)]
    picture.putpalette(table.reshape(-1).tolist())
    picture.save(tmp_path / "a.png")
    guess = guess_catalog([tmp_path / "a.png"])
    assert (guess.best, guess.certain) == ("voc21", True)


def test_a_palette_that_cannot_be_read_in_a_catalog_speaks_against_it(tmp_path: Path) -> None:
    city = get_catalog("cityscapes34")
    picture = Image.fromarray(np.array([[7, 8]], np.uint8))
    table = np.zeros((256, 3), np.uint8)
    table[[7, 8]] = city.by_id(17).color, city.by_id(7).color  # pole and polegroup share the first
    picture.putpalette(table.reshape(-1).tolist())
    picture.save(tmp_path / "a.png")
    assert "cityscapes34" not in guess_catalog([tmp_path / "a.png"]).names


def test_a_palette_with_the_ids_of_a_catalog_wins_over_one_with_its_colours_alone(tmp_path: Path) -> None:
    """Black and the pink of VOC's person are also CamVid's void and sign, at other ids."""
    labels = np.zeros((8, 8), np.uint8)
    labels[2:5] = 15
    write_indexed_png(tmp_path / "a.png", labels, get_catalog("voc21"))
    guess = guess_catalog([tmp_path / "a.png"])
    assert (guess.best, guess.certain) == ("voc21", True)
