"""One page before a project begins: what was found, what it would begin with, and the first image as it would look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from app.controllers.project.new_project import NewProjectController, TruthFound
from app.state.class_choice import CatalogEffect, How
from app.state.ground_truth import GroundTruth, TruthChoice
from app.state.new_project import (
    ClassOffer,
    FolderLook,
    LabelOffer,
    NewProject,
    classes_of_file,
    classes_of_labels,
    first_labels,
    made_in,
    proposal,
    typed_classes,
    without_repeats,
)
from app.text import displayed, error_detail, error_title, mark, tr
from app.ui.common.class_strip import ClassStrip
from app.ui.common.elided_label import ElidedLabel
from app.ui.common.fitted_dialog import FittedDialog
from app.ui.common.panel import set_tone, toned
from app.ui.project.first_picture import FirstPicture
from app.viewmodels.annotate.class_editor import LIST_FILES
from app.viewmodels.project.data_choices import OfferedAnswer, truth_options
from app.viewmodels.project.new_project import (
    Line,
    TakenTruth,
    class_line,
    class_title,
    images_line,
    labels_line,
    labels_title,
    model_line,
    partners,
    truth_line,
)
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets import GroundTruthFiles
from deeplab_core.errors import AtrousError
from deeplab_core.metrics.confusion import same_classes
from deeplab_core.records import ModelCard

_SIZE = QSize(1040, 0)
_FILE, _FOLDER, _TYPED = "file", "folder", "typed"
_LABELS = mark("Labels (*.json *.xml *.zip *.parquet *.npz *.npy);;All files (*)")


class NewProjectDialog(FittedDialog):
    """Shows what :func:`app.state.new_project.look_at` found. Enter accepts, Esc leaves the folder as it is.

    Signals:
        decided(NewProject): begin the project.
    """

    decided = Signal(object)

    def __init__(
        self,
        controller: NewProjectController,
        look: FolderLook,
        shown: Callable[[ClassCatalog], ClassCatalog],
        parent: QWidget | None = None,
    ) -> None:
        """Show a folder; ``shown`` gives the colours in which classes are shown."""
        heading = tr("New project in {name}", name=displayed(look.folder.name))
        super().__init__(tr("New project"), parent, heading=heading, size=_SIZE)
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._controller, self._look, self._colors = controller, look, shown
        start = proposal(look, by_user=True)
        self._offers, self._offer = list(look.offers), start.classes
        self._labels, self._label = list(look.labels), first_labels(look)
        files, classes = (look.truth, made_in(look.offers)) if look.taken_truth else (GroundTruthFiles(), None)
        self._taken = TakenTruth(start.truth, files, classes)
        self._effect: CatalogEffect | None = None
        self._measured: tuple[ClassCatalog, GroundTruthFiles] | None = None
        self._changed: set[str] = set()
        self._before, self._problem = controller.models.coming, ""
        self._build()
        self._fill_classes()
        self._fill_truth()
        self._fill_labels()
        self._fill_models()
        self._wire()
        self._show_all()
        self.picture.start()

    # -- building --------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(24)
        self.picture = FirstPicture(self._controller, self._look, self._colors)
        row.addWidget(self.picture, 4)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(16)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(1, 1)
        path = ElidedLabel(Qt.TextElideMode.ElideMiddle)
        path.set_text(displayed(str(self._look.folder)))
        self.images_line = self._row(tr("Images"), path)
        self.classes, self.typed, self.strip = QComboBox(), QLineEdit(), ClassStrip()
        self.typed.setPlaceholderText(tr("crack, no crack"))
        self.typed.setAccessibleName(tr("Names of the classes, with commas between them"))
        self.classes_line = self._row(tr("Classes"), self.classes, self.typed, self.strip)
        self.truth, self.labels, self.model = QComboBox(), QComboBox(), QComboBox()
        self.truth_line = self._row(tr("Ground truth"), self.truth)
        self.labels_line = self._row(tr("Start from"), self.labels)
        self.model_line = self._row(tr("Model"), self.model)
        for box in (self.classes, self.truth, self.labels, self.model):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(24)
        form = QVBoxLayout()
        form.addLayout(self._grid)
        form.addStretch(1)
        row.addLayout(form, 5)
        self.column.addLayout(row, 1)
        self.buttons.addWidget(toned(tr("Nothing is written before you create the project."), tone="muted", size="small"))
        self.buttons.addStretch(1)
        self.go = self.add_answers(tr("Cancel"), tr("Create project"), self._decide)
        self.go.setFocus()

    def _row(self, text: str, *fields: QWidget) -> QLabel:
        """A row of the form with a line below it that explains its effect."""
        place = self._grid.rowCount()
        label = toned(text, tone="muted")
        label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._grid.addWidget(label, place, 0)
        for number, field in enumerate(fields):
            self._grid.addWidget(field, place + number, 1)
            if not number:
                label.setBuddy(field)
                field.setAccessibleName(text)
        line = toned("", tone="muted", size="small")
        line.setWordWrap(True)
        line.setMinimumHeight(line.fontMetrics().height())
        line.setContentsMargins(0, 0, 0, 10)
        self._grid.addWidget(line, place + len(fields), 1)
        return line

    def _wire(self) -> None:
        self.classes.activated.connect(self._pick_classes)
        self.typed.textChanged.connect(self._take_typed)
        self.truth.activated.connect(self._pick_truth)
        self.labels.activated.connect(self._pick_labels)
        self.model.activated.connect(self._pick_model)
        self._controller.models.cardChanged.connect(self._follow_card)
        self._controller.models.choicesChanged.connect(self._fill_models)
        self._controller.models.choicesChanged.connect(self._show_all)

    # -- what can be chosen ----------------------------------------------------------------------------------------------

    def _fill_classes(self) -> None:
        card = self._card
        if card is not None and not any(offer.source == "model" for offer in self._offers):
            place = 1 + max((n for n, offer in enumerate(self._offers) if offer.source not in ("builtin", "object")), default=-1)
            self._offers.insert(place, ClassOffer(card.catalog, "model"))
        own = [offer for offer in self._offers if offer.source == "model" or offer is self._offer]
        self._offers = [offer for offer in self._offers if offer in own or offer in without_repeats(self._offers)]
        self.classes.clear()
        for offer in self._offers:
            self.classes.addItem(class_title(offer, "" if card is None else card.name), offer)
        self.classes.insertSeparator(self.classes.count())
        self.classes.addItem(tr("Type the names…"), _TYPED)
        self.classes.addItem(tr("From a file…"), _FILE)
        self._mark_classes()

    def _mark_classes(self) -> None:
        place = next((n for n, offer in enumerate(self._offers) if offer is self._offer), -1)
        self.classes.setCurrentIndex(place if place >= 0 else self.classes.findData(_TYPED))

    def _fill_truth(self) -> None:
        look = self._look
        options = truth_options(look.truth, None, len(look.images), GroundTruth())
        self.truth.clear()
        if look.taken_truth:
            names = ", ".join(displayed(folder.name) for folder in look.taken_truth[:3])
            self.truth.addItem(tr("Found: {names}", names=names), TruthChoice(look.taken_truth, "certain"))
        for answer in options:
            if answer.value is not None and answer.value not in look.taken_truth:
                self._add_truth(answer)
        text = tr("Decide later") if not look.truth.certain else tr("None")
        self.truth.addItem(text, TruthChoice((), "user" if look.truth.certain else "later"))
        self.truth.insertSeparator(self.truth.count())
        self.truth.addItem(tr("Another folder…"), _FOLDER)
        self._mark_truth()

    def _add_truth(self, answer: OfferedAnswer, place: int | None = None) -> None:
        predicted = answer.doubtful and answer.possible
        choice = TruthChoice((Path(str(answer.value)),), "user", predicted)
        at = self.truth.count() if place is None else place
        self.truth.insertItem(at, displayed(answer.title), choice)
        self.truth.setItemData(at, f"{answer.path}\n{answer.effect}", Qt.ItemDataRole.ToolTipRole)

    def _mark_truth(self) -> None:
        wanted = () if self._taken.choice is None else self._taken.choice.folders
        for place in range(self.truth.count()):
            data = self.truth.itemData(place)
            if isinstance(data, TruthChoice) and data.folders == wanted:
                self.truth.setCurrentIndex(place)
                return

    def _fill_labels(self) -> None:
        self.labels.clear()
        self.labels.addItem(tr("No labels"), None)
        for offer in self._labels:
            self.labels.addItem(labels_title(offer, str(self._look.folder)), offer)
            self.labels.setItemData(self.labels.count() - 1, displayed(str(offer.path)), Qt.ItemDataRole.ToolTipRole)
        self.labels.insertSeparator(self.labels.count())
        self.labels.addItem(tr("A file of labels…"), _FILE)
        self.labels.addItem(tr("A folder of labels…"), _FOLDER)
        self._mark_labels()

    def _mark_labels(self) -> None:
        path = None if self._label is None else self._label.path
        place = next((n for n, offer in enumerate(self._labels) if offer.path == path), -1)
        self.labels.setCurrentIndex(place + 1)

    def _fill_models(self) -> None:
        models, wanted = self._controller.models, self._wants_model
        self.model.clear()
        for choice in models.choices():
            self.model.addItem(displayed(choice.title), choice.path)
            self.model.setItemData(self.model.count() - 1, displayed(choice.tooltip), Qt.ItemDataRole.ToolTipRole)
        self.model.addItem(tr("None: images begin empty"), None)
        self._show_model(models.coming, wanted=wanted)
        self._choose_model()

    def _show_model(self, path: Path | None, *, wanted: bool) -> None:
        paths = [self.model.itemData(place) for place in range(self.model.count() - 1)]  # Qt does not compare paths
        self.model.setCurrentIndex((paths.index(path) if path in paths else 0) if wanted else len(paths))

    # -- choosing --------------------------------------------------------------------------------------------------------

    def _pick_classes(self, place: int) -> None:
        data = self.classes.itemData(place)
        self._changed.add("classes")
        if isinstance(data, ClassOffer):
            self._take_offer(data)
        elif data == _TYPED:
            self.typed.setVisible(True)
            self.typed.setFocus()
            self._take_typed()
        elif data == _FILE:
            path, _ = QFileDialog.getOpenFileName(self, tr("File of classes"), str(self._look.folder), tr(LIST_FILES))
            if path:
                self.read_list(Path(path))
            else:
                self._mark_classes()

    def read_list(self, path: Path) -> None:
        """Take the classes of a file; one that is not a class list is reported below the field."""
        try:
            offer = classes_of_file(path)
        except AtrousError as error:
            self._mark_classes()
            self._set_line(self.classes_line, (f"{error_title(error)}. {error_detail(error)}", "bad"))
            return
        self._offers.insert(0, offer)
        self._offer = offer
        self._fill_classes()
        self._take_offer(offer)

    def _take_typed(self) -> None:
        try:
            offer, self._problem = typed_classes(self.typed.text()), ""
        except AtrousError as error:
            empty = not self.typed.text().strip(" ,;")
            hint = tr("Type the names of the classes, with commas between them.")
            self._problem = hint if empty else f"{error_title(error)}. {error_detail(error)}"
            self._show_all()
            return
        self._take_offer(offer)

    def _take_offer(self, offer: ClassOffer) -> None:
        self._offer, self._problem = offer, ""
        if self._taken.fit(offer.catalog):
            self._mark_truth()
        self._choose_model()
        self._show_all()

    def _pick_truth(self, place: int) -> None:
        data = self.truth.itemData(place)
        if data == _FOLDER:
            folder = QFileDialog.getExistingDirectory(self, tr("Ground truth folder"), str(self._look.folder.parent))
            if not folder:
                self._mark_truth()
                return
            data = TruthChoice((Path(folder),), "user")
        if isinstance(data, TruthChoice):
            if data.folders and data.how != "certain":
                self._taken.choose(data)
                self._set_line(self.truth_line, (tr("The ground truth is being read…"), "muted"))
                take = self.while_open(lambda found: self._take_truth(data, found))
                self._controller.read_truth(self._look, data.folders[0], take)
                return
            files, classes = (self._look.truth, made_in(self._look.offers)) if data.folders else (GroundTruthFiles(), None)
            self._taken.choose(data, files, classes)
            self._show_all()

    def _take_truth(self, choice: TruthChoice, found: TruthFound | Exception) -> None:
        if self._taken.choice is not choice:
            return
        if isinstance(found, Exception) or not found[0].files:
            self._taken.choose(TruthChoice((), "user"), GroundTruthFiles())
            self._mark_truth()
            self._show_all()
            text = tr("No mask in {name} matches an image by name.", name=displayed(choice.folders[0].name))
            if isinstance(found, AtrousError):
                text = f"{error_title(found)}. {error_detail(found)}"
            self._set_line(self.truth_line, (text, "bad"))
            return
        self._taken.files, offers = found
        self._taken.made_in = made_in(offers)
        known = self.truth.findText(self.truth.currentText())
        if not isinstance(self.truth.itemData(known), TruthChoice) or self.truth.itemData(known).folders != choice.folders:
            answers = truth_options(
                self._taken.files, choice, len(self._look.images), GroundTruth(self._taken.files, choice=choice)
            )
            answer = next(answer for answer in answers if answer.value == choice.folders[0])
            self._add_truth(answer, 0)
            self._taken.choice = self.truth.itemData(0)
            self._mark_truth()
        for offer in reversed([offer for offer in offers if offer.source == "truth"]):
            self._offers.insert(0, offer)
            if offer.certain and "classes" not in self._changed:
                self._offer = offer
        self._fill_classes()
        self._show_all()

    def _pick_labels(self, place: int) -> None:
        data, start = self.labels.itemData(place), str(self._look.folder.parent)
        if data is None:
            self._label = None
            self._show_all()
            return
        if data == _FILE:
            chosen, _ = QFileDialog.getOpenFileName(self, tr("Labels to start from"), start, tr(_LABELS))
        elif data == _FOLDER:
            chosen = QFileDialog.getExistingDirectory(self, tr("Labels to start from"), start)
        else:
            chosen = str(data.path)
        if chosen:
            self.start_from(Path(chosen))
        else:
            self._mark_labels()

    def start_from(self, path: Path) -> None:
        """Read labels of a file or folder, and start from them."""
        known = next((offer for offer in self._labels if offer.path == path), None)
        if known is not None and known.plan is not None:
            self._label = known
            self._show_all()
            return
        waiting = known or LabelOffer(path, "")
        self._label = waiting
        self._show_all()

        def done(offer: LabelOffer) -> None:
            if self._label is not waiting:
                return
            if waiting in self._labels:
                self._labels[self._labels.index(waiting)] = offer
            else:
                self._labels.append(offer)
            self._label, classes = offer, classes_of_labels(offer)
            if classes is not None:
                self._offers.insert(0, classes)
                if "classes" not in self._changed and not self._taken.files.files:
                    self._offer = classes
                self._fill_classes()
            self._fill_labels()
            self._show_all()

        self._controller.read_labels(self._look, path, self.while_open(done))

    def _pick_model(self, place: int) -> None:
        self._changed.add("model")
        path = self.model.itemData(place)
        if path is not None and path != self._controller.models.coming:
            self.picture.forget_prediction()
            self._controller.models.try_on(path)
        self._show_all()

    def _choose_model(self) -> None:
        """A model with no object among the classes predicts nothing, unless the user wants it."""
        if "model" in self._changed:
            return
        path, card = self._controller.models.suit(self._look.folder, self._offer.catalog), self._card
        self._show_model(path, wanted=card is None or bool(partners(card.catalog, self._offer.catalog)[0]))

    def _follow_card(self, _card: ModelCard | None) -> None:
        self.picture.forget_prediction()
        self._offers = [offer for offer in self._offers if offer.source != "model" or offer is self._offer]
        self._fill_classes()
        self._fill_models()
        self.picture.predict()
        self._show_all()

    # -- showing ---------------------------------------------------------------------------------------------------------

    @property
    def _card(self) -> ModelCard | None:
        """The model in use; None while another one is on its way."""
        return None if self._controller.models.loading else self._controller.models.card

    @property
    def _wants_model(self) -> bool:
        return self.model.count() == 0 or self.model.currentData() is not None

    def _show_all(self) -> None:
        look, catalog = self._look, self._offer.catalog
        self._set_line(self.images_line, images_line(look))
        self._show_classes()
        self._set_line(self.truth_line, truth_line(look, self._taken.choice, self._taken.files, self._taken.other(catalog)))
        self._set_line(self.labels_line, labels_line(self._label, catalog, len(look.images), self._labels))
        card = self._card
        self._set_line(self.model_line, model_line(None if card is None else card.catalog, catalog, wanted=self._wants_model))
        waits = self._label is not None and self._label.plan is None
        self.go.setEnabled(not self._problem and not waits)
        self._measure()
        self.picture.show_in(catalog, self._label, predicted=self._wants_model)

    def _show_classes(self) -> None:
        typed = self.classes.currentData() == _TYPED
        self.typed.setVisible(typed)
        if self._problem and typed:
            self.strip.show_catalog(None)
            self._set_line(self.classes_line, (self._problem, "muted" if not self.typed.text().strip() else "bad"))
            return
        self.strip.show_catalog(self._colors(self._offer.catalog))
        effect = self._effect if self._taken.files.files else None
        self._set_line(self.classes_line, class_line(self._offer, effect, self._is_measured()))

    def _is_measured(self) -> bool:
        catalog, truth = self._measured or (None, None)
        known = truth is self._taken.files and catalog is not None and same_classes(catalog, self._offer.catalog)
        return known or not self._taken.files.files

    def _measure(self) -> None:
        if self._is_measured():
            return
        asked, truth = self._offer, self._taken.files
        self._measured, self._effect = None, None

        def done(effect: CatalogEffect | None) -> None:
            if asked is self._offer and truth is self._taken.files:
                self._measured, self._effect = (asked.catalog, truth), effect
                self._show_classes()

        self._controller.measure(truth, asked, self.while_open(done))

    def _set_line(self, label: QLabel, line: Line) -> None:
        set_tone(label, line[1])
        label.setText(line[0])
        label.setVisible(bool(line[0]))

    # -- the end ---------------------------------------------------------------------------------------------------------

    def reject(self) -> None:
        """Leave the folder as it is."""
        self._controller.give_up(self._before)
        super().reject()

    def _decide(self) -> None:
        card, wanted = self._card, self._wants_model
        self._controller.leave()
        how: How = "user" if "classes" in self._changed else "certain" if self._offer.certain else "asked"
        agreed = (card.id, card.catalog) if wanted and card is not None else None
        chosen = NewProject(
            classes=self._offer, how=how, truth=self._taken.choice, begins_empty=not wanted, labels=self._label, agreed=agreed,
            model=str(self.model.currentData()) if wanted and "model" in self._changed else "",
        )  # fmt: skip
        self.accept()
        self.decided.emit(chosen)
