"""The features of the program may be built in any order, and each one alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from app.actions.context import ContextKeys
from app.controllers.project.merging import MergeController
from app.controllers.workspace import FEATURES, LISTENERS, Program
from app.services.folders import settings_file
from app.services.notifications import Notifier
from app.services.settings import SettingsStore
from deeplab_core.catalogs import get_catalog
from tests.fakes.compute import FakeComputeClient
from tests.gui.studio import Studio, make_folder

#: Every feature of the program: what it builds on first use.
BUILT = tuple(sorted(name for name, value in vars(Program).items() if isinstance(value, cached_property)))


@pytest.fixture
def build(qtbot: QtBot, qapp: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    models = tmp_path / "models"
    models.mkdir()
    (models / "stripes.safetensors").write_bytes(b"")
    monkeypatch.setenv("ATROUS_MODEL_DIR", str(models))
    monkeypatch.setattr("app.paths.BUNDLED_MODELS", tmp_path / "none bundled")
    made: list[Program] = []

    def program(listeners: Sequence[str]) -> Program:
        settings_file().unlink(missing_ok=True)
        settings = SettingsStore(settings_file())
        made.append(Program(settings, Notifier(), ContextKeys(), FakeComputeClient(get_catalog("voc21")), listeners=listeners))
        return made[-1]

    yield program
    for each in made:
        each.projects.close()
        each.shut_down()


def settle(qtbot: QtBot, program: Program) -> None:
    def quiet() -> bool:
        return not program.jobs.running and program.jobs.wait(0) and not program.compute.waiting

    qtbot.waitUntil(quiet)
    qtbot.wait(900)  # counts and scores follow when the brush rests
    qtbot.waitUntil(quiet)


def session(qtbot: QtBot, program: Program, folder: Path) -> dict[str, Any]:
    """Open a folder, predict its first image, paint a stroke, take it back and paint another; what is known in the end."""
    program.models.start()
    qtbot.waitUntil(lambda: program.models.card is not None)
    program.projects.open(folder)
    qtbot.waitUntil(lambda: program.session.image is not None)
    settle(qtbot, program)
    image, edit = program.session.image, program.edit
    assert image is not None
    program.classes.choose(15)
    for row in (20, 40):
        edit.begin_stroke(10, row)
        edit.extend_stroke([(60, row)])
        edit.end_stroke()
        if row == 20:
            edit.undo()
    settle(qtbot, program)
    live = program.evaluation.live
    assert live is not None
    return {
        "labels": image.document.labels.copy(),
        "matrix": live.matrix.counts.copy(),
        "shares": program.counts.shares(),
        "by hand": program.counts.by_hand,
        "facts": {name: program.context[name] for name in ("can_undo", "can_redo", "has_prediction", "can_edit", "project_open")},
        "scores": program.figures.ious(),
    }


def orders() -> list[tuple[str, ...]]:
    shuffled = random.Random(3)
    return [tuple(reversed(LISTENERS)), *(tuple(shuffled.sample(LISTENERS, len(LISTENERS))) for _ in range(3))]


def test_features_come_to_the_same_in_every_order(qtbot: QtBot, build: Callable[..., Program], tmp_path: Path) -> None:
    expected: dict[str, Any] | None = None
    for number, order in enumerate([LISTENERS, *orders()]):
        program = build(order)
        found = session(qtbot, program, make_folder(tmp_path / f"set {number}"))
        if expected is None:
            expected = found
        for name, value in found.items():
            equal = np.array_equal(value, expected[name]) if isinstance(value, np.ndarray) else value == expected[name]
            assert equal, f"{name} depends on the order {order}: {value} instead of {expected[name]}"
    assert expected is not None
    assert expected["by hand"] > 0
    assert expected["facts"]["can_undo"]


@pytest.mark.parametrize("name", BUILT)
def test_each_feature_can_be_built_first(build: Callable[..., Program], name: str) -> None:
    program = build(())
    assert getattr(program, name) is getattr(program, name)


def test_tables_of_features_name_features_that_exist() -> None:
    assert {*LISTENERS, *FEATURES.values()} <= set(BUILT)


def test_a_window_builds_no_feature_before_it_is_used(studio: Studio, folder: Path) -> None:
    program = studio.program
    unused = {
        "fetch", "export", "refine_folder", "new_project", "label_imports", "merging", "videos", "component_jobs",
        "scribble_lines", "border_snap",
    }  # fmt: skip
    assert not unused & vars(program).keys()
    studio.start_model()
    studio.open(folder)
    studio.paint((20, 20), (40, 20))
    assert not unused & vars(program).keys()
    assert program.feature("export") is program.export


def test_the_window_listens_to_a_feature_that_is_built_later(studio: Studio) -> None:
    signals = {
        "merging": "compared", "label_imports": "planAsked", "new_project": "asked", "export": "finished",
        "component_jobs": "changed",
    }  # fmt: skip
    for name, signal in signals.items():
        feature = getattr(studio.program, name)
        meta = feature.metaObject()
        (method,) = (each for each in map(meta.method, range(meta.methodCount())) if each.name() == signal.encode())
        assert feature.isSignalConnected(method), f"nothing listens to {name}.{signal}"


def test_a_listener_gets_a_feature_when_it_is_built_or_at_once(build: Callable[..., Program]) -> None:
    program = build(())
    met: list[object] = []
    program.when_built(MergeController, met.append)
    assert met == []
    merging = program.merging
    assert met == [merging]
    program.when_built(MergeController, met.append)
    assert met == [merging, merging]
