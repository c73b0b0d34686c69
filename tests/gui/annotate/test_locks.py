"""Locked classes in the window: strokes, fills, a prediction and the mask that replaces all keep their pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from app.state.provenance import Provenance
from tests.gui.studio import Studio

CHAIR, SOFA = 9, 18


def test_no_tool_of_the_window_takes_a_locked_class(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    edit, project = studio.program.edit, studio.program.session.project
    assert project is not None
    edit.choose_tool("brush")
    edit.tools.choose_class(CHAIR)
    studio.paint((10, 10), (30, 20))
    chairs = studio.image.document.labels == CHAIR
    assert chairs.any()
    refused: list[str] = []
    edit.refused.connect(refused.append)
    project.lock_classes([CHAIR])

    studio.paint((40, 30), (50, 40))
    assert len(refused) >= 1
    assert "chair is locked" in refused[0]
    edit.tools.choose_class(SOFA)
    studio.paint((0, 15), (60, 15))
    rows, columns = np.nonzero(chairs)
    before = len(refused)
    edit.fill(float(columns[0]), float(rows[0]))
    assert len(refused) == before + 1
    edit.lasso([(0, 0), (80, 0), (80, 59), (0, 59)])
    edit.replace_all(np.zeros_like(studio.image.document.labels), Provenance.IMPORT, "Import")
    studio.settle()
    labels = studio.image.document.labels
    assert np.array_equal(labels == CHAIR, chairs)
    assert (labels[~chairs] == 0).all()
    project.lock_classes([])
    edit.tools.choose_class(CHAIR)
    studio.paint((40, 30), (50, 40))
    assert (studio.image.document.labels == CHAIR).sum() > chairs.sum()
    for _ in range(6):
        edit.undo()
    studio.settle()
    assert not (studio.image.document.labels == CHAIR).any()
