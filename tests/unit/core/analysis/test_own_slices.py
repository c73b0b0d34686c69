"""Slices of the user's own: tables of attributes of images and objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deeplab_core.analysis import FolderAnalysis
from deeplab_core.analysis.error_maps import map_errors
from deeplab_core.analysis.own_slices import OwnSlices, read_attributes
from deeplab_core.analysis.slice_scores import score_axis, sliced_axes
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import MaskFormatError

VOC = get_catalog("voc21")
CHAIR, SOFA = 9, 18


def table(tmp_path: Path, text: str, name: str = "a.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def test_values_become_slices(tmp_path: Path) -> None:
    found = read_attributes(table(tmp_path, "image,Weather,floors\na.jpg,rain,2\nb.png,sun,10\nsub/c.jpg,,2\n"))
    weather, floors = found.axes
    assert (weather.name, weather.of, weather.labels, weather.numeric) == ("Weather", "image", ("rain", "sun"), False)
    assert (floors.labels, floors.numeric) == (("2", "10"), True)
    assert {key: places.tolist() for key, places in found.images.items()} == {"a": [0, 0], "b": [1, 1], "sub/c": [-1, 0]}
    assert found.missing == {"Weather": 1, "floors": 0}


def test_many_numbers_are_cut_at_their_quartiles_and_rare_values_are_pooled(tmp_path: Path) -> None:
    rows = "\n".join(f"{n};{n};v{n % 20};{n % 3}" for n in range(40))
    found = read_attributes(table(tmp_path, f"image;height;name;few\n{rows}\n"))
    height, name, few = found.axes
    assert height.labels == ("below 9.75", "9.75 to 19.5", "19.5 to 29.25", "29.25 or more")
    assert [int(places[0]) for places in found.images.values()] == [n // 10 for n in range(40)]
    assert len(name.labels) == 13
    assert name.labels[-1] == "8 other values"
    assert few.labels == ("0", "1", "2")


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (("52.51991", "52.51992", "52.51993"), ("52.51991", "52.51992", "52.51993")),
        (("2000002", "2000001", "2000003"), ("2000001", "2000002", "2000003")),
        (("1", "1.0", "1e0"), ("1",)),
        (("-0.0", "0", "5"), ("-0", "5")),
    ],
)
def test_close_numbers_have_labels_of_their_own(tmp_path: Path, values: tuple[str, ...], labels: tuple[str, ...]) -> None:
    rows = "".join(f"{name}.jpg,{value}\n" for name, value in zip("abc", values, strict=True))
    folder, own = scored(tmp_path, f"image,seen\n{rows}", ["a.png", "b.png", "c.png"])
    axis = next(axis for axis in sliced_axes(folder, own) if axis.own)
    assert axis.labels == labels
    assert sum(row.count for row in score_axis(axis, resamples=0)) == 3


@given(st.lists(st.one_of(st.floats(-1e300, 1e300), st.integers(2_000_000, 2_000_040)), min_size=1, max_size=40))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_slice_of_numbers_has_one_label(tmp_path: Path, numbers: list[float]) -> None:
    rows = "".join(f"{place},{number!r}\n" for place, number in enumerate(numbers))
    found = read_attributes(table(tmp_path, f"image,seen\n{rows}"))
    (axis,) = found.axes
    assert len(set(axis.labels)) == len(axis.labels)
    assert all(0 <= int(places[0]) < len(axis.labels) for places in found.images.values())


def test_a_value_that_reads_like_the_rest_is_not_the_rest(tmp_path: Path) -> None:
    rows = "".join(f"{n},{value}\n" for n, value in enumerate(["2 other values"] * 2 + [f"v{n}" for n in range(13)]))
    (axis,) = read_attributes(table(tmp_path, f"image,seen\n{rows}")).axes
    assert len(set(axis.labels)) == len(axis.labels) == 13
    assert axis.labels[-1] == "(2 other values)"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("name,weather\na,b\n", "needed is 'image'"),
        ("image,x,weather\na,1,b\n", "needed is 'image'"),
        ("image\na\n", "no column"),
        ("image,a,A\nx,1,2\n", "one name"),
        ("image,a\nx,1,2\n", "row 2 has 3 fields"),
        ("image,a\nx.jpg,1\nx.png,2\n", "describes x twice"),
        ("image,x,y,a\nx,1.5,2,3\n", "not a whole pixel"),
        ("image,x,y,a\nx,1,2,3\nx.jpg,1,2,4\n", "describes the pixel 1, 2 of x again"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(MaskFormatError, match=says) as raised:
        read_attributes(table(tmp_path, text))
    assert "a.csv" in str(raised.value)


def test_two_tables_have_different_columns(tmp_path: Path) -> None:
    paths = [table(tmp_path, "image,a\nx,1\n", name) for name in ("one.csv", "two.csv")]
    with pytest.raises(MaskFormatError, match="in two tables"):
        OwnSlices([read_attributes(path) for path in paths])


def scored(tmp_path: Path, text: str, images: list[str]) -> tuple[FolderAnalysis, OwnSlices]:
    """Each image: a chair of 20 x 20 px at (10, 10), right, and one of 10 x 10 px at (60, 40) that is called sofa."""
    truth = np.zeros((60, 80), np.uint8)
    truth[10:30, 10:30] = truth[40:50, 60:70] = CHAIR
    prediction = truth.copy()
    prediction[40:50, 60:70] = SOFA
    folder, own = FolderAnalysis(VOC), OwnSlices([read_attributes(table(tmp_path, text))])
    for image in images:
        maps = map_errors(truth=truth, prediction=prediction, catalog=VOC)
        own.add(image, maps.objects.numbers, len(maps.objects.rows))
        folder.update(image, maps.record())
    return folder, own


def test_objects_are_found_by_a_pixel(tmp_path: Path) -> None:
    text = "image,x,y,material\na.jpg,12,15,wood\na.jpg,65,45,cloth\na.jpg,0,0,air\nb,99,5,wood\ngone,1,1,wood\n"
    folder, own = scored(tmp_path, text, ["a.png", "b.png"])
    axis = next(axis for axis in sliced_axes(folder, own) if axis.own)
    assert (axis.name, axis.unit, axis.labels) == ("material", "object", ("air", "cloth", "wood"))
    rows = score_axis(axis, resamples=50)
    assert [(row.label, row.count, row.few) for row in rows] == [("air", 0, True), ("cloth", 1, True), ("wood", 1, True)]
    assert [row.score for row in rows[1:]] == [0.0, 1.0]
    assert [(one.image, one.pixels) for one in own.components(folder, "material", "cloth")] == [("a.png", 100)]
    assert own.components(folder, "material", "wood") == []
    notes = " ".join(own.notes(list(folder)))
    assert "2 rows of objects name a pixel without an object" in notes
    assert "1 image of it not found here, e.g. gone" in notes


def test_images_are_found_by_name_and_scored_as_a_set(tmp_path: Path) -> None:
    images = ["sub/a.png", "other/a.png", "b.png", "c.png"]
    folder, own = scored(tmp_path, "image,weather\na,rain\nb.jpg,sun\n", images)
    axis = next(axis for axis in sliced_axes(folder, own) if axis.own)
    rows = score_axis(axis, resamples=50)
    assert [(row.label, row.count, row.images) for row in rows] == [("rain", 2, 2), ("sun", 1, 1)]
    assert rows[0].score == pytest.approx((1 + 400 / 500) / 2)  # background is right, the chair 400 of 500 px
    notes = " ".join(own.notes(list(folder)))
    assert "'a' stands for 2 images" in notes
    assert "1 image without a row" in notes
    listed = own.components(folder, "weather", "rain")
    assert {one.image for one in listed} == {"sub/a.png", "other/a.png"}
    assert len(own.components(folder, "weather", "rain", limit=1)) == 1
    with pytest.raises(KeyError):
        own.components(folder, "weather", "snow")
    assert not [axis for axis in sliced_axes(folder, own, class_id=CHAIR) if axis.own]  # of a class only objects are sliced
