"""Run by the peers' Python, in which Datumaro is installed: Atrous reads a data set through it.

Arguments: the root of the repository, the source, the folder of the images, a JSON file with the classes as names, the folder to
write ``<image>.npy`` into.
"""

import json
import sys
from pathlib import Path

import numpy as np


def main(root: str, source: str, images: str, classes: str, target: str) -> None:
    sys.path.insert(0, root)
    from deeplab_core.catalogs import voc_color
    from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
    from deeplab_core.masks.importing import scan

    names = json.loads(Path(classes).read_text(encoding="utf-8"))
    catalog = ClassCatalog("own", "Own", tuple(ClassInfo(n, name, voc_color(n)) for n, name in enumerate(names)))
    found = sorted(path.relative_to(images).as_posix() for path in Path(images).rglob("*.jpg"))
    plan = scan(source, images, found, format="datumaro").mapped(catalog)
    for item in plan.items:
        np.save(Path(target) / f"{Path(item.name).stem}.npy", plan.read(item, rest="void").labels)
    json.dump({"classes": [one.name for one in plan.classes], "items": [item.name for item in plan.items]}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
