"""Run by the peers' Python: the label maps of labelme's own files, as labelme draws them.

Arguments: a folder of JSON files, a JSON file with the value of each label name, a folder for the arrays ``<stem>.npy``, (H, W)
int32. Prints by stem the number of shapes and the size of the image that labelme found.
"""

import json
import sys
from pathlib import Path

import numpy as np
from labelme._label_file import LabelFile
from labelme.utils import shapes_to_label


def main(folder: str, values: str, target: str) -> None:
    named = json.loads(Path(values).read_text(encoding="utf-8"))
    found = {}
    for path in sorted(Path(folder).rglob("*.json")):
        if path.name.startswith("."):
            continue
        file = LabelFile(str(path))
        height, width = json.loads(path.read_text(encoding="utf-8"))["imageHeight"], json.loads(path.read_text())["imageWidth"]
        labels, _ = shapes_to_label((height, width), file.shapes, named)
        np.save(Path(target) / f"{path.stem}.npy", labels)
        found[path.stem] = {"shapes": len(file.shapes), "image": bool(file.imageData), "size": [width, height]}
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
