"""Run by the peers' Python: what labelme and scikit-image draw.

Arguments: a JSON file with ``height``, ``width`` and ``shapes`` in labelme's form, and the array to write: (shapes, H, W) bool.
A shape of the kind ``closed`` is drawn by scikit-image.
"""

import json
import sys
from pathlib import Path

import numpy as np
from labelme.utils import shape_to_mask
from skimage.draw import polygon


def main(job: str, target: str) -> None:
    wanted = json.loads(Path(job).read_text(encoding="utf-8"))
    shape = (wanted["height"], wanted["width"])
    drawn = np.zeros((len(wanted["shapes"]), *shape), bool)
    for mask, one in zip(drawn, wanted["shapes"], strict=True):
        if one["shape_type"] == "closed":
            points = np.array(one["points"])
            mask[polygon(points[:, 1], points[:, 0], shape)] = True
        else:
            mask[:] = shape_to_mask(shape, one["points"], one["shape_type"])
    np.save(target, drawn)
    json.dump(len(drawn), sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
