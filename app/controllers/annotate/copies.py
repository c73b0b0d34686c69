"""Copy the mask of the image before, copy a region and paste it: as one undo step of the user each."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from app.controllers.annotate.edit import EditController
from app.services.services import Services
from app.state.copies import RegionClip, copied_mask_patch, copy_region, paste_patch
from app.state.document import Document
from app.state.edits.limits import EditLimits
from app.state.image_record import ImageRecord
from app.state.patch import TilePatch
from app.text import plural, tr
from deeplab_core.errors import AtrousError, MessageText, message

_KEY = "copies"


class CopyController(QObject):
    """Verbs of copying. The copied region stays until another one is copied, also in other images and projects."""

    def __init__(self, services: Services, edit: EditController, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._jobs, self._notifier = services.session, services.jobs, services.notifier
        self._edit = edit
        self._place: tuple[int, int] | None = None
        self.clip: RegionClip | None = None

    def hover(self, x: int | None, y: int | None) -> None:
        """The pointer is over this pixel, or over none."""
        self._place = None if x is None or y is None else (x, y)

    def copy_region(self) -> None:
        """Copy the connected region of one class under the pointer."""
        image = self._session.image
        if image is None:
            return
        self._edit.commit_stroke()
        clip = None if self._place is None else copy_region(image.document, *self._place)
        if clip is None:
            self._notifier.info(tr("There is no region under the pointer"), tr("Point at a region first."), replace_key=_KEY)
            return
        self.clip = clip
        name, size = clip.name or tr("unlabelled"), plural("{n} px", "{n} px", clip.pixels)
        self._notifier.info(
            tr("Region copied: {name}, {size}", name=name, size=size), tr("Paste it into an image of the same size."),
            replace_key=_KEY,
        )  # fmt: skip

    def paste_region(self) -> None:
        """Give the pixels of the copied region its class in the image in view, at the same place."""
        image, clip = self._session.image, self.clip
        if image is None:
            return
        if clip is None:
            self._notifier.info(tr("No region was copied"), tr("Point at a region and choose 'Copy region'."), replace_key=_KEY)
            return
        name = message("Paste: {name}", name=clip.name or message("unlabelled"))
        self._write(name, image.document, lambda limits: paste_patch(image.document, clip, limits))

    def copy_previous(self) -> None:
        """Make the mask of the image before the one in view, in the order of their names, its mask."""
        image = self._session.image
        if image is None:
            return

        def done(other: Document | None, reason: str, before: str) -> None:
            if other is None:
                self._notifier.info(reason, tr("There is no mask to copy."), replace_key=_KEY)
            elif self._session.image is image:
                name = message("Copy of {name}", name=before)
                document = image.document
                self._write(name, document, lambda limits: copied_mask_patch(document, other.labels, other.provenance, limits))

        self.read_previous(done)

    def read_previous(self, done: Callable[[Document | None, str, str], object]) -> None:
        """Read the mask of the image before the one in view: its document or None, why not, and its name."""
        project, image = self._session.project, self._session.image
        before = None if project is None or image is None else self._before(image.id)
        if project is None or before is None:
            done(None, tr("This is the first image"), "")
            return
        name = before.shown
        held = None if self._session.autosaver is None else self._session.autosaver.held(before.id)
        if held is not None:
            held.settle()
            done(held, "", name)
        else:
            number = before.id

            def read(other: Document) -> None:
                done(other, "", name)

            self._jobs.run(lambda: project.load(number).document, read, self._notifier.report_or_raise)

    def _before(self, image: int) -> ImageRecord | None:
        project = self._session.project
        assert project is not None
        there = [record for record in project.images if not record.missing or record.id == image]
        place = next(place for place, record in enumerate(there) if record.id == image)
        return there[place - 1] if place else None

    def _write(self, name: MessageText, document: Document, make: Callable[[EditLimits], TilePatch]) -> None:
        """Do a step; what is refused is reported and changes nothing."""
        self._edit.commit_stroke()  # the step rests on the finished pixels
        limits = self._edit.limits(document)
        if self._edit.stops(limits):
            return
        try:
            patch = make(limits)
        except AtrousError as error:
            self._notifier.report(error, replace_key=_KEY)
            return
        if patch.empty:
            self._notifier.info(tr("Nothing changed: the labels are there already"), "", replace_key=_KEY)
            return
        self._edit.carry_out(name, document, lambda: patch)
