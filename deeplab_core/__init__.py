"""Semantic segmentation with the DeepLab family: networks, weights, inference, metrics, refinement, file formats.

Usable from a notebook or a cluster; knows neither Qt nor the desktop program. The modules in the first group import numpy,
OpenCV and Pillow only, so that the window's process can use them without loading torch; the second group imports torch.

numpy half: :mod:`errors`, :mod:`catalogs`, :mod:`records`, :mod:`labels`, :mod:`images`, :mod:`masks`, :mod:`datasets`,
:mod:`metrics`, :mod:`analysis`, :mod:`refine`, :mod:`correction`, :mod:`hub`.
torch half: :mod:`nn`, :mod:`backends`, :mod:`weights`, :mod:`inference`, :mod:`training`.

Importing it switches the telemetry of ONNX Runtime and OpenVINO off for this process: both report their import to their makers.
"""

import os
import sys

# ONNX Runtime asks this variable when it is imported. OpenVINO has no variable: it reports through a package that it does
# without if it cannot be imported. Set ORT_DISABLE_TELEMETRY=0, or import openvino first, to have them report again.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

__version__ = "0.1.0"
