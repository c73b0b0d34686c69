"""A hash of the ground truth: two reports that name the same one were measured against the same label maps.

Of each label map the SHA-256 of its class ids as they are scored is kept; of a set of images the SHA-256 over the sorted lines
``key digest``, so that neither the order of the files nor their format (an indexed PNG, an array) matters.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

import numpy as np

from deeplab_core.labels import LabelMap


def image_key(name: str) -> str:
    """What an image is found by in another report: its path below the folder without file ending, composed (NFC)."""
    return unicodedata.normalize("NFC", str(PurePosixPath(name).with_suffix("")))


def label_map_hash(labels: LabelMap) -> str:
    """SHA-256 in hex digits of a label map: (H, W) integer ids after reading, with void for unscored pixels."""
    ids = np.ascontiguousarray(labels, dtype=labels.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{ids.shape[0]}x{ids.shape[1]} {ids.dtype.str}".encode())
    digest.update(ids.data)
    return digest.hexdigest()


def ground_truth_hash(images: Iterable[tuple[str, str]]) -> str:
    """SHA-256 in hex digits over (image name, :func:`label_map_hash`) of a set of images, in any order."""
    lines = sorted(f"{image_key(name)} {digest}\n" for name, digest in images)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
