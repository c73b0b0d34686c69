"""Kept predictions that are damaged or gone: the window reports it, and the list no longer calls the image predicted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.state.image_record import ImageStatus
from app.state.project import Project
from tests.gui.studio import Studio


def run_folder(studio: Studio, folder: Path) -> None:
    studio.open(folder)
    studio.start_model()
    studio.program.folder_run.run()
    studio.wait(lambda: all(record.prediction for record in studio.program.session.project.images))
    studio.settle()
    assert studio.program.projects.close()


@pytest.mark.parametrize("how", ["damaged", "gone"])
def test_a_lost_prediction_is_reported_and_the_image_is_not_called_predicted(studio: Studio, folder: Path, how: str) -> None:
    run_folder(studio, folder)
    with Project.open(folder, read_only=True) as reader:
        record = reader.images[2]
        path = reader.predictions._path(record.content_key, *record.prediction.rpartition(" ")[::2])
    studio.program.settings.set("work.auto_predict", False)  # it would have the prediction back at once
    if how == "damaged":
        path.write_bytes(path.read_bytes()[:-25])
    else:
        path.unlink()
    studio.open(folder)
    project = studio.program.session.project
    assert project is not None
    if how == "damaged":
        studio.program.projects.open_image(record.id)
    studio.wait(lambda: any("prediction lost" in title for title in studio.titles()))
    assert sum("lost" in title for title in studio.titles()) == 1
    assert project.record(record.id).status is ImageStatus.NEW
    assert [other.status for other in project.images if other.id != record.id] == [ImageStatus.PREDICTED] * 3


def test_an_image_without_its_confidence_is_shown_with_its_prediction(studio: Studio, folder: Path) -> None:
    run_folder(studio, folder)
    for path in (folder / ".atrous/predictions").glob("??/*.confidence.png"):
        path.unlink()
    studio.open(folder)
    studio.start_model()
    assert studio.image.prediction is not None
    assert studio.image.prediction.known_confidence is None
    studio.qtbot.mouseMove(studio.view, pos=studio.point(20, 20))
    studio.settle()
    assert not any("lost" in title for title in studio.titles())
    assert np.array_equal(studio.image.prediction.labels.shape, studio.image.document.shape)
