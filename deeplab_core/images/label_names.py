"""How folders and files of truth masks are usually named, told apart from photographs by name alone."""

from __future__ import annotations

import re

_FOLDER_WORDS = frozenset(
    {
        "label", "labels", "mask", "masks", "annotation", "annotations", "annot", "annots", "truth", "groundtruth", "gt", "seg",
        "segmentation", "segmentations", "gtfine", "gtcoarse", "labelids",
    }
)  # fmt: skip
_FOLDER_STARTS = ("segmentationclass", "segmentationobject")

# What a mask's name may add to its photograph's stem. Cityscapes, then words after '_', '-' or '.', then CamVid's '_L'.
_CITYSCAPES_MASK = re.compile(r"_gt(?:Fine|Coarse)_(?:labelIds|labelTrainIds|instanceIds|instanceTrainIds|color)$")
_WORD_SUFFIX = re.compile(r"[_.-](?:labels?|masks?|segmentation|seg|annotation|truth|gt|groundtruth)$", re.IGNORECASE)
_CAMVID_SUFFIX = re.compile(r"_L$")
_CITYSCAPES_PHOTO = "_leftImg8bit"


def is_label_folder(name: str) -> bool:
    """Whether a folder name announces masks.

    True for ``labels``, ``labels_voc21``, ``masks``, ``trainannot``, ``SegmentationClass``, ``gtFine``, ``ground_truth`` and
    their like.
    """
    lower = name.casefold()
    if lower.startswith(_FOLDER_STARTS) or (lower.endswith("annot") and lower.isalpha()):
        return True
    words = re.split(r"[^a-z]+", lower)
    return any(word in _FOLDER_WORDS for word in words)


def photo_stem(stem: str) -> str:
    """The part of a photograph's stem that its masks share: Cityscapes' ``_leftImg8bit`` is left out."""
    return stem.removesuffix(_CITYSCAPES_PHOTO)


def mask_stem(stem: str) -> str:
    """The photograph's stem that a mask's stem points to.

    One known ending (``_mask``, ``_gtFine_labelIds``, ``_L``, ...) is left out, a plain stem stays.
    """
    for ending in (_CITYSCAPES_MASK, _WORD_SUFFIX, _CAMVID_SUFFIX):
        match = ending.search(stem)
        if match is not None and match.start() > 0:
            return stem[: match.start()]
    return stem
