"""What the list of images leaves out of the names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.state.image_record import ImageRecord
from app.viewmodels.project.image_list import ImageRow, common_prefix


def records(*names: str) -> list[ImageRecord]:
    return [ImageRecord(number, name, 1, 1) for number, name in enumerate(names)]


def captions(*names: str) -> list[str]:
    found = records(*names)
    prefix = common_prefix(found)
    return [ImageRow(record, place, prefix=prefix).caption for place, record in enumerate(found)]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("COCO_val2014_000000000081.jpg", "COCO_val2014_000000000164.jpg"), ["…081", "…164"]),
        (("room_00000.jpg", "room_00001.jpg"), ["…000", "…001"]),
        (("a/room_00000.jpg", "b/room_00001.jpg"), ["…000", "…001"]),
        (("kitchen.jpg", "kitchenette.jpg"), ["kitchen", "kitchenette"]),
        (("hall_left.jpg", "hall_right.jpg"), ["…left", "…right"]),
        (("a1.jpg", "a2.jpg"), ["a1", "a2"]),
        (("alone_000001.jpg",), ["alone_000001"]),
        ((), []),
    ],
)
def test_what_all_names_begin_with_is_left_out_where_that_helps(names, shown):
    assert captions(*names) == shown


@given(st.lists(st.text("ab1_", min_size=1, max_size=12), min_size=1, max_size=6))
def test_captions_tell_apart_what_the_names_tell_apart(stems):
    names = [f"{stem}.jpg" for stem in stems]
    shown = captions(*names)
    assert len(set(shown)) == len(set(names))
    assert all(len(caption) >= min(3, len(stem)) for caption, stem in zip(shown, stems, strict=True))
    assert all(stem.endswith(caption.removeprefix("…")) for caption, stem in zip(shown, stems, strict=True))


def test_the_tooltip_has_the_full_name():
    found = records("room_00000.jpg", "room_00001.jpg")
    row = ImageRow(found[1], 1, prefix=common_prefix(found))
    assert row.tooltip.splitlines()[0] == "room_00001.jpg"
    assert row.title == "room_00001"
