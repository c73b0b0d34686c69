"""The data of a run in a recipe file: there and back, and mistakes by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import AtrousError, CatalogError
from deeplab_core.training import DataSource, Recipe
from deeplab_core.training.tables import DataTables, first_difference
from tests.unit.core.training.made_data import CATALOG, make_folder


@pytest.mark.parametrize("catalog", [CATALOG, get_catalog("camvid11")])
def test_what_is_written_is_read_back_from_any_folder(catalog: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = DataTables(
        catalog=catalog,  # type: ignore[arg-type]
        train=(
            DataSource(images=Path('odd "name"'), truth=Path("masks"), exclude=("a*", "b\\c")),
            DataSource(images=Path("two")),
        ),
        val=(DataSource(images=Path("val"), include=("x",), split=Path("val.txt")),),
        projects=(Path("photos"),),
        exclude=("bad*",),
        unmatched_to_void=True,
    )
    file = tmp_path / "elsewhere" / "recipe.toml"
    file.parent.mkdir()
    recipe = Recipe(name="toy\x7f", crop=(32, 40), options={"separable": True})
    file.write_text(recipe.to_toml(data.to_dict()), encoding="utf-8")
    again, tables = Recipe.read(file)
    assert again == recipe
    found = DataTables.read(tables, file)
    assert found.to_dict() == data.to_dict()
    assert found.catalog == catalog
    assert found.train[0].images == tmp_path / 'odd "name"'
    assert found.projects == (tmp_path / "photos",)


def test_paths_are_those_of_the_file(tmp_path: Path) -> None:
    make_folder(tmp_path / "data")
    tables = {"data": {"catalog": "data/toy.json", "train": {"images": "data/images"}, "projects": "photos"}}
    found = DataTables.read(tables, tmp_path / "recipe.toml")
    assert found.catalog == get_catalog(tmp_path / "data" / "toy.json")
    assert found.train[0].images == tmp_path / "data" / "images"
    assert found.projects == (tmp_path / "photos",)


@pytest.mark.parametrize(
    ("tables", "named"),
    [
        ({"date": {}}, "date"),
        ({"data": {"trian": []}}, "trian"),
        ({"data": {"train": "images"}}, "train"),
        ({"data": {"projects": 3}}, "projects"),
        ({"data": {"unmatched_to_void": "yes"}}, "unmatched_to_void"),
        ({"data": 3}, "data"),
    ],
)
def test_a_mistake_is_named(tables: dict[str, object], named: str) -> None:
    with pytest.raises(AtrousError, match=named):
        DataTables.read(tables, Path("recipe.toml"))


def test_unknown_classes_are_named() -> None:
    with pytest.raises(CatalogError, match="voc22"):
        DataTables.read({"data": {"catalog": "voc22"}}, Path("recipe.toml"))


def test_where_class_lists_part_is_said_in_words() -> None:
    assert first_difference(["a", "b"], ("a", "b")) == ""
    assert "'b', not 'c'" in first_difference(["a", "b"], ["a", "c"])
    assert "2 classes, not 3" in first_difference(["a", "b"], ["a", "b", "c"])
