"""What a model's classes become in a project: choices belong to one model, and those of older versions are taken over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.state.class_mapping import (
    card_key,
    choose_classes,
    chosen_classes,
    forget_choices,
    in_project_ids,
    object_id,
    project_mapping,
)
from app.state.project import Project
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.model_cards import numbered_catalog
from deeplab_core.records import Prediction, PredictOptions

OWN = ClassCatalog("own", "Own", (ClassInfo(0, "ground", (9, 9, 9)), ClassInfo(4, "roof", (200, 0, 0))))
THREE = numbered_catalog(3)
ONE, TWO = "0123456789ab-net", "ba9876543210-net"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "photos" / "a.png")
    with Project.open(tmp_path / "photos", catalog=OWN):
        pass
    return tmp_path / "photos"


def pairs(project: Project, source: ClassCatalog, card_id: str | None) -> dict[int, int | None]:
    return dict(project_mapping(project, source, card_id).pairs)


def test_a_choice_is_for_one_model_not_for_every_model_with_as_many_classes(photos: Path) -> None:
    with Project.open(photos) as project:
        choose_classes(project, THREE, ONE, {0: 0, 1: 4, 2: None})
        assert pairs(project, THREE, ONE) == {0: 0, 1: 4, 2: None}
        assert not project_mapping(project, THREE, ONE).unmatched
        assert len(project_mapping(project, THREE, TWO).unmatched) == 3
        # A new name for the same weights changes nothing.
        assert pairs(project, THREE, ONE.replace("net", "renamed")) == {0: 0, 1: 4, 2: None}
        choose_classes(project, THREE, TWO, {0: 4, 1: 0, 2: 0})
        assert chosen_classes(project, ONE) == {0: 0, 1: 4, 2: None}
        forget_choices(project, ONE)
        assert chosen_classes(project, ONE) == {}
        assert chosen_classes(project, TWO) == {0: 4, 1: 0, 2: 0}
    with Project.open(photos) as project:
        assert pairs(project, THREE, TWO) == {0: 4, 1: 0, 2: 0}


def test_a_prediction_is_read_by_the_choices_for_its_own_model(photos: Path) -> None:
    labels = np.array([[0, 1], [2, 2]], np.uint8)
    with Project.open(photos) as project:
        for card_id, choices in ((ONE, {0: 0, 1: 4, 2: None}), (TWO, {0: 4, 1: 4, 2: 0})):
            project.set_setting(card_key(card_id), THREE.to_dict())
            choose_classes(project, THREE, card_id, choices)
        for card_id, expected in ((ONE, [[0, 4], [255, 255]]), (TWO, [[4, 4], [0, 0]])):
            prediction = Prediction(labels=labels, confidence=labels, card_id=card_id, options=PredictOptions())
            found = in_project_ids(project, prediction)
            assert found is not None
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("read_only", [False, True])
def test_choices_of_older_versions_go_to_the_models_that_were_used(photos: Path, read_only: bool) -> None:
    voc = get_catalog("voc21")
    with Project.open(photos) as project:
        project.set_setting(card_key(ONE), THREE.to_dict())
        project.set_setting(card_key("bad"), {"no": "catalog"})
        project.set_setting("mapping numbered3 3", {"0": 0, "1": 4, "2": None, "x": 1})
        project.set_setting("mapping voc21 21", {"9": 4})
        project.set_setting("mapping broken 1", [1])
    with Project.open(photos, read_only=read_only) as project:
        assert pairs(project, THREE, ONE) == {0: 0, 1: 4, 2: None}
        # Numbered classes of another network mean something else; VOC's classes are VOC's in every network.
        assert len(project_mapping(project, THREE, TWO).unmatched) == 3
        assert pairs(project, voc, TWO)[9] == 4
        assert pairs(project, voc, None)[9] == 4
        if not read_only:
            project.set_setting(card_key(TWO), THREE.to_dict())  # it is used from now on
    with Project.open(photos) as project:
        assert len(project_mapping(project, THREE, TWO).unmatched) == 3
        assert pairs(project, THREE, ONE) == {0: 0, 1: 4, 2: None}


@pytest.mark.parametrize("stored", [{"m": 1}, {"m": {"to": 3}}, {"m": {"to": {"a": 0, "1": "x", "2": 9}}}, [], "text"])
def test_settings_of_another_form_are_passed_over(photos: Path, stored: object) -> None:
    with Project.open(photos) as project:
        project.set_setting("class choices", stored)
        assert len(project_mapping(project, THREE, "m").unmatched) == 3
        choose_classes(project, THREE, "m", {0: 0, 1: 0, 2: 0})
        assert pairs(project, THREE, "m") == {0: 0, 1: 0, 2: 0}


def test_the_choices_for_a_network_name_its_object(photos: Path) -> None:
    classes = numbered_catalog(2)
    with Project.open(photos) as project:
        for card_id, choices in ((ONE, {0: 0, 1: 4}), (TWO, {0: 4, 1: 0})):
            project.set_setting(card_key(card_id), classes.to_dict())
            choose_classes(project, classes, card_id, choices)
        labels = np.zeros((2, 2), np.uint8)
        options, found = PredictOptions(threshold=0.5), {}
        for card_id in (ONE, TWO):
            prediction = Prediction(labels=labels, confidence=labels, card_id=card_id, options=options)
            found[card_id] = object_id(project, prediction)
        assert found == {ONE: 4, TWO: 0}
