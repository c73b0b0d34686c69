"""Numbers as a person reads them."""

from __future__ import annotations

import pytest

from app.text import counted, spaced


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (999, "999"), (1204, "1\u2009204"), (12_345_678, "12\u2009345\u2009678")])
def test_thousands_stand_apart(number, text):
    assert spaced(number) == text


def test_one_thing_and_several():
    assert [counted(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert counted(1, "class", "classes") == "1 class"
    assert counted(1200, "class", "classes") == "1\u2009200 classes"
