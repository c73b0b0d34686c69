"""Counts how long and with how many actions the user works on each image."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, Signal

from app.services.services import Services
from app.services.session import OpenImage
from app.services.timers import single_shot
from app.services.undo import Step
from app.state.activity import QUARTER, ActivityClock, DayProgress, ImageActivity, Spell, by_day
from app.state.image_record import ImageRecord
from app.state.project import Project
from deeplab_core.errors import AtrousError

#: Signs of the user that follow within this many seconds are one: the pointer gives hundreds in a second.
_APART = 1.0
#: What was counted is written at most this long after it, ms.
_KEPT_AFTER_MS = 20_000


class ActivityController(QObject):
    """Keeps active time and actions of the image in view.

    Active time is the time between signs of the user (keys, buttons, the pointer over the window); pauses of more than 60 s do
    not count. Actions are steps: what undo would take back, and each undo and redo. The first prediction comes by itself and is
    none.

    Signals:
        changed(image id): what is known of an image's activity was written.
    """

    changed = Signal(int)

    def __init__(self, services: Services, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._notifier = services.session, services.notifier
        self._clock = ActivityClock()
        self._seen = 0.0
        self._project: Project | None = None
        self._image: int | None = None
        self._decided: tuple[bool, bool] = (False, False)  # whether the image in view is reviewed, rejected
        self._spell: Spell | None = None  # what was not written yet
        self._keeping = single_shot(self, _KEPT_AFTER_MS, self.keep)
        services.session.projectChanged.connect(self._follow_project)
        services.session.imageChanged.connect(self._follow_image)
        services.session.recordChanged.connect(self._follow_record)

    def sign(self) -> None:
        """The user has moved the pointer, pressed a key or a button."""
        now = time.time()
        if abs(now - self._seen) >= _APART:
            self._count(now)

    def keep(self) -> None:
        """Write what was counted."""
        self._keeping.stop()
        spell, self._spell = self._spell, None
        if spell is None or self._project is None or self._image is None:
            return
        try:
            self._project.activity.add(self._image, spell)
        except AtrousError as error:
            self._notifier.report(error, replace_key="save")
        self.changed.emit(self._image)

    def of(self, image: int) -> ImageActivity:
        """What was done with an image, without what was not written yet."""
        return ImageActivity() if self._session.project is None else self._session.project.activity.of(image)

    def days(self) -> list[DayProgress]:
        """Progress of each day, in this computer's time zone."""
        self.keep()
        return [] if self._session.project is None else by_day(self._session.project.activity.all())

    # -- counting --------------------------------------------------------------------------------------------------------

    def _count(self, now: float, actions: int = 0, reviewed: int = 0, rejected: int = 0) -> None:
        if self._image is None:
            return
        self._seen = now
        spell = Spell(int(now // QUARTER), self._clock.sign(now), actions, reviewed, rejected)
        if self._spell is not None and self._spell.quarter != spell.quarter:
            self.keep()
        self._spell = spell if self._spell is None else self._spell + spell
        if not self._keeping.isActive():
            self._keeping.start()

    def _act(self) -> None:
        self._count(time.time(), actions=1)

    def _follow_step(self, image: int, step: Step) -> None:
        history = self._session.history
        if image == self._image and history is not None and history.start is not step:
            self._act()

    def _follow_move(self, image: int, _step: Step, _direction: int) -> None:
        if image == self._image:
            self._act()

    # -- following -------------------------------------------------------------------------------------------------------

    def _follow_project(self, project: Project | None) -> None:
        self._leave()
        self._project, history = project, self._session.history
        if project is not None and history is not None:
            history.stepPushed.connect(self._follow_step)
            history.stepMoved.connect(self._follow_move)
            history.actDone.connect(self._act)

    def _follow_image(self, image: OpenImage | None) -> None:
        if self._image is not None:
            self._count(time.time())  # what led to the other image belongs to this one
        self._leave()
        if image is not None and self._project is not None:
            self._image = image.id
            record = self._project.record(image.id)
            self._decided = record.reviewed, record.rejected
            self._clock.sign(time.time())

    def _follow_record(self, record: ImageRecord) -> None:
        if record.id != self._image:
            return
        before, self._decided = self._decided, (record.reviewed, record.rejected)
        new = [now and not was for now, was in zip(self._decided, before, strict=True)]
        if any(new):
            self._count(time.time(), reviewed=int(new[0]), rejected=int(new[1]))

    def _leave(self) -> None:
        self.keep()
        self._clock.stop()
        self._image = None
