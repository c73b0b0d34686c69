"""The first image of a folder with its prediction or its labels, in classes that are not taken yet."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QComboBox, QVBoxLayout, QWidget
from shiboken6 import isValid

from app.controllers.project.label_imports import Preview
from app.controllers.project.new_project import NewProjectController
from app.state.new_project import FolderLook, LabelOffer
from app.text import displayed, error_detail, error_title, tr
from app.ui.adapt.learn_picture import LearnPicture, composed
from app.ui.common.panel import toned
from deeplab_core.catalogs.catalog import ClassCatalog, map_catalogs
from deeplab_core.errors import AtrousError
from deeplab_core.labels import apply_lut


class FirstPicture(QWidget):
    """A picture, a choice of what it shows, and a line that describes it.

    Attributes:
        predicted: what the model in use predicts for the image; None before it is known.
        shown: whether the picture shows the prediction or the labels.
        caption: the line.
    """

    def __init__(self, controller: NewProjectController, look: FolderLook, shown: Callable[[ClassCatalog], ClassCatalog]) -> None:
        """Show the first image of a folder; ``shown`` gives the colours in which classes are shown."""
        super().__init__()
        self._controller, self._look, self._colors = controller, look, shown
        self._base: Preview | None = None
        self._key = ""
        self.predicted: Preview | None = None
        self._labelled: Preview | None = None
        self._catalog: ClassCatalog | None = None
        self._label: LabelOffer | None = None
        self._predicts = True
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        self.picture = LearnPicture(tr("The first image with its prediction"))
        self.picture.setMinimumSize(260, 270)
        self.caption = toned("", tone="muted", size="small")
        self.caption.setWordWrap(True)
        self.shown = QComboBox()
        self.shown.setAccessibleName(tr("What the picture shows"))
        self.shown.addItem(tr("Show the prediction"), False)
        self.shown.addItem(tr("Show the existing labels"), True)
        self.shown.currentIndexChanged.connect(self._show)
        column.addWidget(self.picture, 1)
        column.addWidget(self.shown)
        column.addWidget(self.caption)

    def start(self) -> None:
        """Read the image, and predict it if there is a model."""
        self._controller.read_picture(self._look, self._take)

    def show_in(self, catalog: ClassCatalog, label: LabelOffer | None, *, predicted: bool) -> None:
        """Show the image in some classes.

        Args:
            label: the labels to start from; None for none.
            predicted: whether a model predicts the images.
        """
        self._catalog, self._label, self._predicts = catalog, label, predicted
        self._read_labels()
        self._show()

    def forget_prediction(self) -> None:
        """Another model is being loaded."""
        self.predicted = None

    def predict(self) -> None:
        """Ask the model in use for a prediction."""
        if self._base is None or self._controller.models.card is None:
            return

        def done(preview: Preview) -> None:
            self.predicted = preview
            self._show()

        def failed(error: AtrousError) -> None:
            if isValid(self):
                self.caption.setText(f"{error_title(error)}. {error_detail(error)}")

        self._controller.predict(self._look, self._base, self._key, done, failed)

    def _take(self, preview: Preview, key: str) -> None:
        self._base, self._key = preview, key
        self.predict()
        self._show()

    def _read_labels(self) -> None:
        """Read the first labels again, in the classes that are chosen now."""
        label, catalog = self._label, self._catalog
        plan = None
        if label is not None and label.plan is not None and label.plan.items and catalog is not None:
            plan = label.plan.mapped(catalog)
        if plan is None or (plan.mapping is not None and plan.mapping.unmapped):
            self._labelled = None
            return
        known = self._labelled
        if known is not None and known.catalog is catalog and known.name == plan.items[0].name:
            return

        def done(found: Preview | Exception) -> None:
            if catalog is self._catalog and self._label is label and isinstance(found, Preview):
                self._labelled = found
                if isValid(self):
                    self.shown.setCurrentIndex(1)
                self._show()

        self._controller.preview_labels(self._look, plan, done)

    def _show(self) -> None:
        if not isValid(self):
            return  # the page was closed before the answer came
        self.shown.setVisible(self._labelled is not None and self._base is not None)
        labels = self._labelled is not None and bool(self.shown.currentData())
        preview = self._labelled if labels else self.predicted if self._predicts else None
        base = preview or self._base
        if base is None or self._catalog is None:
            self.picture.show_picture(None)
            self.caption.setText(tr("The first image is being read…"))
            return
        name = displayed(base.name)
        if base.labels is None or base.catalog is None:
            self.picture.show_picture(base.rgb)
            if self._predicts and self._controller.models.card is not None:
                self.caption.setText(tr("{name}: the prediction is being computed…", name=name))
            else:
                self.caption.setText(tr("{name}, without labels", name=name))
            return
        lut = map_catalogs(base.catalog, self._catalog).lut
        self.picture.show_picture(composed(base.rgb, apply_lut(base.labels, lut), self._colors(self._catalog)))
        if labels:
            self.caption.setText(tr("{name} with its labels", name=name))
        else:
            self.caption.setText(tr("{name} with the model's prediction, in these classes", name=name))
