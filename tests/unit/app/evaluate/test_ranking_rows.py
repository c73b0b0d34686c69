"""Texts of the Rankings page, and the panel's text about the images behind its figures."""

from __future__ import annotations

import pytest

from app.viewmodels.evaluate.rankings import classes_text, scope_text, score_text
from deeplab_core.catalogs import get_catalog


@pytest.mark.parametrize(
    ("score", "text"), [(None, ""), (0.0, "0.0"), (0.4813, "48.1"), (1.0, "100.0"), (12_400.4, "12\u202f400 px")]
)
def test_a_score_is_per_cent_or_a_number_of_pixels(score: float | None, text: str) -> None:
    assert score_text(score) == text


def test_void_has_a_name_of_its_own() -> None:
    catalog = get_catalog("voc21")
    assert classes_text(catalog, (9, catalog.ignore)) == "chair or void"
    assert classes_text(catalog, ()) == ""


def test_without_figures_there_is_a_hint_unless_they_are_coming() -> None:
    assert scope_text(0, 0, inspecting=False).hint.startswith("No ground truth found")
    assert "Run the model" in scope_text(0, 4, inspecting=False).hint
    assert not scope_text(0, 4, inspecting=True).hint
    assert scope_text(2, 4, inspecting=False).text == "2 of 4 images"
    assert not scope_text(2, 4, inspecting=False).hint
