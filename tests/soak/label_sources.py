"""One small source of every format of labels, for the damage of :mod:`tests.soak.fuzz`."""

from __future__ import annotations

import base64
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from deeplab_core.errors import AtrousError
from deeplab_core.masks.importing import scan
from tests.unit.core.masks.importing.sources import (
    CATALOG,
    HEIGHT,
    SQUARE,
    WIDTH,
    base64_png,
    coco,
    labelme,
    png,
    shape,
    write,
)


def read_labels(source: Path, images: Path, key: str) -> None:
    """Read all labels of a source; classes without a partner become void. Raises AtrousError."""
    plan = scan(source, images, ["a.jpg"], format=key, mask_classes=CATALOG)
    mapping = plan.mapped(CATALOG).mapping
    assert mapping is not None
    mapped = plan.mapped(CATALOG, dict.fromkeys(mapping.unmapped, "void"))
    for item in mapped.items:
        mapped.read(item)
    if not plan.items:
        raise AtrousError("no labels of the image", path=source)
    with tempfile.TemporaryDirectory() as folder:
        list(replace(plan, images=Path(folder)).extract())
    try:
        plan.own_catalog()
        scan(source, images, ["a.jpg"], mask_classes=CATALOG)
    except AtrousError:
        return


def _labels() -> np.ndarray:
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[4:12, 5:20], labels[20:25, 30:] = 1, 2
    return labels


def _labelme(folder: Path) -> list[str]:
    mask = np.zeros((4, 6), np.uint8)
    mask[1:3, 2:5] = 1
    shapes = [
        shape("road", SQUARE), shape("car", [[20, 10], [25, 13]], "mask", mask=base64_png(mask)),
        shape("car", [[8, 9], [12, 9]], "circle"), shape("road", [[1, 1], [9, 9], [20, 3]], "linestrip", group_id=3),
    ]  # fmt: skip
    photograph = base64.b64encode(png(np.zeros((HEIGHT, WIDTH, 3), np.uint8))).decode()
    write(folder / "a.json", labelme("a.jpg", *shapes) | {"imageData": photograph})
    return ["a.json"]


def _isat(folder: Path) -> list[str]:
    info = {"description": "ISAT", "name": "a.jpg", "width": WIDTH, "height": HEIGHT}
    objects = [{"category": "car", "group": 1, "segmentation": SQUARE, "layer": 1.0, "iscrowd": False}]
    write(folder / "a.json", {"info": info, "objects": objects})
    return ["a.json"]


def _coco(folder: Path) -> list[str]:
    from pycocotools import mask as coco_mask

    packed = coco_mask.encode(np.asfortranarray(_labels() == 2, np.uint8))
    rows = [
        {"category_id": 1, "segmentation": [[value for point in SQUARE for value in point]]},
        {"category_id": 2, "segmentation": {"size": [HEIGHT, WIDTH], "counts": packed["counts"].decode()}},
        {"category_id": 2, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [7, 20, WIDTH * HEIGHT - 27]}, "iscrowd": 1},
    ]
    write(folder / "a.json", coco(*rows, names=["a.jpg"]))
    return ["a.json"]


def _panoptic(folder: Path) -> list[str]:
    colors = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colors[..., 0] = _labels() * 7
    values = coco(names=["a.jpg"])
    infos = [{"id": 7, "category_id": 1}, {"id": 14, "category_id": 2}]
    values["annotations"] = [{"image_id": 1, "file_name": "a.png", "segments_info": infos}]
    write(folder / "panoptic.json", values)
    (folder / "panoptic").mkdir()
    Image.fromarray(colors).save(folder / "panoptic/a.png")
    return ["panoptic.json", "panoptic/a.png"]


def _yolo(folder: Path) -> list[str]:
    write(folder / "data.yaml", "path: .\nnames:\n  0: road\n  1: car\n")
    write(folder / "labels/a.txt", "1 0.1 0.1 0.5 0.1 0.5 0.5\n0 0.2 0.2 0.9 0.3 0.5 0.8 0.1 0.7\n0 0.5 0.5 0.1 0.1\n")
    return ["data.yaml", "labels/a.txt"]


_CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><labels><label><name>road</name><color>#ff0000</color></label></labels></task></meta>
<image id="0" name="a.jpg" width="40" height="30"><polygon label="road" points="5,4;20,4;20,15" z_order="1"/>
<box label="car" xtl="2" ytl="3" xbr="8" ybr="9" rotation="30" z_order="0"/><ellipse label="car" cx="30" cy="20" rx="4" ry="6"/>
<mask label="car" rle="2, 3, 1, 4" left="8" top="6" width="5" height="2" z_order="0"/></image></annotations>
"""


def _cvat(folder: Path) -> list[str]:
    write(folder / "annotations.xml", _CVAT)
    with zipfile.ZipFile(folder / "task.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", _CVAT)
    return ["annotations.xml", "task.zip"]


def _cvat_masks(folder: Path) -> list[str]:
    write(folder / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:9,9,9::\ncar:1,2,3::\n")
    (folder / "SegmentationClass").mkdir()
    colors = np.array([(0, 0, 0), (9, 9, 9), (1, 2, 3)], np.uint8)[_labels()]
    Image.fromarray(colors).save(folder / "SegmentationClass/a.png")
    return ["labelmap.txt", "SegmentationClass/a.png"]


def _cityscapes(folder: Path) -> list[str]:
    rows = [{"label": "road", "polygon": SQUARE}, {"label": "cargroup", "polygon": SQUARE[:3]}]
    write(folder / "a_gtFine_polygons.json", {"imgHeight": HEIGHT, "imgWidth": WIDTH, "objects": rows})
    return ["a_gtFine_polygons.json"]


def _kitti(folder: Path) -> list[str]:
    for name, values in (("semantic", _labels() + 7), ("instance", _labels().astype(np.uint16) * 300)):
        (folder / name).mkdir(parents=True)
        Image.fromarray(values).save(folder / name / "a.png")
    return ["semantic/a.png", "instance/a.png"]


def _ade_full(folder: Path) -> list[str]:
    folder.mkdir()
    labels = _labels()
    Image.fromarray(np.stack((labels * 10, labels * 5, labels * 40), axis=-1).astype(np.uint8)).save(folder / "a_seg.png")
    write(folder / "a_atr.txt", '001 # 0 # 0 # road # road # ""\n002 # 0 # 0 # car, auto # car # ""\n')
    return ["a_seg.png", "a_atr.txt"]


def _ade(folder: Path) -> list[str]:
    write(folder / "objectInfo.txt", "Idx\tName\n1\tbackground\n2\troad, street\n3\tcar\n")
    (folder / "annotations/training").mkdir(parents=True)
    Image.fromarray(_labels() + 1).save(folder / "annotations/training/a.png")
    return ["objectInfo.txt", "annotations/training/a.png"]


def _binary(folder: Path) -> list[str]:
    for number, name in ((1, "road"), (2, "car")):
        (folder / name).mkdir(parents=True)
        Image.fromarray(np.where(_labels() == number, 255, 0).astype(np.uint8)).save(folder / name / "a.png")
    return ["road/a.png"]


def _supervisely(folder: Path) -> list[str]:
    data = base64.b64encode(zlib.compress(png((_labels() > 0).astype(np.uint8) * 255))).decode()
    rows = [
        {"classTitle": "car", "geometryType": "polygon", "points": {"exterior": SQUARE, "interior": [SQUARE[:3]]}},
        {"classTitle": "road", "geometryType": "bitmap", "bitmap": {"data": data, "origin": [1, 2]}},
    ]
    write(folder / "meta.json", {"classes": [{"title": "car", "color": "#010203"}, {"title": "road"}]})
    write(folder / "ds/ann/a.jpg.json", {"size": {"height": HEIGHT, "width": WIDTH}, "tags": [], "objects": rows})
    return ["meta.json", "ds/ann/a.jpg.json"]


def _label_studio(folder: Path) -> list[str]:
    from tests.unit.core.masks.importing.test_outlines import packed_brush

    size = {"original_width": WIDTH, "original_height": HEIGHT}
    rows = [
        {"type": "brushlabels", **size, "value": {"brushlabels": ["car"], "format": "rle", "rle": packed_brush(_labels() > 0)}},
        {"type": "polygonlabels", **size, "value": {"polygonlabels": ["road"], "points": [[1, 1], [50, 1], [50, 60]]}},
    ]
    write(folder / "export.json", [{"id": 1, "data": {"image": "/data/a.jpg"}, "annotations": [{"result": rows}]}])
    return ["export.json"]


def _numpy(folder: Path) -> list[str]:
    folder.mkdir()
    np.savez(folder / "a.npz", labels=_labels(), ids=np.arange(3), names=np.array(["background", "road", "car"]))
    return ["a.npz"]


def _parquet(folder: Path) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    folder.mkdir()
    image = {"bytes": png(np.zeros((HEIGHT, WIDTH, 3), np.uint8)), "path": "a.jpg"}
    table = {"image": [image], "mask": [{"bytes": png(_labels()), "path": "a.png"}]}
    parquet.write_table(pa.table(table), folder / "a.parquet")
    return ["a.parquet"]


def _masks(folder: Path) -> list[str]:
    folder.mkdir()
    Image.fromarray(_labels()).save(folder / "a.png")
    return ["a.png"]


#: Key of each format -> what writes its source into a folder and returns the files to damage.
SOURCES: dict[str, Callable[[Path], list[str]]] = {
    "labelme": _labelme, "isat": _isat, "coco": _coco, "coco_panoptic": _panoptic, "yolo": _yolo, "cvat": _cvat,
    "cvat_masks": _cvat_masks, "cityscapes": _cityscapes, "kitti": _kitti, "ade20k": _ade, "ade20k_full": _ade_full,
    "supervisely": _supervisely, "labelstudio": _label_studio, "numpy": _numpy, "binary": _binary, "masks": _masks,
    **({"parquet": _parquet} if find_spec("pyarrow") else {}),
}  # fmt: skip
