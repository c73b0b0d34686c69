"""Semantic segmentation with the DeepLab family: networks, weights, inference, metrics, refinement, file formats.

Usable from a notebook or a cluster; knows neither Qt nor the desktop program. The modules in the first group import numpy,
OpenCV and Pillow only, so that the window's process can use them without loading torch; the second group imports torch.

numpy half: :mod:`errors`, :mod:`catalogs`, :mod:`records`, :mod:`labels`, :mod:`images`, :mod:`masks`, :mod:`datasets`,
:mod:`metrics`, :mod:`analysis`, :mod:`refine`, :mod:`correction`, :mod:`hub`.
torch half: :mod:`nn`, :mod:`backends`, :mod:`weights`, :mod:`inference`, :mod:`training`.
"""

__version__ = "0.1.0"
