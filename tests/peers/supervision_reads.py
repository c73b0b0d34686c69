"""Run by the peers' Python: the masks that supervision finds in a YOLO or COCO data set.

Arguments: ``yolo`` or ``coco``, the folder of the images, the folder of the labels or the JSON file, ``data.yaml`` (YOLO only,
else ``-``), a folder for the arrays ``<stem>.npy``, (H, W) int32: the number of the class in the printed list, -1 outside all
masks. Masks are painted in their order.
"""

import json
import sys
from pathlib import Path

import numpy as np
import supervision as sv


def main(form: str, images: str, labels: str, data: str, target: str) -> None:
    if form == "yolo":
        dataset = sv.DetectionDataset.from_yolo(images, labels, data, force_masks=True)
    else:
        dataset = sv.DetectionDataset.from_coco(images, labels, force_masks=True)
    found = {}
    for path, image, detections in dataset:
        painted = np.full(image.shape[:2], -1, np.int32)
        masks = detections.mask if detections.mask is not None else ()
        for mask, number in zip(masks, detections.class_id, strict=True):
            painted[np.asarray(mask, bool)] = number
        np.save(Path(target) / f"{Path(path).stem}.npy", painted)
        found[Path(path).stem] = len(detections)
    json.dump({"classes": list(dataset.classes), "items": found}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
