"""What names say: which files belong together, which folders hold masks, which belong to no data set.

Every pairing by name compares :func:`name_key`: macOS stores accents apart from their letters (NFD), other systems together
(NFC), and a folder that was copied between them keeps looking the same.
"""

from __future__ import annotations

import re
import unicodedata

#: Files of these endings are offered as images.
IMAGE_SUFFIXES = frozenset(
    {
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".dib", ".webp", ".ppm", ".pgm", ".pnm", ".jp2",
        ".gif", ".avif",
    }
)  # fmt: skip
#: The same with the extra ``heic``.
HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
#: Endings that photographs have, whether or not they can be read here.
PHOTO_SUFFIXES = IMAGE_SUFFIXES | HEIC_SUFFIXES
_FOLDER_WORDS = frozenset(
    {
        "label", "labels", "mask", "masks", "annotation", "annotations", "annot", "annots", "truth", "groundtruth", "gt", "seg",
        "segmentation", "segmentations", "gtfine", "gtcoarse", "labelids",
    }
)  # fmt: skip
_FOLDER_STARTS = ("segmentationclass", "segmentationobject")

#: Trash of desktops and servers, thumbnails and snapshots of network storage, what archives of a Mac bring along. Names that
#: begin with a dot (``.Trash-1000``, ``.AppleDouble``, ``._a.jpg``, ``.ipynb_checkpoints``) are passed over besides.
_NOT_DATA = frozenset(
    {
        "$recycle.bin", "recycler", "recycled", "system volume information", "lost+found", "__macosx", "@eadir", "#recycle",
        "@recycle", "@recently-snapshot", "#snapshot", "@tmp", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini",
    }
)  # fmt: skip

# What a mask's name may add to its photograph's stem. Cityscapes, then words after '_', '-' or '.', then CamVid's '_L'.
_CITYSCAPES_MASK = re.compile(r"_gt(?:Fine|Coarse)_(?:labelIds|labelTrainIds|instanceIds|instanceTrainIds|color)$")
_WORD_SUFFIX = re.compile(r"[_.-](?:labels?|masks?|segmentation|seg|annotation|truth|gt|groundtruth)$", re.IGNORECASE)
_CAMVID_SUFFIX = re.compile(r"_L$")
_CITYSCAPES_PHOTO = "_leftImg8bit"


def name_key(name: str) -> str:
    """A file name or relative path in the one form that names are compared in (NFC). Foreign bytes stay as they are."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def is_passed_over(name: str) -> bool:
    """Whether a file or folder is hidden, trash, or bookkeeping of a system: it is neither listed nor looked into."""
    return name.startswith(".") or name.casefold() in _NOT_DATA


def split_name(name: str) -> tuple[str, str]:
    """Stem and lower-case ending of a file name, ``("a.b", ".png")``; a name without a stem has no ending."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, f".{suffix.lower()}") if stem else (dot + suffix, "")


def bare_stem(stem: str) -> str:
    """The key by which masks of one photograph find each other: NFC, without the photograph's own ending and known additions.

    ``a``, ``a_mask``, ``a.jpg`` (of ``a.jpg.png``) and ``a_leftImg8bit`` all have the same.
    """
    pointed = mask_stem(name_key(stem))
    inner, ending = split_name(pointed)
    return photo_stem(inner if ending in PHOTO_SUFFIXES else pointed)


def is_label_folder(name: str) -> bool:
    """Whether a folder name announces masks.

    True for ``labels``, ``labels_voc21``, ``masks``, ``trainannot``, ``SegmentationClass``, ``gtFine``, ``ground_truth``, KITTI's
    ``semantic`` and their like.
    """
    lower = name.casefold()
    if lower == "semantic" or lower.startswith(_FOLDER_STARTS) or (lower.endswith("annot") and lower.isalpha()):
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
