"""Modes that limit what the user's edits may change: some classes, the class where a stroke begins, a side of the trimap band."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PySide6.QtCore import QObject

from app.controllers.annotate.classes import ClassesController
from app.controllers.annotate.edit import EditController
from app.controllers.evaluate.live import EvaluationController
from app.services.services import Services
from app.state.locks import known_ids
from app.state.project import Project
from app.state.tools import BandMode
from app.text import mark, plural, tr
from app.viewmodels.annotate.class_rows import class_name
from deeplab_core.errors import AtrousError

#: The setting of a project that lists the ids of the classes that may be painted over.
OVER = "paint_over"

_BAND_TEXTS = {
    BandMode.OFF: mark("Painting inside and outside the trimap band again"),
    BandMode.INSIDE: mark("Painting only inside the trimap band ({width} px)"),
    BandMode.OUTSIDE: mark("Painting only outside the trimap band ({width} px)"),
}


class PaintingModes(QObject):
    """Keeps the classes that may be painted over with the project, and hands the trimap band in view to the edits.

    The modes are in :class:`~app.state.tools.ToolState`; what they mean is in :mod:`app.state.edits.limits`.
    """

    def __init__(
        self,
        services: Services,
        edit: EditController,
        classes: ClassesController,
        evaluation: EvaluationController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._notifier, self._context = services.session, services.notifier, services.context
        self._edit, self._tools, self._classes, self._evaluation = edit, edit.tools, classes, evaluation
        self._place: tuple[int, int] | None = None
        self._said = (self._tools.within, self._tools.over, self._tools.band)
        services.session.projectChanged.connect(self._take_project)
        self._edit.documentChanged.connect(lambda _document: self._take_band())
        evaluation.layersChanged.connect(self._take_band)
        evaluation.bandChanged.connect(lambda _band: self._take_band())
        self._tools.changed.connect(self._follow)
        self._follow()

    def hover(self, x: int | None, y: int | None) -> None:
        """The pointer is over this pixel, or over none."""
        self._place = None if x is None or y is None else (x, y)

    def set_over(self, class_id: int, on: bool) -> None:
        """Let a class be painted over, or no longer; while none is chosen, all may be."""
        self._keep(self._tools.over | {class_id} if on else self._tools.over - {class_id})

    def toggle_over(self) -> None:
        """The same for the class under the pointer; without one, for the selected class."""
        document, place, class_id = self._edit.document, self._place, self._tools.class_id
        if document is not None and place is not None:
            class_id = int(document.labels[place[1], place[0]])
        self.set_over(class_id, class_id not in self._tools.over)

    def over_all(self) -> None:
        """Let all classes be painted over."""
        self._keep(frozenset())

    def over_text(self) -> str:
        """The classes that may be painted over, in short; empty if all may be."""
        over = self._tools.over
        return self._names(over) if len(over) < 2 else plural("{n} class", "{n} classes", len(over))

    def _keep(self, over: frozenset[int]) -> None:
        project = self._session.project
        if project is None or self._edit.busy:
            return
        self._tools.set_over(over)
        if not project.read_only:
            try:
                project.set_setting(OVER, sorted(over))
            except AtrousError as error:
                self._notifier.report(error)

    def _take_project(self, project: Project | None) -> None:
        over: frozenset[int] = frozenset()
        if project is not None:
            catalog = project.catalog
            over = known_ids(project.setting(OVER, []), [*catalog.ids.tolist(), catalog.ignore])
        self._said = (self._tools.within, over, self._tools.band)  # what was left on is shown by its lamp; no message is needed
        self._tools.set_over(over)

    def _take_band(self) -> None:
        """Hand the band to the edits while they are limited by it; else it is not computed."""
        if self._tools.band is BandMode.OFF or self._edit.document is None:
            return
        index, width = self._evaluation.band_map(), self._evaluation.band.width_px
        fits = index is not None and index.shape == self._edit.document.shape
        self._edit.set_band(np.asarray((index >= 1) & (index <= width)) if index is not None and fits else None)

    def _follow(self) -> None:
        tools = self._tools
        within, over, band = self._said
        self._said = (tools.within, tools.over, tools.band)
        if tools.within != within:
            begins = tr("Painting only over the class where a stroke begins")
            self._say(begins if tools.within else tr("Painting over all classes again"))
        if tools.over != over:
            names = self._names(tools.over)
            self._say(tr("Painting only over {names}", names=names) if names else tr("Painting over all classes again"))
        if tools.band is not band:
            self._say(tr(_BAND_TEXTS[tools.band], width=self._evaluation.band.width_px))
            self._take_band()
        self._context.update(
            within_on=tools.within,
            over_on=bool(tools.over),
            inside_band_on=tools.band is BandMode.INSIDE,
            outside_band_on=tools.band is BandMode.OUTSIDE,
        )

    def _names(self, over: Iterable[int]) -> str:
        catalog = self._classes.catalog
        return "" if catalog is None else ", ".join(class_name(catalog, class_id) for class_id in sorted(over))

    def _say(self, text: str) -> None:
        self._notifier.info(text, replace_key="modes")
