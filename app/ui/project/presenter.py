"""The images: their list, the start page, the title above the picture, and the page of an image that cannot be read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QImage

from app.controllers.workspace import Program
from app.services.autosave import SaveState
from app.services.session import OpenImage, Unreadable
from app.state.image_record import ImageRecord, twins
from app.state.layout import MASKS
from app.state.own_files import contained
from app.state.project import Project
from app.text import displayed, tr
from app.ui.canvas.colors import overlay_tables
from app.ui.project.early_picture import EarlyPicture
from app.ui.project.image_list_model import ImageListModel, SortBy
from app.ui.project.start_page import UnreadablePage
from app.ui.shell.main_window import MainWindow
from app.viewmodels.project.image_list import ImageRow, ImageRows, common_prefix, image_row

#: Opacity of the mask over the thumbnail of an image that is done.
_TINT = 0.3


class ImagesPresenter(QObject):
    """Shows the open project and its images, and opens the one that the user chooses."""

    def __init__(self, window: MainWindow, program: Program, images: ImageListModel) -> None:
        super().__init__(window)
        self._window, self._program, self._model = window, program, images
        self._unreadable: UnreadablePage | None = None
        self._position: dict[int, int] = {}
        self._twins: frozenset[int] = frozenset()
        self._prefix = 0
        self._tint_table: NDArray[np.uint32] | None = None
        self._unsaved: set[int] = set()
        self._opening = ""
        projects, session = program.projects, program.session
        images.modelReset.connect(lambda: projects.set_order(images.shown_ids()))
        session.projectChanged.connect(self._show_project)
        session.listChanged.connect(self._show_rows)
        session.imageChanged.connect(self._show_image)
        session.unreadableShown.connect(self._show_unreadable)
        self._scored = False  # whether the rows were made with ground truth or scores
        session.recordChanged.connect(self._show_record)
        projects.saveStateChanged.connect(window.status.show_save_state)
        projects.saveStateChanged.connect(self._follow_saving)
        session.labelsCame.connect(self._forget_tints)
        program.classes.changed.connect(self._follow_colors)
        program.view.overlayChanged.connect(self._follow_colors)
        program.tints.ready.connect(images.refresh)
        self._program.file_notes.changed.connect(window.status.show_note)
        projects.opening.connect(self._show_opening)
        self._program.thumbnails.ready.connect(self._model.refresh)
        self._program.thumbnails.failed.connect(projects.unreadable.note)
        self._program.figures.scored.connect(self._show_score)
        self._program.figures.truthFound.connect(lambda _index: self._show_scores())
        self._program.figures.rescored.connect(self._show_scores)
        self._program.reviewing.notesChanged.connect(self._show_score)
        self._program.activity.changed.connect(self._show_score)
        window.images.chosen.connect(projects.open_image)
        window.images.sortChosen.connect(lambda order: self._program.settings.set("images.sort", str(order)))
        window.images.arranged.connect(self._show_title)
        window.images.set_sort(SortBy(self._program.settings["images.sort"]))

    def thumbnail(self, row: ImageRow) -> QImage | None:
        """Thumbnail for a row of the list, or None while it is made."""
        project, record = self._program.session.project, row.record
        if project is None or record.missing:
            return None
        return self._program.thumbnails.get(record.id, project.path_of(record), record.size, record.mtime_ns)

    def tint(self, row: ImageRow) -> QImage | None:
        """The mask of an image that is done, to be laid over its thumbnail; None for the others, or while it is made."""
        project, record = self._program.session.project, row.record
        if project is None or not record.reviewed or not record.mask:
            return None
        if self._tint_table is None:
            self._tint_table = self._colors(project)
        directory, mask = project.directory, record.mask
        return self._program.tints.get(record.id, lambda: contained(directory, mask, below=MASKS), self._tint_table)

    def _colors(self, project: Project) -> NDArray[np.uint32]:
        options = replace(self._program.view.overlay, opacity=_TINT, visible=True, hidden=frozenset())
        return overlay_tables(project.catalog, options).fill

    def _follow_colors(self) -> None:
        project, table = self._program.session.project, self._tint_table
        if project is not None and table is not None and not np.array_equal(table, self._colors(project)):
            self._forget_tints()

    def _forget_tints(self) -> None:
        """Masks, or the colours of classes, may be others."""
        self._tint_table = None
        self._program.tints.clear()
        self._model.refresh_all()

    def _follow_saving(self, state: SaveState) -> None:
        """A mask file that was read while it was not saved yet is read again."""
        if state is SaveState.SAVED:
            for image in self._unsaved:
                self._program.tints.forget(image)
                self._model.refresh(image)
            self._unsaved.clear()

    def _show_project(self, project: Project | None) -> None:
        self._program.thumbnails.clear()
        self._forget_tints()
        self._show_rows()
        window = self._window
        window.setWindowTitle("Atrous" if project is None else f"{displayed(project.folder.name)} — Atrous")
        window.start_page.show_recent(self._program.projects.recent.folders())
        if project is None:
            window.status.show_save_state(None)
            self._program.notifier.retire()
            window.start_page.show_busy("")
            window.show_start()
        elif not project.images:
            window.start_page.show_empty_folder(project.folder)
            window.show_start()
        elif self._program.session.history is not None:
            history = self._program.session.history
            window.history.follow(history)
            if self._program.session.image is None:
                coming = self._program.session.opening  # it is still being read
                window.start_page.show_busy(str(project.folder), "" if coming is None else project.record(coming).name)

    def _show_opening(self, folder: str) -> None:
        self._opening = folder
        self._window.start_page.show_busy(folder)
        self._window.images.show_opening(bool(folder))
        if not folder:
            QTimer.singleShot(0, self, self._end_early)

    def _end_early(self) -> None:
        """Opening is over without a project: the image that was shown early is not shown any longer."""
        early = isinstance(self._window.stack.currentWidget(), EarlyPicture)
        if early and not self._opening and self._program.session.project is None:
            self._window.show_start()

    def _show_scores(self) -> None:
        """Ground truth or scores may be other ones; rows of a folder that has neither stay as they are."""
        if self._scored or self._has_scores():
            self._show_rows()

    def _has_scores(self) -> bool:
        analysis = self._program.figures.analysis
        return len(self._program.truth.index) > 0 or (analysis is not None and any(True for _ in analysis.masks))

    def _show_rows(self) -> None:
        project = self._program.session.project
        self._scored = self._has_scores()
        self._twins = frozenset() if project is None else twins(project.images)
        self._prefix = 0 if project is None else common_prefix(project.images)
        rows = ImageRows()
        if project is not None:
            records = project.images  # another list after a look at the folder; those of this one keep their places
            ids = [record.id for record in records]
            rows = ImageRows(ids, lambda place: self._row(project, records[place], place), records, self._class_names)
        self._position = {image: place for place, image in enumerate(rows.ids)}
        self._model.set_rows(rows)
        image = self._program.session.image
        self._window.images.show_current(None if image is None else image.id)
        self._show_title()

    def _class_names(self) -> set[str]:
        """Names of the classes in any image's mask, in lower case: many images have the same ones."""
        found = {self._program.figures.score(image).classes for image in self._position}
        return {name.lower() for classes in found for name in classes}

    def _row(self, project: Project, record: ImageRecord, position: int) -> ImageRow:
        score = self._program.figures.score(record.id)
        has_truth = self._program.truth.index.get(record.relative_path) is not None
        twin = record.id in self._twins
        return image_row(project, record, position, score, has_truth=has_truth, has_twin=twin, prefix=self._prefix)

    def _show_score(self, image: int) -> None:
        project = self._program.session.project
        if project is not None:
            self._show_record(project.record(image))

    def _show_record(self, record: ImageRecord) -> None:
        if record.failed and self._program.session.image is None:
            self._window.start_page.show_busy("")
        project = self._program.session.project
        self._program.tints.forget(record.id)
        self._unsaved.add(record.id)
        if project is not None and record.id in self._position:
            self._model.update_row(self._row(project, record, self._position[record.id]))

    def _show_image(self, image: OpenImage | None) -> None:
        self._window.images.show_current(None if image is None else image.id)
        self._show_title()

    def _show_unreadable(self, found: Unreadable) -> None:
        """Say in place of the picture why there is none."""
        if self._unreadable is None:
            self._unreadable = UnreadablePage(self._window.commands, self._window.theme)
            self._unreadable.retried.connect(self._program.projects.open_image)
        self._unreadable.show_image(found)
        self._window.show_instead(self._unreadable)
        self._window.images.show_current(found.id)
        self._window.top_bar.show_title(found.name, self._where(found.id), tr("cannot be shown"))

    def _show_title(self) -> None:
        image, project = self._program.session.image, self._program.session.project
        if image is None or project is None:
            self._window.top_bar.show_title("" if project is None else displayed(project.folder.name))
            return
        name = project.record(image.id).shown
        self._window.top_bar.show_title(name, f"{image.info.width}×{image.info.height}", self._where(image.id))

    def _where(self, image: int) -> str:
        """Where an image stands among those that the list shows."""
        place, total = self._model.row_of(image), self._model.rowCount()
        if place is None:
            return tr("not in the {total} shown", total=total)
        return tr("{place} of {total}", place=place + 1, total=total)
