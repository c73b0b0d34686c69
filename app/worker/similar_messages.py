"""Messages of "More like this"."""

from __future__ import annotations

from dataclasses import dataclass

from app.worker.messages import Answer, Request
from deeplab_core.analysis.similarity import Vectors
from deeplab_core.geometry import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Embed(Request["Embedded"]):
    """Pool the features that the model in use has of an image. Answered by Embedded.

    Attributes:
        image, source_key: the file and its content key.
        region: in image pixels; None for the whole image and its parts.
        device: where the model runs; ``auto`` is the one that it was loaded for.
    """

    handler = "similar"

    image: str
    source_key: str
    region: Box | None = None
    device: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded(Answer):
    """Features of an image.

    Attributes:
        card_id: of the model that computed them.
        vectors: (K, C) float16, see :mod:`deeplab_core.analysis.similarity`.
    """

    card_id: str
    vectors: Vectors
