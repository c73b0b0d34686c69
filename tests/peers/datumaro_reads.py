"""Run by the peers' Python: what Datumaro finds in a data set.

Arguments: Datumaro's name of the format, the data set, a folder for arrays, ``--polygons`` to draw polygons as COCO does. For
each item an array ``<id>.npy``, (H, W) int32, goes to the folder: the number of the class in the printed list of names, -1 where
no mask of a class is. Masks are painted in their order of depth, as Datumaro itself does.
"""

import json
import sys
from pathlib import Path

import numpy as np
from datumaro import AnnotationType, Dataset, Image, Mask
from datumaro.util import mask_tools


def main(form: str, folder: str, target: str, polygons: str = "") -> None:
    dataset = Dataset.import_from(folder, form)
    names = [label.name for label in dataset.categories()[AnnotationType.label]]
    found = {}
    for item in dataset:
        if polygons:
            height, width = item.media_as(Image).size
            shapes = [mark for mark in item.annotations if mark.type == AnnotationType.polygon]
            drawn = [(mark, mask_tools.rles_to_mask([mark.points], width, height)) for mark in shapes]
            item.annotations = [
                *(mark for mark in item.annotations if mark.type == AnnotationType.mask),
                *(Mask(image=mask, label=mark.label, z_order=mark.z_order) for mark, mask in drawn),
            ]
        masks = sorted((mark for mark in item.annotations if mark.type == AnnotationType.mask), key=lambda mark: mark.z_order)
        labels = np.full(masks[0].image.shape if masks else (0, 0), -1, np.int32)
        for mask in masks:
            if mask.label is not None:
                labels[mask.image.astype(bool)] = mask.label
        np.save(Path(target) / f"{item.id}.npy", labels)
        found[item.id] = {"subset": item.subset, "masks": len(masks)}
    json.dump({"classes": names, "items": found}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
