"""Two users' labels of the same images: how far they agree, the images that contradict each other, and what to take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QStackedWidget,
    QTabBar,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.controllers.project.merging import ComparedProjects, ConflictPicture, MergeController, MergeRow
from app.state.two_projects import Side, SidesTaken
from app.text import displayed, error_detail, error_title, mark, plural, tr
from app.ui.adapt.learn_picture import composed
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.list_dialog import ListDialog, fill_table, plain_table
from app.ui.common.panel import set_tone, toned
from app.ui.project.merge_side import MergeSide
from app.viewmodels.project.merging import (
    agreement_classes,
    agreement_images,
    agreement_line,
    conflict_text,
    merge_line,
    not_merged,
)
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, UnmappedClasses
from deeplab_core.masks.importing.mapping import VOID_NAME

_SIZE = QSize(900, 640)
#: Heights of rows with and without a box, px.
_ROW, _LINE = 34, 28
#: Conflicts that are shown without scrolling, so that the pictures below have room.
_MOST = 5
#: Width of the boxes, and the largest of the images' names, px.
_TAKE, _NAME = 120, 300
#: Value of the choice in a box that says: part by part.
_PARTS = "parts"
_BY_PART = mark("Only pixels that both of you set differently are coloured. Click a part to take it, or beside for all.")
_BY_KEYS = mark("Arrow keys choose a part, Enter takes it from this side.")


class MergeDialog(FittedDialog):
    """Shows what :class:`MergeController` compared; nothing changes before Merge.

    Signals:
        decided(ComparedProjects, dict of image id -> SidesTaken): add the classes that it needs, merge, and take the conflicts of
            these images, or places, so.
    """

    decided = Signal(object, object)

    def __init__(
        self,
        controller: MergeController,
        compared: ComparedProjects,
        shown: Callable[[ClassCatalog], ClassCatalog],
        parent: QWidget | None = None,
    ) -> None:
        """Show a comparison; ``shown`` gives the colours in which classes are shown."""
        heading = tr("Merge with {name}", name=compared.name)
        super().__init__(tr("Merge projects"), parent, heading=heading, size=_SIZE)
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._controller, self._compared, self._colors = controller, compared, shown
        self._taken: dict[int, SidesTaken] = {}
        self._picture: ConflictPicture | None = None
        self._shown: int | None = None
        self._part: int | None = None  # place in the order of sizes of the part that the keys chose
        self.line = toned("", tone="muted")
        self.line.setWordWrap(True)
        self.column.addWidget(self.line)
        self.classes = plain_table((tr("Their class"), tr("Is your class")), wide=1, row=_ROW)
        self.classes.setAccessibleName(tr("Classes without a partner"))
        self.column.addWidget(self.classes)
        self.tabs = QTabBar()
        self.tabs.setDrawBase(False)
        self.tabs.setExpanding(False)
        self.tabs.setAccessibleName(tr("Conflicts and agreement"))
        self.column.addWidget(self.tabs)
        self.pages = QStackedWidget()
        self.column.addWidget(self.pages, 1)
        for title, page in ((tr("Conflicts"), self._conflict_page()), (tr("Agreement"), self._agreement_page())):
            self.tabs.addTab(title)
            self.pages.addWidget(page)
        self.tabs.currentChanged.connect(self.pages.setCurrentIndex)
        self.left_out = self._button(tr("What is left out…"), self._show_left_out)
        self.save = self._button(tr("Save agreement…"), self._ask_save)
        self.note = toned("", tone="warn", size="small")
        self.note.setWordWrap(True)
        self.buttons.addWidget(self.note, 1)
        self.go = self.add_answers(tr("Cancel"), tr("Merge"), self._decide)
        self._fill()

    def _button(self, text: str, act: Callable[[], object]) -> QPushButton:
        button = QPushButton(text)
        button.setAutoDefault(False)
        button.clicked.connect(lambda: act())
        self.buttons.addWidget(button)
        return button

    def _conflict_page(self) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        self.conflicts = plain_table((tr("Image"), tr("Yours / theirs"), tr("Take")), wide=1, row=_ROW)
        self.conflicts.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.conflicts.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.conflicts.setMinimumHeight(40 + 2 * _ROW)
        self.conflicts.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        self.conflicts.horizontalHeader().setSectionResizeMode(2, QHeaderView.ResizeMode.Fixed)
        self.conflicts.setColumnWidth(2, _TAKE)
        self.conflicts.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # names of a folder often begin alike
        self.conflicts.itemSelectionChanged.connect(self._select)
        column.addWidget(self.conflicts, 1)
        pictures = QHBoxLayout()
        pictures.setSpacing(16)
        self.yours, self.theirs = (MergeSide(tr("Yours")), MergeSide(tr("Theirs")))
        for side, take in ((self.yours, "a"), (self.theirs, "b")):
            part = QVBoxLayout()
            part.setSpacing(4)
            side.clicked.connect(lambda x, y, take=take: self._take_at(x, y, take))
            side.stepped.connect(self._step)
            side.taken.connect(lambda take=take: self._take_part(take))
            side.setAccessibleDescription(tr(_BY_KEYS))
            part.addWidget(toned(side.accessibleName(), strong=True))
            part.addWidget(side, 1)
            pictures.addLayout(part, 1)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.all_yours, self.all_theirs = QPushButton(tr("Yours for all")), QPushButton(tr("Theirs for all"))
        for button, take in ((self.all_yours, "a"), (self.all_theirs, "b")):
            button.setAutoDefault(False)
            button.clicked.connect(lambda _on=False, take=take: self._take_all(take))
            row.addWidget(button)
        self.caption = toned("", tone="muted", size="small")
        self.caption.setWordWrap(True)
        row.addWidget(self.caption, 1)
        column.addLayout(row)
        column.addLayout(pictures, 2)
        return page

    def _agreement_page(self) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        self.agreement = toned("")
        self.agreement.setWordWrap(True)
        column.addWidget(self.agreement)
        row = QHBoxLayout()
        row.setSpacing(16)
        titles = (tr("Class"), tr("IoU"), tr("Boundary IoU"), tr("Yours, px"), tr("Theirs, px"))
        self.class_figures = plain_table(titles, wide=0, row=_LINE)
        self.image_figures = plain_table((tr("Image"), tr("Equal pixels"), tr("Kappa")), wide=0, row=_LINE)
        row.addWidget(self.class_figures, 3)
        row.addWidget(self.image_figures, 2)
        column.addLayout(row, 1)
        return page

    # -- what was compared -----------------------------------------------------------------------------------------------

    def take(self, compared: ComparedProjects) -> None:
        """Show another comparison of the same projects; what was decided by part is open again, because parts are other ones."""
        self._compared = compared
        self._taken = {image: taken for image, taken in self._taken.items() if not taken.places}
        self._fill()

    def reject(self) -> None:
        super().reject()
        self._compared.close()

    @property
    def rows(self) -> list[MergeRow]:
        """Images with conflicts."""
        return [row for row in self._compared.rows if row.conflicts]

    def _fill(self) -> None:
        compared, rows = self._compared, self.rows
        plain = [row for row in compared.rows if not row.conflicts and (row.changed or row.confirmed)]
        pixels = sum(row.changed for row in plain)
        waiting = sum(isinstance(error, UnmappedClasses) for _, error in compared.failures)
        mine = compared.two.one.catalog.names
        added = [displayed(name) for name in compared.two.catalog.names if name not in mine]
        self.line.setText(merge_line(len(compared.rows), len(plain), pixels, len(rows), waiting, added))
        self._fill_classes()
        self.tabs.setTabText(0, tr("Conflicts ({count})", count=len(rows)) if rows else tr("Conflicts"))
        if rows and not self.conflicts.rowCount():
            self.tabs.setCurrentIndex(0)
        self.conflicts.setRowCount(len(rows))
        self.conflicts.setMaximumHeight(40 + _ROW * min(max(len(rows), 2), _MOST))
        for place, row in enumerate(rows):
            for column, text in ((0, displayed(row.name)), (1, conflict_text(row.conflicts))):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.conflicts.setItem(place, column, item)
            box = QComboBox()
            for text, value in ((tr("decide…"), None), (tr("yours"), "a"), (tr("theirs"), "b"), (tr("by part"), _PARTS)):
                box.addItem(text, value)
            box.setCurrentIndex(_shown_choice(box, self._taken.get(row.image)))
            box.setAccessibleName(tr("User who labels {name}", name=displayed(row.name)))
            box.currentIndexChanged.connect(lambda _place, image=row.image, box=box: self._choose(image, box.currentData()))
            self.conflicts.setCellWidget(place, 2, box)
        self.conflicts.setColumnWidth(0, min(self.conflicts.sizeHintForColumn(0), _NAME))
        if rows:
            self.conflicts.selectRow(0)
            self._select()  # the row may have been selected before, with another image
        else:
            self.tabs.setCurrentIndex(1)
        self._fill_agreement()
        self.left_out.setVisible(bool(not_merged(compared.failures, compared.two.strangers)))
        self.save.setEnabled(bool(compared.agreement.images))
        self._check()

    def _fill_classes(self) -> None:
        """Classes of the other project that are not classes of the open one: the user chooses what they become."""
        two, choices = self._compared.two, self._compared.choices
        names = sorted({*two.met, *choices})
        self.classes.setVisible(bool(names))
        self.classes.setRowCount(len(names))
        self.classes.setFixedHeight(40 + _ROW * min(len(names), 3))
        for place, name in enumerate(names):
            self.classes.setItem(place, 0, QTableWidgetItem(displayed(name)))
            box = QComboBox()
            new = () if two.one.read_only or name in two.catalog.names else ((tr("Add it to your classes"), name),)
            for text, value in (
                (tr("decide…"), ""),
                (tr("void (unlabelled)"), VOID_NAME),
                *((displayed(known), known) for known in two.catalog.names),
                *new,  # last: arrow keys pass what is above it
            ):
                box.addItem(text, value)
            box.setCurrentIndex(max(box.findData(choices.get(name, "")), 0))
            box.setAccessibleName(tr("What {name} becomes", name=displayed(name)))
            box.activated.connect(lambda _place, name=name, box=box: self._map(name, box.currentData()))
            self.classes.setCellWidget(place, 1, box)

    def _map(self, name: str, value: str) -> None:
        choices = {known: chosen for known, chosen in self._compared.choices.items() if known != name}
        if value:
            choices[name] = value
        self.go.setEnabled(False)
        self.classes.setEnabled(False)
        self.line.setText(tr("The labels are being compared…"))

        def then(compared: ComparedProjects | None) -> None:
            if compared is None:
                self.reject()
                return
            self.classes.setEnabled(True)
            self.take(compared)

        self._controller.choose_classes(self._compared, choices, self.while_open(then))

    def _fill_agreement(self) -> None:
        found = self._compared.agreement
        self.agreement.setText(agreement_line(found))
        for table, rows in ((self.class_figures, agreement_classes(found)), (self.image_figures, agreement_images(found))):
            table.setVisible(bool(rows))
            fill_table(table, rows)

    # -- conflicts -------------------------------------------------------------------------------------------------------

    def _choose(self, image: int, take: str | None) -> None:
        """The user decides a whole image; by part, the parts that were clicked count."""
        if take in ("a", "b"):
            self._taken[image] = SidesTaken("a" if take == "a" else "b")
        elif take is None:
            self._taken.pop(image, None)
        else:
            self._taken[image] = SidesTaken(places=self._taken.get(image, SidesTaken()).places)
        self._check()

    def _take_all(self, take: Side) -> None:
        for place, row in enumerate(self.rows):
            self._taken[row.image] = SidesTaken(take)
            self._show_choice(place, row.image)
        self._check()

    def _take_at(self, x: float, y: float, take: Side) -> None:
        """Take the part under the pointer from one user; beside all parts, the whole image.

        Args:
            x, y: position in the picture, 0..1.
        """
        if self._picture is not None:
            numbers = self._picture.places.numbers
            self._take_number(int(numbers[int(y * numbers.shape[0]), int(x * numbers.shape[1])]), take)

    def _take_number(self, number: int, take: Side) -> None:
        """Take a part by its number, from 1 on; 0 takes the whole image."""
        row = self.conflicts.currentRow()
        if row < 0 or self._picture is None or self._shown is None:
            return
        if not number or len(self._picture.places) == 1:
            self._set_take(row, take)
            return
        before = self._taken.get(self._shown, SidesTaken())
        anchor_x, anchor_y = self._picture.places.anchors[number - 1].tolist()
        self._taken[self._shown] = replace(before, places={**before.places, (anchor_x, anchor_y): take})
        self._show_choice(row, self._shown)
        self._check()

    def _step(self, by: int) -> None:
        """The keys choose the next part, or the one before, in the order of their sizes."""
        if self._picture is not None and len(self._picture.places):
            last = len(self._picture.places) - 1
            self._part = (0 if by > 0 else last) if self._part is None else min(max(self._part + by, 0), last)
            self._show_part()

    def _take_part(self, take: Side) -> None:
        if self._part is None:
            self._step(1)  # Enter shows what the next one takes
        else:
            self._take_number(self._order()[self._part] + 1, take)

    def _order(self) -> list[int]:
        """Rows of the parts, largest first."""
        return [] if self._picture is None else np.argsort(-self._picture.places.pixels, kind="stable").tolist()

    def _show_part(self) -> None:
        """Frame the part that the keys chose in both pictures, and say what it is."""
        found, box = self._picture, None
        if found is not None and self._part is not None:
            row, (height, width) = self._order()[self._part], found.places.numbers.shape
            x, y, across, down = found.places.boxes[row].tolist()
            box = QRectF(x / width, y / height, across / width, down / height)
            left, top = found.places.anchors[row].tolist()
            yours, theirs = (displayed(found.catalog.by_id(int(side[top, left])).name) for side in (found.yours, found.theirs))
            text = tr(
                "Part {number} of {total}: {yours} / {theirs}, {pixels}.", number=self._part + 1, total=len(found.places),
                yours=yours, theirs=theirs, pixels=plural("{n} px", "{n} px", int(found.places.pixels[row])),
            )  # fmt: skip
            taken = self._taken.get(self._shown or 0, SidesTaken())
            side = taken.places.get((left, top), taken.rest)
            decided = {"a": tr("Yours is taken."), "b": tr("Theirs is taken."), None: tr(_BY_KEYS)}[side]
            self.caption.setText(f"{text} {decided}")
        for picture in (self.yours, self.theirs):
            picture.show_part(box)

    def _set_take(self, place: int, take: Side) -> None:
        image = self.rows[place].image
        self._taken[image] = SidesTaken(take)
        self._show_choice(place, image)
        self._check()

    def _show_choice(self, place: int, image: int) -> None:
        box = self.conflicts.cellWidget(place, 2)
        assert isinstance(box, QComboBox)
        box.blockSignals(True)
        box.setCurrentIndex(_shown_choice(box, self._taken.get(image)))
        box.blockSignals(False)

    def _is_open(self, row: MergeRow) -> bool:
        """Whether a part of an image is not decided."""
        taken = self._taken.get(row.image, SidesTaken())
        return taken.rest is None and len(taken.places) < row.places

    def _check(self) -> None:
        rows = self.rows
        open_ = sum(self._is_open(row) for row in rows)
        self.note.setText(
            plural("{n} image stays as it is until you decide.", "{n} images stay as they are until you decide.", open_)
            if open_
            else ""
        )
        plain = any(not row.conflicts and (row.changed or row.confirmed) for row in self._compared.rows)
        writable = not self._compared.two.one.read_only
        self.go.setEnabled(writable and (plain or open_ < len(rows)))
        self._mark()
        if self._part is not None:
            self._show_part()  # whether it is taken may be another now

    def _mark(self) -> None:
        """Frame the picture that the selected image takes, and show each decided part on the side that it is taken from."""
        taken = SidesTaken() if self._shown is None else self._taken.get(self._shown, SidesTaken())
        self.yours.set_chosen(taken == SidesTaken("a"))
        self.theirs.set_chosen(taken == SidesTaken("b"))
        found = self._picture
        if found is None:
            return
        catalog = self._colors(found.catalog)
        numbers = found.places.numbers
        rest = taken.rest if taken.places else None
        by_number = [None, *(taken.places.get((x, y), rest) for x, y in found.places.anchors.tolist())]
        for side, labels, other in ((self.yours, found.yours, "b"), (self.theirs, found.theirs, "a")):
            lost = np.array([take == other for take in by_number])[numbers]
            shown = np.where(lost, catalog.ignore, labels).astype(labels.dtype, copy=False)
            side.show_picture(composed(found.rgb, shown, catalog, background=True))

    def _select(self) -> None:
        place = self.conflicts.currentRow()
        row = self.rows[place] if 0 <= place < len(self.rows) else None
        self._shown, self._picture, self._part = None if row is None else row.image, None, None
        self._show_part()
        self._mark()
        if row is None:
            for side in (self.yours, self.theirs):
                side.show_picture(None)
            self.caption.setText("")
            return

        def done(found: ConflictPicture | Exception) -> None:
            if self._shown != row.image:
                return
            if isinstance(found, ConflictPicture):
                self._picture = found
                self._mark()
                text = tr("Only pixels that both of you set differently are coloured. Click the picture to take.")
                if row.places > 1:
                    text = tr(_BY_PART)
                self.caption.setText(text)
            elif isinstance(found, AtrousError):
                self.caption.setText(f"{error_title(found)}. {error_detail(found)}")

        self._controller.picture(self._compared, row.image, self.while_open(done))

    # -- the end ---------------------------------------------------------------------------------------------------------

    def _show_left_out(self) -> None:
        rows = not_merged(self._compared.failures, self._compared.two.strangers)
        ListDialog(tr("What is left out"), tr("These images are not merged."), rows, None, self).exec()

    def _ask_save(self) -> None:
        start = str(self._compared.two.one.folder.parent / "agreement.json")
        text, _ = QFileDialog.getSaveFileName(self, tr("Save agreement"), start, tr("JSON (*.json)"))
        if text:
            path = Path(text)
            self._controller.save_report(self._compared, path, self.while_open(lambda error: self._saved(path, error)))

    def _saved(self, path: Path, error: AtrousError | None) -> None:
        set_tone(self.note, "muted" if error is None else "bad")
        if error is None:
            self.note.setText(tr("{name} was saved.", name=displayed(path.name)))
        else:
            self.note.setText(f"{error_title(error)}. {error_detail(error)}")

    def _decide(self) -> None:
        self.accept()
        self.decided.emit(self._compared, dict(self._taken))


def _shown_choice(box: QComboBox, taken: SidesTaken | None) -> int:
    value = None if taken is None else taken.rest if not taken.places and taken.rest is not None else _PARTS
    return max(box.findData(value), 0)
