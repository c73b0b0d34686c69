"""``docs/formats.md`` agrees with the tables of formats."""

from __future__ import annotations

import pytest

from deeplab_core.masks.export import EXPORTERS, FORMATS
from deeplab_core.masks.importing import FORMATS as IMPORTS
from tools.format_table import PAGE, SAME, tables, written


def test_the_page_is_current() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert written(page) == page, "run: python -m tools.format_table"


def test_every_format_is_in_the_tables() -> None:
    text = tables()
    for name in FORMATS:
        assert f"`{name}`" in text
    for entry in IMPORTS:
        assert f"`{entry.key}`" in text
    assert set(SAME) == set(FORMATS) - {"overlay"}
    assert set(SAME.values()) <= {entry.key for entry in IMPORTS}


@pytest.mark.parametrize("name", list(FORMATS))
def test_options_are_arguments_of_the_class(name: str) -> None:
    from inspect import signature

    arguments = set(signature(EXPORTERS[name]).parameters)
    assert arguments == set(FORMATS[name].options)


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="marks"):
        written("# Formats")
