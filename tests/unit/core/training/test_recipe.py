"""Recipes: TOML there and back, flags over files, and mistakes by name."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import AtrousError
from deeplab_core.training import Recipe
from deeplab_core.training.schedule import poly_rate

recipes = st.builds(
    Recipe,
    batch=st.integers(1, 64),
    crop=st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
    rate=st.floats(1e-6, 10),
    hard_classes=st.lists(st.text(max_size=8).filter(str.isprintable), max_size=3).map(tuple),
    options=st.dictionaries(st.sampled_from(["separable", "aspp_channels"]), st.one_of(st.booleans(), st.integers(1, 9))),
    name=st.text(max_size=20).filter(str.isprintable),
    loss=st.sampled_from(["cross_entropy", "ohem", "top_k", "focal"]),
    half=st.booleans(),
    ema=st.floats(0, 0.9999),
)


@given(recipes)
def test_a_recipe_comes_back_from_toml_and_json(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> None:
    path = tmp_path_factory.mktemp("r") / "recipe.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert Recipe.read(path)[0] == recipe
    assert Recipe.from_dict(recipe.to_dict()) == recipe


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"rat": 1}, "rat"),
        ({"batch": 2.5}, "batch"),
        ({"batch": True}, "batch"),
        ({"crop": [3]}, "crop"),
        ({"scales": [2, 1]}, "scales"),
        ({"loss": "l2"}, "l2"),
        ({"accumulate": 3, "batch": 4}, "accumulate"),
        ({"flip": 1}, "flip"),
        ({"options": 3}, "options"),
        ({"network": "deeplabv3plus", "options": {"in_channels": 2.5}}, "recipe: .*2.5 input channels"),
        ({"mean": ["a", 2, 3]}, "mean"),
        ({"resize": "321"}, "321.*long_side"),
        ({"resize": "long_side:big"}, "long_side:big"),
        ({"seed": -1}, "seed"),
        ({"scale_step": -1}, "scale_step"),
        ({"std": [1, 0, 1]}, "std"),
        ({"std": [1, float("nan"), 1]}, "std"),
        ({"rate": float("inf")}, "rate"),
        ({"batch": float("inf")}, "batch"),
        ({"crop": [float("inf"), 2]}, "crop"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"steps": -3}, "steps"),
        ({"blur": 2}, "blur"),
        ({"momentum": 1}, "momentum"),
        ({"hard_repeat": 0}, "hard_repeat"),
        ({"freeze": "encoder"}, "freeze"),
        ({"freeze": [3]}, "freeze"),
        ({"fixed_scales": ["a"]}, "fixed_scales"),
        ({"fixed_scales": [True]}, "fixed_scales"),
        ({"padding": "grid"}, "grid"),
        ({"init_rate": -1}, "init_rate"),
    ],
)
def test_a_mistake_is_named(values: dict[str, object], named: str) -> None:
    with pytest.raises(AtrousError, match=named):
        Recipe().changed(values)


def test_hard_classes_are_classes() -> None:
    voc = get_catalog("voc21")
    Recipe(hard_classes=("chair", "Potted Plant")).check_run(voc)
    with pytest.raises(AtrousError, match=r"'chiar'.*voc21.*chair"):
        Recipe(hard_classes=("chair", "chiar")).check_run(voc)


def test_whole_numbers_stand_for_floats() -> None:
    assert Recipe().changed({"rate": 1, "scales": [1, 2], "batch": 8.0}) == Recipe(rate=1.0, scales=(1.0, 2.0), batch=8)


def test_a_list_of_any_length_replaces_another() -> None:
    recipe = Recipe(hard_classes=("chair",), freeze=("encoder.stem",), fixed_scales=(1.0,))
    changed = recipe.changed({"hard_classes": ["sofa", "chair"], "freeze": [], "fixed_scales": [1, 0.5]})
    assert (changed.hard_classes, changed.freeze, changed.fixed_scales) == (("sofa", "chair"), (), (1.0, 0.5))


def test_a_malformed_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[recipe\n")
    with pytest.raises(AtrousError, match=r"bad\.toml"):
        Recipe.read(path)
    path.write_text("[recipe]\nrat = 1\n")
    with pytest.raises(AtrousError, match=r"rat.*bad\.toml|bad\.toml.*rat"):
        Recipe.read(path)


def test_the_rate_falls_by_the_poly_rule_after_a_linear_start() -> None:
    assert poly_rate(0, 100) == 1
    assert poly_rate(50, 100) == pytest.approx(0.5**0.9)
    assert poly_rate(0, 100, warmup=10) == pytest.approx(0.1)
    assert poly_rate(4, 100, warmup=10) == pytest.approx(0.96**0.9 * 0.5)
    rates = [poly_rate(step, 30) for step in range(30)]
    assert rates == sorted(rates, reverse=True)
    assert all(rate > 0 and math.isfinite(rate) for rate in rates)
