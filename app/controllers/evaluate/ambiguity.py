"""Truth that cannot be decided: the user marks a region, and no figure counts it any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.controllers.annotate.edit import EditController, OutlineUse
from app.controllers.evaluate.figures import EvaluationFigures
from app.services.notifications import Choice
from app.services.services import Services
from app.state.ambiguous import ListedMark, error_at, list_marks, read_marks, write_marks
from app.state.edits.raster import Point
from app.state.tools import Tool
from app.text import spaced, tr
from app.viewmodels.annotate.class_rows import class_name
from deeplab_core.datasets.ambiguous import AmbiguousMarks
from deeplab_core.errors import AtrousError, ProjectError
from deeplab_core.geometry import polygon_mask

_KEY = "ambiguous"


class AmbiguousController(QObject):
    """Marks and unmarks ambiguous regions. Masks and truth files stay as they are; what is marked is measured again at once.

    Signals:
        changed(image id): the marks of an image are others.
    """

    changed = Signal(int)

    def __init__(
        self,
        services: Services,
        figures: EvaluationFigures,
        edit: EditController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._figures, self._edit = services.session, figures, edit
        self._notifier, self._context = services.notifier, services.context
        self._place: tuple[int, int] | None = None
        self._tool_before: Tool | None = None
        edit.outlineDrawn.connect(self._take_outline)
        services.session.imageChanged.connect(lambda _image: self._end_outline())
        services.context.changed.connect(self._follow_context)

    # -- commands of the picture --------------------------------------------------------------------------------------------

    def hover(self, x: int | None, y: int | None) -> None:
        """The pointer is over this pixel, or over none."""
        self._place = None if x is None or y is None else (x, y)

    def mark_error(self) -> None:
        """Mark the connected error under the pointer."""
        image, live = self._session.image, self._figures.live
        if image is None or live is None:
            return
        found = None
        if self._place is not None:
            found = error_at(live.scored, image.document.labels, image.document.catalog.ignore, *self._place)
        if found is None:
            self._notifier.info(tr("There is no error under the pointer"), tr("Point at a wrong pixel first."), replace_key=_KEY)
            return
        (x, y), inside = found
        assert self._place is not None
        classes = int(live.truth[self._place[::-1]]), int(image.document.labels[self._place[::-1]])
        self.mark(image.id, inside, (x, y), tuple(value for value in classes if value != image.document.catalog.ignore))

    def toggle_outline(self) -> None:
        """Let the next lasso or polygon mark what it surrounds instead of filling it; asked again, do not."""
        if self._context["marking_ambiguous"]:
            self._end_outline()
            return
        self._tool_before = self._edit.tools.tool
        self._context.update(crf_region=False, marking_ambiguous=True)
        self._edit.set_outline_use(OutlineUse.MARK_AMBIGUOUS)
        if self._tool_before not in (Tool.LASSO, Tool.POLYGON):
            self._edit.choose_tool(Tool.LASSO)

    def unmark_here(self) -> None:
        """Unmark the region under the pointer."""
        image = self._session.image
        marks = None if image is None else self._read(image.id)
        found = () if marks is None or self._place is None else marks.at(*self._place)
        if image is None or not found:
            self._notifier.info(tr("Nothing is marked under the pointer"), "", replace_key=_KEY)
            return
        self.unmark(image.id, found[-1])

    # -- commands of a list -------------------------------------------------------------------------------------------------

    def listed(self) -> list[ListedMark]:
        """All marks of the folder, in the order of its images."""
        project = self._session.project
        return [] if project is None else list_marks(project)

    def mark(
        self, image: int, mask: NDArray[Any], offset: tuple[int, int] = (0, 0), classes: tuple[int, ...] = (), reason: str = ""
    ) -> bool:
        """Mark a region of any image.

        Args:
            image: id.
            mask: (h, w), true inside, at least one pixel.
            offset: x and y of the mask's first pixel in the image.
            classes: ids that the region may be, for the list.
            reason: the user's comment.

        Returns:
            Whether it is marked; if not, the user gets the reason.
        """
        shape = self._shape(image)
        if shape is None:
            return False
        marks = self._read(image) or AmbiguousMarks(*shape)
        if (marks.height, marks.width) != shape:  # of a picture that was replaced: it fits nothing any more
            marks = AmbiguousMarks(*shape)
        more = marks.marked(mask, offset=offset, classes=classes, reason=reason)
        if not self._write(image, more):
            return False
        pixels = tr("{pixels} px", pixels=spaced(more.marks[-1].pixels))
        names = ", ".join(self._names(classes))
        self._notifier.info(
            tr("{pixels} marked ambiguous", pixels=pixels) + (f": {names}" if names else ""),
            tr("They are excluded from all metrics. See the list in the Evaluation panel."),
            replace_key=_KEY,
            choices=(Choice(tr("Undo"), lambda: self.unmark(image, len(more.marks) - 1)),),
        )
        return True

    def unmark(self, image: int, position: int) -> None:
        """Count a region again; one that is gone already is left alone."""
        marks = self._read(image)
        if marks is not None and position < len(marks.marks) and self._write(image, marks.without(position)):
            self._notifier.info(tr("Ambiguity mark cleared"), "", replace_key=_KEY)

    def clear(self, image: int) -> None:
        """Forget all marks of an image, also ones that are damaged or of another size."""
        shape = self._shape(image)
        if shape is not None:
            self._write(image, AmbiguousMarks(*shape))

    def describe(self, image: int, position: int, reason: str) -> None:
        """Keep the user's comment on a mark."""
        marks = self._read(image)
        if marks is None or position >= len(marks.marks) or marks.marks[position].reason == reason:
            return
        changed = list(marks.marks)
        changed[position] = replace(changed[position], reason=reason)
        self._write(image, replace(marks, marks=tuple(changed)))

    # -- inside ----------------------------------------------------------------------------------------------------------

    def _take_outline(self, use: OutlineUse, points: Sequence[Point]) -> None:
        if use is not OutlineUse.MARK_AMBIGUOUS:
            return
        image = self._session.image
        self._end_outline()
        if image is None:
            return
        rect, inside = polygon_mask(points, image.document.shape)
        if not rect.empty and inside.any():
            self.mark(image.id, inside, (rect.x, rect.y), self._classes_in(rect.slices, inside))

    def _classes_in(self, place: tuple[slice, slice], inside: NDArray[np.bool_]) -> tuple[int, ...]:
        """Classes that the truth has in the outline: what it may be, for the list."""
        live = self._figures.live
        if live is None:
            return ()
        values = np.unique(live.truth[place][inside]).tolist()
        return tuple(value for value in values if value != live.document.catalog.ignore)

    def _end_outline(self) -> None:
        if not self._context["marking_ambiguous"]:
            return
        self._context.update(marking_ambiguous=False)
        self._edit.set_outline_use(OutlineUse.FILL)
        before, self._tool_before = self._tool_before, None
        if before is not None and self._edit.tools.tool in (Tool.LASSO, Tool.POLYGON):
            self._edit.choose_tool(before)

    def _follow_context(self, changed: frozenset[str]) -> None:
        if "crf_region" in changed and self._context["crf_region"] and self._context["marking_ambiguous"]:
            self._context.update(marking_ambiguous=False)  # outlines have another taker now
            self._tool_before = None

    def _names(self, classes: tuple[int, ...]) -> list[str]:
        project = self._session.project
        return [] if project is None else [class_name(project.catalog, class_id) for class_id in classes]

    def _shape(self, image: int) -> tuple[int, int] | None:
        """(H, W) of an image, oriented; None if its file cannot be read, which is reported."""
        from deeplab_core.images.probe import probe_image

        project, viewed = self._session.project, self._session.image
        if project is None:
            return None
        if viewed is not None and viewed.id == image:
            return viewed.document.shape
        try:
            info = probe_image(project.path_of(project.record(image)))
        except AtrousError as error:
            self._notifier.report(error, replace_key=_KEY)
            return None
        return info.height, info.width

    def _read(self, image: int) -> AmbiguousMarks | None:
        project = self._session.project
        try:
            return None if project is None else read_marks(project, image)
        except ProjectError as error:
            choice = Choice(tr("Forget them"), lambda: self.clear(image))
            # Its own key: the next message about marks must not take the button away.
            self._notifier.report(error, replace_key=f"{_KEY} damaged", choices=(choice,))
            return None

    def _write(self, image: int, marks: AmbiguousMarks) -> bool:
        project = self._session.project
        if project is None:
            return False
        try:
            write_marks(project, image, marks)
        except AtrousError as error:
            self._notifier.report(error, replace_key=_KEY)
            return False
        self.changed.emit(image)
        return True
