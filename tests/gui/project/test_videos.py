"""A video in the window: what its frames need follows the choice, they are written as a job, and their folder opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.ui.project.new_project_dialog import NewProjectDialog
from app.ui.project.video_dialog import VideoDialog
from deeplab_core.datasets.video import FrameChoice, frames_folder, plan_frames
from tests.gui.studio import Studio
from tests.unit.core.datasets.test_video import clip


def shown(studio: Studio, path: Path) -> VideoDialog:
    dialog = VideoDialog(studio.program.videos, path, studio.window)
    studio.qtbot.addWidget(dialog)
    dialog.show()
    studio.settle()
    return dialog


def accept_page(studio: Studio) -> None:
    """Wait for the page of a new project that the folder of frames gets, and accept it."""
    assert studio.application.presenter is not None
    labels = studio.application.presenter.labels
    studio.wait(lambda: isinstance(labels.dialog, NewProjectDialog))
    studio.settle()
    assert studio.program.session.project is None
    assert isinstance(labels.dialog, NewProjectDialog)
    labels.dialog.go.click()
    studio.wait(lambda: studio.program.session.image is not None)
    studio.settle()


def test_the_need_follows_the_choice(studio: Studio, tmp_path: Path) -> None:
    dialog = shown(studio, clip(tmp_path / "a.avi"))
    assert dialog.facts.text() == "64 x 48 px, 30 frames, 3 s"
    assert dialog.need.text().startswith("About 3 frames, about 1 MB of ")
    assert "in the folder a_frames beside the video" in dialog.need.text()
    assert dialog.go.isEnabled()
    dialog.seconds.setValue(0.1)
    assert dialog.by_time.isChecked()
    assert not dialog.go.isEnabled()
    studio.settle()
    assert dialog.need.text().startswith("About 30 frames")
    assert dialog.choice() == FrameChoice(every=None, seconds=0.1)


def test_what_cannot_be_read_is_explained_in_place(studio: Studio, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"nothing")
    dialog = shown(studio, path)
    assert "Its content is that of no known video" in dialog.need.text()
    assert "Convert it to MP4" in dialog.need.text()
    assert not dialog.go.isEnabled()


def test_frames_are_written_and_their_folder_opens(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = clip(tmp_path / "a.avi")

    def answer(dialog: VideoDialog) -> bool:
        dialog.every.setValue(15)
        studio.wait(lambda: dialog.plan is not None)
        return True

    monkeypatch.setattr(VideoDialog, "exec", answer)
    studio.window.dropped.emit(path)
    accept_page(studio)
    project = studio.program.session.project
    assert project is not None
    assert project.folder == frames_folder(path)
    assert [record.relative_path for record in project.images] == ["a_000000.png", "a_000015.png"]
    assert "2 frames written to a_frames" in studio.titles()


def test_a_stopped_job_says_how_to_go_on(studio: Studio, tmp_path: Path) -> None:
    path = clip(tmp_path / "a.avi", frames=60)
    choice = FrameChoice(every=1)
    videos = studio.program.videos
    plan = plan_frames(path, choice)
    videos.start(plan, choice)
    studio.program.jobs.running[-1].cancel()
    studio.settle()
    assert studio.program.session.project is None
    message = studio.program.notifier.messages[-1]
    assert "Open the video again to go on." in message.detail
    videos.start(plan, choice)
    accept_page(studio)
    assert len(list(frames_folder(path).glob("*.png"))) == 60
