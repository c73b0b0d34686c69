"""How unsure a model is of a photograph, and who disagrees with it: everything that ranks a folder without truth, in one pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.ranking_scores import measure_ranking
from deeplab_core.analysis.record import ImageAnalysis
from deeplab_core.catalogs.catalog import CatalogMapping, ClassCatalog, map_catalogs
from deeplab_core.errors import CatalogError, message
from deeplab_core.inference.pixels import RGB
from deeplab_core.inference.predictor import Predictor
from deeplab_core.labels import LabelMap, apply_lut


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredImage:
    """One image.

    Attributes:
        analysis: its figures; they are of the model's own labels, before any CRF.
        notes: what ran otherwise than asked.
    """

    analysis: ImageAnalysis
    notes: tuple[str, ...]


class RankingPredictor:
    """Measures images one by one; nothing of an image is kept.

    Args:
        predictor: the model in question. With a CRF in its options the model is compared with its own CRF; flip and several
            scales give the disagreement of the passes.
        catalog: ids of truth and figures; None takes the model's. Classes are mapped by name, those without a partner are void.
        second: another model to compare with; its options' CRF is not looked at.

    Attributes:
        catalog: the ids of the figures.
        unmatched: names of classes that became void, by the model that has them.

    Raises:
        CatalogError: a model and the catalog have no class in common.
    """

    def __init__(self, predictor: Predictor, catalog: ClassCatalog | None = None, second: Predictor | None = None) -> None:
        self._predictor, self._second = predictor, second
        self.catalog = catalog or predictor.card.catalog
        self._mapping = _mapping(predictor, self.catalog)
        self._second_mapping = None if second is None else _mapping(second, self.catalog)
        self.unmatched = {predictor.card.name: self._mapping.unmatched}
        if second is not None and self._second_mapping is not None:
            self.unmatched[second.card.name] = self._second_mapping.unmatched

    @property
    def in_channels(self) -> int:
        """Channels of the pictures that the models take together: 4 where one of them does."""
        return max(predictor.model.in_channels for predictor in (self._predictor, self._second) if predictor is not None)

    @property
    def labels_only(self) -> bool:
        """Whether the model is a graph that gives labels without scores; then nothing is known of its confidence."""
        engine = self._predictor.model.engine
        return engine is not None and engine.labels_only

    def __call__(self, rgb: RGB, *, truth: LabelMap | None = None, exclude: NDArray[np.bool_] | None = None) -> MeasuredImage:
        """Predict and measure one image.

        Args:
            rgb: (H, W, 3) uint8, oriented; (H, W, 4) where a model takes four channels.
            truth: (H, W) ids of :attr:`catalog`.
            exclude: (H, W) bool, pixels of the truth that do not count.

        Raises:
            AtrousError: as :meth:`Predictor.__call__`.
        """
        options = self._predictor.options
        scores = self._predictor.scores(_given(rgb, self._predictor), options=options)
        prediction = self._predictor.decide(scores, options=replace(options, crf=None))
        notes = list(prediction.report.notes)
        refined, others = None, []
        if options.crf is not None:
            by_crf = self._predictor.decide(scores, options=options, rgb=rgb)
            refined = _translated(by_crf.labels, self._mapping)
            notes += by_crf.report.notes
        if self._second is not None and self._second_mapping is not None:
            other = self._second(_given(rgb, self._second), options=replace(self._second.options, crf=None))
            others.append(_translated(other.labels, self._second_mapping))
            notes += other.report.notes
        analysis = measure_ranking(
            _translated(prediction.labels, self._mapping),
            None if self.labels_only else prediction.confidence,
            self.catalog,
            model=prediction.uncertainty,
            truth=truth,
            exclude=exclude,
            others=others,
            refined=refined,
        )
        return MeasuredImage(analysis, tuple(dict.fromkeys(notes)))


def _given(pixels: RGB, predictor: Predictor) -> RGB:
    return pixels if predictor.model.in_channels == 4 else np.ascontiguousarray(pixels[..., :3])


def _mapping(predictor: Predictor, catalog: ClassCatalog) -> CatalogMapping:
    mapping = map_catalogs(predictor.card.catalog, catalog)
    if len(mapping.unmatched) == len(predictor.card.catalog):
        raise CatalogError(
            message(
                "the model '{model}' and the catalog '{catalog}' have no class in common",
                model=predictor.card.name,
                catalog=catalog.name,
            ),
            why=message(
                "The model knows {model_classes}, ...; the catalog {classes}, ...",
                model_classes=", ".join(mapping.unmatched[:5]),
                classes=", ".join(catalog.names[:5]),
            ),
            remedy=message("Choose a model of the same classes"),
        )
    return mapping


def _translated(labels: LabelMap, mapping: CatalogMapping) -> NDArray[Any]:
    return labels if mapping.identity and mapping.lut.dtype == labels.dtype else apply_lut(labels, mapping.lut)
