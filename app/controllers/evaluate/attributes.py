"""The user's own attributes of images and objects as slices of the figures in the window."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.controllers.evaluate.errors import InspectController
from app.controllers.evaluate.figures import EvaluationFigures
from app.controllers.evaluate.ground_truth import GroundTruthController
from app.services.jobs import LatestWork
from app.services.services import Services
from app.state.attributes import keep_table, own_slices, remove_table, table_names
from app.state.project import Project
from app.text import joined, plural, tr
from deeplab_core.analysis.own_slices import OwnSlices
from deeplab_core.errors import AtrousError


class AttributesController(QObject):
    """Keeps tables with the project and reads them when a project is opened, or its ground truth is another one.

    Attributes:
        own: the slices; None without a table.

    Signals:
        changed(): other slices.
    """

    changed = Signal()

    def __init__(
        self,
        services: Services,
        figures: EvaluationFigures,
        truth: GroundTruthController,
        inspect: InspectController,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._notifier = services.session, services.notifier
        self._truth, self._inspect = truth, inspect
        self._report = partial(services.notifier.report_or_raise, replace_key="attributes")
        self._reads = LatestWork(services.jobs, self._fail)
        self._reading: Project | None = None
        self._said = ""  # what to say once the tables are read
        self.own: OwnSlices | None = None
        services.session.projectChanged.connect(self._change_project)
        figures.truthFound.connect(lambda _index: self.read())

    @property
    def tables(self) -> dict[str, str]:
        """File of the project -> name of each kept table."""
        project = self._session.project
        return {} if project is None else table_names(project)

    def choose(self, path: Path) -> None:
        """Keep a table with the project, and slice by its columns."""
        project = self._session.project
        if project is None:
            return
        try:
            table = keep_table(project, path)
        except AtrousError as error:
            self._report(error)
            return
        columns = plural("{n} attribute", "{n} attributes", len(table.axes))
        self.read(tr("{name} is kept with the project: {columns}", name=path.name, columns=columns))

    def remove(self, file: str) -> None:
        """Forget a table."""
        project = self._session.project
        if project is None:
            return
        try:
            remove_table(project, file)
        except AtrousError as error:
            self._report(error)
            return
        self.read()

    def read(self, said: str = "") -> None:
        """Read the tables again, in the background; then say ``said`` and what of the tables was not used."""
        project = self._session.project
        if project is None:
            return
        if not table_names(project):
            self._drop()
            return
        ids = self._truth.images_with_truth()

        self._reading, self._said = project, said or self._said

        def done(own: OwnSlices | None) -> None:
            said, self._said, self._reading = self._said, "", None
            self._take(own)
            if said and own is not None:
                notes = own.notes([str(image) for image in ids])
                self._notifier.info(said, joined(". ", notes), replace_key="attributes")

        self._reads.ask(lambda: own_slices(project, ids), done)

    def _fail(self, error: Exception) -> None:
        """A newer read is on its way, or none is wanted any more: then the tables are others than those that failed."""
        if self._reading is not None and self._reads.idle:
            self._reading, self._said = None, ""
            self._report(error)

    def _change_project(self, project: Project | None) -> None:
        if project is not None and project is self._reading:  # its ground truth was told first
            self._take(None)
        else:
            self._drop()

    def _drop(self) -> None:
        """No tables: what is still being read is not taken either."""
        self._reads.stop()
        self._reading, self._said = None, ""
        self._take(None)

    def _take(self, own: OwnSlices | None) -> None:
        self.own = self._inspect.own = own
        self.changed.emit()
