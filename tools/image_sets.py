"""Images with ground truth that figures in docs are made of, in one folder per set so that every tool sees them alike."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.masks.png import write_mask
from deeplab_core.masks.read import read_mask
from deeplab_core.reading import read_json

#: Groups of the photographs with ground truth in VOC-21 ids.
_VOC_GROUPS = ("voc", "coco")


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images with ground truth.

    Attributes:
        name: short, for file names.
        title: for tables.
        folder: holds ``images``, ``truth`` and, for rendered rooms, ``objects`` with the visible fraction of every object.
        images: how many.
    """

    name: str
    title: str
    folder: Path
    images: int

    @property
    def objects(self) -> Path | None:
        """Folder of the lists of objects; None for photographs, which do not say how much of an object can be seen."""
        folder = self.folder / "objects"
        return folder if folder.is_dir() else None


def gather_rooms(folders: Sequence[Path], target: Path) -> ImageSet:
    """Rendered rooms of several folders (layout of ``python -m tools.rooms``)."""
    target = _emptied(target)
    for place, folder in enumerate(folders):
        for part in ("images", "truth", "objects"):
            (target / part).mkdir(parents=True, exist_ok=True)
            for path in sorted((folder / part).iterdir()):
                shutil.copy(path, target / part / f"{place}_{path.name}")
    return ImageSet("rooms", "rendered rooms", target, len(list((target / "images").iterdir())))


def gather_photographs(real: Path, target: Path) -> ImageSet | None:
    """Photographs with VOC-21 ground truth named by ``real/manifest.json``; None if they are absent."""
    manifest = real / "manifest.json"
    if not manifest.is_file():
        return None
    target = _emptied(target)
    for part in ("images", "truth"):
        (target / part).mkdir(parents=True)
    count = 0
    for row in read_json(manifest):
        image, label = row["image"], row.get("label")
        if label and image.split("/")[0] in _VOC_GROUPS:
            stem = f"{image.split('/')[0]}_{Path(image).stem}"
            shutil.copy(real / image, target / "images" / f"{stem}{Path(image).suffix}")
            shutil.copy(real / label, target / "truth" / f"{stem}.png")
            count += 1
    return ImageSet("photographs", "photographs", target, count)


def restrict_truth(data: ImageSet, catalog: ClassCatalog, classes: Collection[str], target: Path) -> float:
    """Write the ground truth of a set again with the other classes as void; return the share of labelled pixels that became void.

    Args:
        data: the set.
        catalog: its classes.
        classes: names of those that stay.
        target: folder of the new masks, emptied before.
    """
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    kept = [catalog.by_name(name).id for name in classes]
    labelled = left = 0
    for path in sorted((data.folder / "truth").iterdir()):
        labels = read_mask(path, catalog)
        known = labels != catalog.ignore
        stays = np.isin(labels, kept)
        labelled, left = labelled + int(known.sum()), left + int((known & ~stays).sum())
        write_mask(target / path.name, np.where(stays, labels, catalog.ignore).astype(labels.dtype), catalog)
    return left / labelled if labelled else 0.0


def _emptied(folder: Path) -> Path:
    """The folder without what an earlier run gathered into it: its images, ground truth and objects are copies."""
    for part in ("images", "truth", "objects"):
        shutil.rmtree(folder / part, ignore_errors=True)
    return folder
