"""Mask files: reading truth of every layout, writing indexed PNG and exports, read back and compared."""

from deeplab_core.formats.atomic import atomic_write, make_folder
from deeplab_core.formats.guess import CatalogGuess, guess_catalog
from deeplab_core.formats.masks import read_mask
from deeplab_core.formats.png import encode_indexed_png, encode_png, write_indexed_png, write_mask
from deeplab_core.formats.truth import TruthIndex, TruthProblem, find_truth

__all__ = [
    "CatalogGuess",
    "TruthIndex",
    "TruthProblem",
    "atomic_write",
    "encode_indexed_png",
    "encode_png",
    "find_truth",
    "guess_catalog",
    "make_folder",
    "read_mask",
    "write_indexed_png",
    "write_mask",
]
