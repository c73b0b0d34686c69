"""Frames of a video: what they need, and writing them beside the video as a job; then their folder is opened."""

from __future__ import annotations

import threading
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal, Slot

from app.services.jobs import Job, JobState
from app.services.services import Services
from app.text import displayed, plural, tr
from deeplab_core.datasets.video import FrameChoice, FramePlan, FrameSummary, plan_frames, take_frames
from deeplab_core.errors import AtrousError

_KEY = "video"


class VideoController(QObject):
    """Verbs of videos.

    Signals:
        planned(FramePlan): the answer to the last :meth:`plan`.
        refused(AtrousError): the same where the video cannot be read or its folder cannot be used.
        taken(Path): the frames are in this folder, which is to be opened.
    """

    planned = Signal(object)
    refused = Signal(object)
    taken = Signal(object)
    _progressed = Signal(object, int, int)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs, self._notifier = services.jobs, services.notifier
        self._asked = 0
        self._progressed.connect(self._show, Qt.ConnectionType.QueuedConnection)

    def plan(self, video: Path, choice: FrameChoice) -> None:
        """Find out what the frames need. Asked again before the answer, only the last one is answered."""
        self._asked += 1
        asked = self._asked

        def done(plan: FramePlan) -> None:
            if asked == self._asked:
                self.planned.emit(plan)

        def failed(error: Exception) -> None:
            if not isinstance(error, AtrousError):
                self._notifier.report_or_raise(error)
            elif asked == self._asked:
                self.refused.emit(error)

        self._jobs.run(lambda: plan_frames(video, choice), done, failed)

    def start(self, plan: FramePlan, choice: FrameChoice) -> None:
        """Write the frames, and open their folder as any other one. A run that was stopped goes on with the next one."""
        stopped = threading.Event()
        title = tr("Reading frames of {name}", name=displayed(plan.info.path.name))
        job = self._jobs.add(Job(title, stopped.set, guards_close=True))

        def work() -> FrameSummary:
            def follow(done: int, total: int) -> None:
                self._progressed.emit(job, done, total)

            return take_frames(plan, choice, progress=follow, cancel=stopped.is_set)

        def done(summary: FrameSummary) -> None:
            job.finish(JobState.CANCELLED if summary.cancelled else JobState.DONE)
            self._say(plan, summary)
            if not summary.cancelled and summary.written + summary.kept:
                self.taken.emit(plan.folder)

        def failed(error: Exception) -> None:
            job.finish(JobState.FAILED)
            self._notifier.report_or_raise(error)

        self._jobs.run(work, done, failed, long=True)

    @Slot(object, int, int)
    def _show(self, job: Job, done: int, total: int) -> None:
        if job.running:
            job.progress(done, max(total, done))

    def _say(self, plan: FramePlan, summary: FrameSummary) -> None:
        remarks = []
        if summary.kept:
            remarks.append(tr("{kept} were there.", kept=plural("{n} frame", "{n} frames", summary.kept)))
        if summary.failed:
            remarks.append(tr("{failed} could not be decoded.", failed=plural("{n} frame", "{n} frames", len(summary.failed))))
        remarks += [tr(text) for text in summary.problems]
        if summary.cancelled:
            remarks.append(tr("Open the video again to go on."))
        title = tr(
            "{written} written to {folder}", written=plural("{n} frame", "{n} frames", summary.written), folder=plan.folder.name
        )
        say = self._notifier.warning if summary.failed or summary.problems else self._notifier.info
        say(title, " ".join(remarks), replace_key=_KEY)
