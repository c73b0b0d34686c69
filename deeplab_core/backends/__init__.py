"""Networks that bring their own graph, behind the same Predictor and without torch: ONNX (``onnx`` extra), LiteRT (``litert``
extra), and the graphs of our own networks that are shipped for installations without torch.
"""

from deeplab_core.backends.click_models import find_partner, load_click_model
from deeplab_core.backends.loading import SUFFIXES, engine_of, load_engine, read_engine_card
from deeplab_core.backends.network import EngineModel
from deeplab_core.backends.own_graphs import OwnGraph, load_own_graph

__all__ = [
    "SUFFIXES",
    "EngineModel",
    "OwnGraph",
    "engine_of",
    "find_partner",
    "load_click_model",
    "load_engine",
    "load_own_graph",
    "read_engine_card",
]
