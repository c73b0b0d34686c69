"""Run by the peers' Python: a data set that Datumaro writes, with masks and images.

Arguments: Datumaro's name of the format, a folder of label maps ``<id>.npy`` (H, W) of class numbers (negative: unlabelled), a
JSON file with the classes as [name, [red, green, blue]] in the order of their numbers, the folder to write.
"""

import json
import sys
from pathlib import Path

import numpy as np
from datumaro import AnnotationType, Dataset, DatasetItem, Image, LabelCategories, Mask, MaskCategories


def main(form: str, maps: str, classes: str, target: str) -> None:
    named = json.loads(Path(classes).read_text(encoding="utf-8"))
    items = []
    for path in sorted(Path(maps).glob("*.npy")):
        labels = np.load(path)
        masks = [Mask(image=labels == number, label=int(number)) for number in np.unique(labels) if number >= 0]
        photograph = np.full((*labels.shape, 3), 128, np.uint8)
        items.append(DatasetItem(id=path.stem, subset="train", media=Image.from_numpy(photograph), annotations=masks))
    categories = {
        AnnotationType.label: LabelCategories.from_iterable(name for name, _ in named),
        AnnotationType.mask: MaskCategories({number: tuple(colour) for number, (_, colour) in enumerate(named)}),
    }
    Dataset.from_iterable(items, categories=categories).export(target, form, save_media=True)
    json.dump([str(path.relative_to(target)) for path in sorted(Path(target).rglob("*")) if path.is_file()], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
