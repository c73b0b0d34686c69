"""The CRF in the window with the real compute process: previews and scribbles are the engine's, and a death loses no stroke."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from app.controllers.refine.preview import Phase
from app.controllers.workspace import Program
from app.main import Application
from app.services.folders import settings_file
from app.state.provenance import Provenance
from deeplab_core.images import read_image
from deeplab_core.inference import Predictor
from deeplab_core.refine import DenseCRF, ProbabilitySource, preset
from deeplab_core.weights import load_model
from tests.gui.studio import discard
from tests.unit.app.tiny_model import save_photograph, save_tiny_model

PATIENCE = 120_000


@pytest.fixture
def opened(qtbot: QtBot, qapp: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Program, Path, Path]]:
    models, images = tmp_path / "models", tmp_path / "images"
    models.mkdir()
    images.mkdir()
    model = save_tiny_model(models / "tiny.safetensors")
    photo = save_photograph(images / "photo.png", 120, 160, seed=3)
    monkeypatch.setenv("ATROUS_MODEL_DIR", str(models))
    settings_file().unlink(missing_ok=True)
    application = Application()
    application.window.show()
    program = application.build()
    program.models.start()
    program.projects.open(images)
    qtbot.waitUntil(lambda: program.models.card is not None and program.session.image is not None, timeout=PATIENCE)
    program.truth.choose_catalog(program.models.card.catalog)
    qtbot.waitUntil(lambda: program.context["has_prediction"] and not program.jobs.running, timeout=PATIENCE)
    yield program, photo, model
    discard(application)


@pytest.mark.e2e
@pytest.mark.slow
def test_previews_scribbles_and_a_death(opened, qtbot):
    program, photo, model = opened
    refine, document = program.refine, program.session.image.document
    refine.toggle_preview()
    qtbot.waitUntil(lambda: refine.status.phase is Phase.EXACT and refine.requests.idle, timeout=PATIENCE)
    rgb = read_image(str(photo)).rgb
    scores = Predictor(*load_model(model), device="cpu").scores(rgb)
    ids = scores.catalog.ids.astype(np.uint8)
    expected = DenseCRF(rgb, preset("v1")).marginals(ProbabilitySource.of_scores(scores)).labels(ids)
    assert (refine.shown == expected).mean() > 0.999  # threads add up in another order
    before = document.labels.copy()
    refine.discard()
    np.testing.assert_array_equal(document.labels, before)

    program.scribble.toggle()
    program.scribble.patience.setInterval(PATIENCE)
    qtbot.waitUntil(lambda: program.compute.waiting == 0, timeout=PATIENCE)
    program.edit.choose_class(4)
    program.tools.set_diameter(8)
    steps = len(program.session.history.steps)
    program.edit.begin_stroke(60, 60)
    program.edit.extend_stroke([(90, 60)])
    program.edit.end_stroke()
    qtbot.waitUntil(lambda: len(program.session.history.steps) == steps + 1, timeout=PATIENCE)
    assert program.session.history.undo_text.startswith("Scribble: class 4")
    drawn = document.provenance == Provenance.USER
    assert (document.labels[drawn] == 4).all()
    assert (document.provenance == Provenance.CRF).any()
    after = document.labels.copy()
    program.edit.undo()
    np.testing.assert_array_equal(document.labels, before)
    program.edit.redo()
    np.testing.assert_array_equal(document.labels, after)

    os.kill(program.compute.pid, signal.SIGKILL)
    program.edit.begin_stroke(30, 100)
    program.edit.extend_stroke([(60, 100)])
    program.edit.end_stroke()
    qtbot.waitUntil(lambda: len(program.session.history.steps) == steps + 2, timeout=PATIENCE)
    assert document.labels[100, 45] == 4
    assert "The stroke was painted but not refined" in [message.title for message in program.notifier.messages]
    refine.toggle_preview()
    qtbot.waitUntil(lambda: refine.status.phase is Phase.NO_SCORES, timeout=PATIENCE)
    program.predict.run_image()
    qtbot.waitUntil(lambda: refine.status.phase is Phase.EXACT, timeout=PATIENCE)
    assert (refine.shown[document.provenance == Provenance.USER] == 4).all()
