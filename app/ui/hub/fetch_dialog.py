"""Published models to get: what each knows, how good it is said to be, what it may be used for, and getting it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QModelIndex, QSize, Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from app.text import plural, tr
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import set_tone, toned
from app.ui.hub.fetch_table import (
    CLASSES,
    CLICKS,
    MIOU,
    MODEL,
    PUBLISHER,
    SIZE,
    STATE,
    FetchFilter,
    FetchTable,
    data_of,
    size_text,
)
from app.ui.shell.theme import Theme
from app.viewmodels.hub.published_models import FetchState, FetchView

if TYPE_CHECKING:
    from app.controllers.hub.published_models import FetchController
    from deeplab_core.hub import PublishedModel

#: Digits of a checksum that are shown.
_DIGITS = 16
_WIDTHS = {PUBLISHER: 104, CLASSES: 116, MIOU: 76, SIZE: 80, STATE: 112}


class FetchDialog(FittedDialog):
    """Stays open beside the window; closing it stops no download."""

    def __init__(self, fetch: FetchController, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(tr("Get a model"), parent, size=QSize(880, 660))
        self._fetch = fetch
        self._answer = ""
        self.table = FetchTable(fetch.published(), fetch.view, theme)
        self.shown = FetchFilter(self.table)
        column = self.column
        column.setSpacing(10)
        self.intro = toned(tone="muted")
        self.intro.setWordWrap(True)
        column.addWidget(self.intro)
        column.addLayout(self._build_filter())
        column.addWidget(self._build_view(), 1)
        column.addWidget(self._build_card())
        self._build_buttons()
        fetch.changed.connect(self._follow)
        fetch.lookedUp.connect(self._take_found)
        self.view.selectionModel().currentRowChanged.connect(lambda _now, _before: self._show_card())
        self.view.selectRow(0)
        self._follow("")

    def set_theme(self, theme: Theme) -> None:
        """Colours of the table follow the window's."""
        self.table.theme = theme
        self.table.refresh("")

    def current(self) -> PublishedModel | None:
        """The model of the selected row; None while the filter hides all."""
        index = self.shown.mapToSource(self.view.currentIndex())
        return self.table.models[index.row()] if index.isValid() else None

    def choose(self, model_id: str) -> None:
        """Select a model's row."""
        row = next(row for row, model in enumerate(self.table.models) if model.id == model_id)
        self.view.setCurrentIndex(self.shown.mapFromSource(self.table.index(row, MODEL)))

    def show_clicks(self) -> None:
        """Show click networks only."""
        self.data.setCurrentIndex(self.data.findData(CLICKS))

    # -- building --------------------------------------------------------------------------------------------------------

    def _build_filter(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        self.finder = QLineEdit()
        self.finder.setPlaceholderText(tr("Filter by architecture, backbone, publisher, licence, or hf://owner/name"))
        self.finder.setAccessibleName(tr("Filter the models"))
        self.finder.setClearButtonEnabled(True)
        self.data = QComboBox()
        self.data.setAccessibleName(tr("Classes"))
        self.data.addItem(tr("All classes"), "")
        for name in dict.fromkeys(data_of(model) for model in self.table.models):
            self.data.addItem(tr("Click networks") if name == CLICKS else name, name)
        self.finder.textChanged.connect(self._filter)
        self.finder.returnPressed.connect(self._look_up)
        self.data.currentIndexChanged.connect(self._filter)
        row.addWidget(self.finder, 1)
        row.addWidget(self.data)
        return row

    def _build_view(self) -> QTableView:
        self.view = QTableView()
        self.view.setModel(self.shown)
        self.view.setAccessibleName(tr("Published models"))
        self.view.setShowGrid(False)
        self.view.setSortingEnabled(True)
        self.view.sortByColumn(-1, Qt.SortOrder.AscendingOrder)  # the list's own order until a header is clicked
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setTabKeyNavigation(False)
        self.view.verticalHeader().hide()
        self.view.verticalHeader().setDefaultSectionSize(32)
        header = self.view.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(MODEL, QHeaderView.ResizeMode.Stretch)
        for place, width in _WIDTHS.items():
            self.view.setColumnWidth(place, width)
        self.view.doubleClicked.connect(self._act)
        return self.view

    def _build_card(self) -> QFrame:
        card = QFrame()
        card.setObjectName("card")
        column = QVBoxLayout(card)
        column.setContentsMargins(16, 12, 16, 12)
        column.setSpacing(4)
        self.name = toned(strong=True)
        self.card_lines = [toned(size="small", tone="muted") for _ in range(3)]
        self.status = toned(size="small")
        for label in (self.name, *self.card_lines, self.status):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            column.addWidget(label)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        column.addWidget(self.bar)
        self.status.setAccessibleName(tr("Status"))
        return card

    def _build_buttons(self) -> None:
        row = self.buttons
        self.page = QPushButton(tr("Open its page"))
        self.page.clicked.connect(self._open_page)
        self.look_again = QPushButton(tr("Check again"))
        self.look_again.setToolTip(tr("After you have copied a file into the folder"))
        self.look_again.clicked.connect(self._fetch.refresh)
        self.stop = QPushButton(tr("Stop"))
        self.stop.clicked.connect(self._stop)
        self.ask_hub = QPushButton(tr("Look up"))
        self.ask_hub.setToolTip(tr("Ask the Hugging Face Hub for files and licence; nothing is downloaded yet"))
        self.ask_hub.clicked.connect(self._look_up)
        self.get = QPushButton(tr("Get"))
        self.get.clicked.connect(self._get)
        self.use = QPushButton(tr("Use model"))
        self.use.clicked.connect(self._use)
        close = QPushButton(tr("Close"))
        close.clicked.connect(self.close)
        for button in (self.page, self.look_again):
            row.addWidget(button)
        row.addStretch(1)
        for button in (close, self.stop, self.use, self.ask_hub, self.get):
            row.addWidget(button)
        for button in (self.ask_hub, self.get, self.use):
            button.setProperty("primary", True)
        for button in (self.page, self.look_again, self.stop, self.ask_hub, self.get, self.use, close):
            button.setAutoDefault(False)

    # -- showing ---------------------------------------------------------------------------------------------------------

    def _follow(self, model_id: str) -> None:
        self.table.refresh(model_id)
        self.intro.setText(tr("Networks published by their authors. Downloads go to {folder}", folder=self._fetch.folder))
        model = self.current()
        if model is None or model_id in ("", model.id):
            self._show_card()

    def _asked_address(self) -> str:
        """The address of the Hugging Face Hub that was typed, if no model of the list has it; else empty."""
        text = self.finder.text().strip()
        return text if text.lower().startswith("hf://") and self.current() is None else ""

    def _look_up(self) -> None:
        if self._asked_address():
            self._answer = tr("Looking it up…")
            self._show_card()
            self._fetch.look_up(self._asked_address())

    def _take_found(self, model_id: str, why: str) -> None:
        """What the hub says: the model is a row now, or the reason is shown where its card would be."""
        self._answer = why
        if model_id:
            self.table.add(next(model for model in self._fetch.published() if model.id == model_id))
            self.data.setCurrentIndex(0)
            self.finder.setText(model_id)
            self.choose(model_id)
        self._show_card()

    def _filter(self) -> None:
        self._answer = ""
        self.shown.want(self.finder.text(), self.data.currentData())
        if not self.view.currentIndex().isValid():
            self.view.selectRow(0)
        self._show_card()

    def _show_card(self) -> None:
        model = self.current()
        view = self._fetch.view(model.id) if model is not None else FetchView()
        self._show_facts(model)
        self._show_status(model, view)
        direct = model is not None and model.direct
        self.page.setEnabled(model is not None)
        self.stop.setVisible(view.busy)
        self.use.setVisible(view.state is FetchState.HERE)
        offered = view.state in (FetchState.ABSENT, FetchState.FAILED)
        self.get.setVisible(direct and offered)
        self.ask_hub.setVisible(bool(self._asked_address()))
        self.get.setText(tr("Continue") if view.done else tr("Try again") if view.state is FetchState.FAILED else tr("Get"))
        by_hand = model is not None and not direct and offered
        self.look_again.setVisible(by_hand)
        self.page.setProperty("primary", by_hand)
        self.page.style().unpolish(self.page)
        self.page.style().polish(self.page)

    def _show_facts(self, model: PublishedModel | None) -> None:
        if model is None:
            self.name.setText(self._asked_address() or tr("No model matches the filter"))
            texts = [self._answer, "", ""]
        else:
            self.name.setText(model.title)
            score = (
                tr(
                    "mIoU {miou:g} on {data}, according to {source}",
                    miou=model.miou,
                    data=model.miou_on,
                    source=model.miou_source,
                )
                if model.miou
                else tr("mIoU unknown")
            )
            needs = tr("Requires the extra '{needs}'", needs=model.needs) if model.needs else ""
            classes = plural("{n} class", "{n} classes", model.classes) if model.classes else tr("Classes unknown")
            what = tr("Click network") if model.for_clicks else f"{classes}. {score}"
            texts = [
                f"{'. '.join(part for part in (what, model.note, needs) if part)}.",
                tr("Licence: {licence}. Trained on {data_licence}.", licence=model.licence, data_licence=model.data_licence),
                f"{_files_text(model)}, {'size ' if model.download_bytes is None else ''}{size_text(model.download_bytes)}, "
                + tr("from {host}.", host=model.host)
                + " "
                + (
                    tr("Checksum: sha256 {sha256_prefix}…", sha256_prefix=model.sha256_prefix[:_DIGITS])
                    if model.has_checksum
                    else tr("No checksum is published.")
                ),
            ]
        for label, text in zip(self.card_lines, texts, strict=True):
            label.setText(text)
            label.setVisible(bool(text))

    def _show_status(self, model: PublishedModel | None, view: FetchView) -> None:
        text, tone = "", ""
        if view.state is FetchState.FETCHING:
            done = size_text(view.done)
            text = tr("{done} of {total}", done=done, total=size_text(view.total)) if view.total else done
            text = f"{text}, {view.text}" if view.text else text
        elif view.state is FetchState.WAITING:
            text = tr("Waiting for the previous download.")
        elif view.state is FetchState.CHECKING:
            text = view.text
        elif view.state is FetchState.HERE:
            text, tone = tr("Installed: {path}", path=view.path), "good"
        elif view.state in (FetchState.FAILED, FetchState.UNUSABLE):
            text, tone = view.text, "bad"
        elif model is not None and not model.direct:
            text = tr(
                "The publisher allows downloads by browser only: open its page, download {file}, and copy it into {folder}.",
                file=model.file,
                folder=self._fetch.folder,
            )
        elif view.done:
            text = tr("{size} of an earlier download are kept.", size=size_text(view.done))
        self.status.setText(text)
        self.status.setVisible(bool(text))
        set_tone(self.status, tone)
        self.bar.setVisible(view.state in (FetchState.FETCHING, FetchState.CHECKING))
        self.bar.setRange(0, 0 if view.state is FetchState.CHECKING or view.percent is None else 100)
        self.bar.setValue(view.percent or 0)

    # -- doing -----------------------------------------------------------------------------------------------------------

    def _act(self, _index: QModelIndex) -> None:
        for button in (self.use, self.get):
            if button.isVisible():
                button.click()
                return

    def _get(self) -> None:
        model = self.current()
        if model is not None:
            self._fetch.get(model.id)

    def _stop(self) -> None:
        model = self.current()
        if model is not None:
            self._fetch.stop(model.id)

    def _use(self) -> None:
        model = self.current()
        if model is not None:
            self._fetch.use(model.id)

    def _open_page(self) -> None:
        model = self.current()
        if model is not None:
            QDesktopServices.openUrl(QUrl(model.page))


def _files_text(model: PublishedModel) -> str:
    """The files of a model."""
    return model.file if model.decoder is None else tr("{one} and {other}", one=model.file, other=model.decoder.file)
