"""Predictor, tiling, devices: images of any size through one network.

::

    model, card = load_model("weights.safetensors")
    prediction = Predictor(model, card)(rgb)          # rgb: (H, W, 3) uint8
"""

from typing import TYPE_CHECKING, Any

from deeplab_core.inference.device import cap_threads, list_devices, pick_device, pick_precision
from deeplab_core.inference.memory import TILE_FLOOR, freed_memory_kept, give_back_freed_memory
from deeplab_core.inference.predictor import Predictor
from deeplab_core.inference.scores import ScoreGrid, Scores, ScoreStore, warm_up
from deeplab_core.inference.side_by_side import images_at_once, images_per_pass, in_batches, one_thread_each, single_thread
from deeplab_core.inference.variants import RunVariant, VariantPredictor, parse_variant
from deeplab_core.records import Prediction, PredictOptions

if TYPE_CHECKING:
    from deeplab_core.inference.prepare import prepare_for_inference

__all__ = [
    "TILE_FLOOR",
    "PredictOptions",
    "Prediction",
    "Predictor",
    "RunVariant",
    "ScoreGrid",
    "ScoreStore",
    "Scores",
    "VariantPredictor",
    "cap_threads",
    "freed_memory_kept",
    "give_back_freed_memory",
    "images_at_once",
    "images_per_pass",
    "in_batches",
    "list_devices",
    "one_thread_each",
    "parse_variant",
    "pick_device",
    "pick_precision",
    "prepare_for_inference",
    "single_thread",
    "warm_up",
]


def __getattr__(name: str) -> Any:
    if name == "prepare_for_inference":  # needs torch, which graphs do without
        from deeplab_core.inference.prepare import prepare_for_inference

        return prepare_for_inference
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
