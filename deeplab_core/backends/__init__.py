"""Networks that bring their own graph, behind the same Predictor: ONNX (``onnx`` extra) and LiteRT (``litert`` extra)."""

from deeplab_core.backends.click_models import find_partner, load_click_model
from deeplab_core.backends.loading import SUFFIXES, engine_of, load_engine, read_engine_card
from deeplab_core.backends.network import EngineModel

__all__ = ["SUFFIXES", "EngineModel", "engine_of", "find_partner", "load_click_model", "load_engine", "read_engine_card"]
