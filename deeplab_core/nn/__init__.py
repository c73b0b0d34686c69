"""Networks of the DeepLab family, built by :func:`create_model`."""

from deeplab_core.nn.backbones import backbone_names
from deeplab_core.nn.base import SegmentationModel, class_logits
from deeplab_core.nn.count import count_multiply_adds, count_parameters
from deeplab_core.nn.factory import create_model, model_names
from deeplab_core.nn.receptive import LayerField, effective_radius, receptive_layers, receptive_radius

__all__ = [
    "LayerField",
    "SegmentationModel",
    "backbone_names",
    "class_logits",
    "count_multiply_adds",
    "count_parameters",
    "create_model",
    "effective_radius",
    "model_names",
    "receptive_layers",
    "receptive_radius",
]
