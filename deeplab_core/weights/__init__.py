"""Checkpoints: recognition of their family, loading without executing anything, model cards."""

from typing import TYPE_CHECKING, Any

from deeplab_core.model_cards import write_card_file
from deeplab_core.records import ModelCard, card_path
from deeplab_core.weights.listing import ModelEntry, list_models
from deeplab_core.weights.loading import load_model, read_card

if TYPE_CHECKING:
    from deeplab_core.weights.saving import save_model

__all__ = [
    "ModelCard",
    "ModelEntry",
    "card_path",
    "list_models",
    "load_model",
    "read_card",
    "save_model",
    "write_card_file",
]


def __getattr__(name: str) -> Any:
    if name == "save_model":  # needs torch, which graphs do without
        from deeplab_core.weights.saving import save_model

        return save_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
