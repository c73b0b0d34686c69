"""Data sets on disk: which files are images, which are their ground truth, and which classes the masks hold.

Names are imported when they are first used, so that a folder can be listed without loading Pillow and OpenCV. Imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deeplab_core.datasets.catalog_guess import CatalogGuess, guess_catalog
    from deeplab_core.datasets.find import FolderScan, find_images, scan_folder
    from deeplab_core.datasets.ground_truth import (
        GroundTruthFiles,
        TruthAlternative,
        TruthProblem,
        check_truth_folder,
        find_truth,
    )
    from deeplab_core.datasets.survey import ClassChoice, TruthSurvey, choose_classes, survey_truth
    from deeplab_core.masks.output_marker import OutputMarker, mark_output, read_marker

__all__ = [
    "CatalogGuess",
    "ClassChoice",
    "FolderScan",
    "GroundTruthFiles",
    "OutputMarker",
    "TruthAlternative",
    "TruthProblem",
    "TruthSurvey",
    "check_truth_folder",
    "choose_classes",
    "find_images",
    "find_truth",
    "guess_catalog",
    "mark_output",
    "read_marker",
    "scan_folder",
    "survey_truth",
]

_MODULES = {
    "deeplab_core.datasets.catalog_guess": ("CatalogGuess", "guess_catalog"),
    "deeplab_core.datasets.ground_truth": (
        "TruthAlternative", "GroundTruthFiles", "TruthProblem", "check_truth_folder", "find_truth",
    ),
    "deeplab_core.datasets.survey": ("ClassChoice", "TruthSurvey", "choose_classes", "survey_truth"),
    "deeplab_core.datasets.find": ("FolderScan", "find_images", "scan_folder"),
    "deeplab_core.masks.output_marker": ("OutputMarker", "mark_output", "read_marker"),
}  # fmt: skip
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
