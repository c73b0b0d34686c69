"""What the panes have to show: arrays of one image, handed over by the controllers. No view measures anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.ui.canvas.picture import PictureSource
from app.viewmodels.annotate.panes import MODEL_PANES, PaneKind
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.labels import LabelMap


@dataclass(frozen=True, slots=True, eq=False)
class LayerSet:
    """Everything known about the open image. All arrays have its (H, W); what is missing is None.

    Attributes:
        picture: the photograph.
        catalog: what the ids mean and which colours they have.
        labels: the current mask: the document's own array, painted in place.
        prediction: the model's labels in this catalog's ids.
        truth: the true labels, void = ``catalog.ignore``.
        confidence: uint8, probability of the predicted class times 255.
        band: uint8 from :func:`deeplab_core.metrics.trimap.band_index`: 1..40 distance, 41 outside, 0 excluded.
        band_width: px; pixels with 1 <= band <= band_width are in the band.
        band_labels: the labels that the band pane shows inside; None means the current mask.
        refined: the mask as a CRF would leave it.
        models: what each compared model says, in this catalog's ids; None for one that is still computed.
        pair: places in ``models`` of the two with a shown difference.
    """

    picture: PictureSource
    catalog: ClassCatalog
    labels: LabelMap | None = None
    prediction: LabelMap | None = None
    truth: LabelMap | None = None
    confidence: NDArray[np.uint8] | None = None
    band: NDArray[np.uint8] | None = None
    band_width: int = 10
    band_labels: LabelMap | None = None
    refined: LabelMap | None = None
    models: tuple[LabelMap | None, ...] = ()
    pair: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        width, height = self.picture.size
        for name in ("labels", "prediction", "truth", "confidence", "band", "band_labels", "refined"):
            array = getattr(self, name)
            if array is not None and array.shape != (height, width):
                raise ValueError(f"{name} must be ({height}, {width}) like the picture, got {array.shape}")
        for array in self.models:
            if array is not None and array.shape != (height, width):
                raise ValueError(f"models must be ({height}, {width}) like the picture, got {array.shape}")

    def model(self, place: int) -> LabelMap | None:
        """The answer of a compared model; None if there is no such model or no answer yet."""
        return self.models[place] if place < len(self.models) else None

    def missing(self, kind: PaneKind) -> str | None:
        """Why a pane of this kind has nothing to show, for the user; None if it has."""
        if kind in (PaneKind.MASK, PaneKind.ERRORS) and self.labels is None:
            return "No mask yet"
        if kind in (PaneKind.TRUTH, PaneKind.ERRORS) and self.truth is None:
            return "No ground truth for this image"
        if kind is PaneKind.PREDICTION and self.prediction is None:
            return "No prediction yet: run the model"
        if kind is PaneKind.UNCERTAINTY and self.confidence is None:
            return "No confidence yet: run the model"
        if kind in (PaneKind.REFINED, PaneKind.CHANGES) and self.refined is None:
            return "No CRF preview: switch it on in the CRF dock"
        if kind is PaneKind.BAND and self.band is None:
            return "No band: it needs ground truth, or edges around the prediction"
        if kind in MODEL_PANES and self.model(MODEL_PANES.index(kind)) is None:
            return _waiting(MODEL_PANES.index(kind) < len(self.models))
        if kind is PaneKind.DIFFERENCE and any(self.model(place) is None for place in self.pair):
            return _waiting(max(self.pair) < len(self.models))
        return None


def _waiting(compared: bool) -> str:
    return "Waiting for this model" if compared else "Not compared: choose models in Model > Compare models"
