"""Regions that are not scored."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deeplab_core.datasets.ambiguous import AmbiguousMarks
from deeplab_core.errors import ProjectError
from deeplab_core.geometry import Box


@given(st.lists(hnp.arrays(bool, (5, 7)).filter(np.any), max_size=3))
def test_marks_are_exact_and_survive_json(masks: list[np.ndarray]) -> None:
    marks = AmbiguousMarks(5, 7)
    for mask in masks:
        marks = marks.marked(mask, classes=(9, 18), reason="armchair?")
    whole = np.any(masks, axis=0) if masks else np.zeros((5, 7), bool)
    again = AmbiguousMarks.from_dict(json.loads(json.dumps(marks.to_dict())))
    assert again == marks
    np.testing.assert_array_equal(again.mask(), whole)
    assert [mark.pixels for mark in marks.marks] == [int(mask.sum()) for mask in masks]
    for y, x in np.ndindex(5, 7):
        assert marks.at(x, y) == tuple(place for place, mask in enumerate(masks) if mask[y, x])


def test_a_component_is_marked_by_its_box() -> None:
    marks = AmbiguousMarks(10, 12).marked([[False, True], [True, True]], offset=(4, 3))
    assert marks.marks[0].box == Box(4, 3, 2, 2)
    assert marks.marks[0].runs == (1, 3)
    truth = np.full((10, 12), 9, np.uint8)
    excluded = marks.exclude_from(truth, 255)
    assert (excluded == 255).sum() == 3
    assert (truth == 9).all()
    assert marks.without(0) == AmbiguousMarks(10, 12)
    with pytest.raises(IndexError):
        marks.without(1)


def test_refuses_what_fits_no_image() -> None:
    marks = AmbiguousMarks(4, 4)
    with pytest.raises(ValueError, match="at least one pixel"):
        marks.marked(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="leaves the image"):
        marks.marked(np.ones((2, 2)), offset=(3, 0))
    with pytest.raises(ValueError, match="the truth of 5 x 4"):
        marks.exclude_from(np.zeros((4, 5), np.uint8), 255)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), "atrous-ambiguous-9"),
        (("width",), -1),
        (("height",), 2.5),
        (("marks",), None),
        (("marks", 0, "box"), [0, 0, 9, 1]),
        (("marks", 0, "box"), [0, 0, 1]),
        (("marks", 0, "runs"), [1, 2]),
        (("marks", 0, "runs"), [4]),
        (("marks", 0, "runs"), [True, 3]),
        (("marks", 0, "classes"), ["sofa"]),
    ],
)
def test_malformed_marks_are_said(path: tuple[Any, ...], value: Any) -> None:
    data = copy.deepcopy(AmbiguousMarks(4, 4).marked([[True, False], [True, True]]).to_dict())
    place: Any = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ProjectError, match="not a list of ambiguous regions"):
        AmbiguousMarks.from_dict(data)
    with pytest.raises(ProjectError):
        AmbiguousMarks.from_dict([])
