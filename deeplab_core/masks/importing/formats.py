"""The formats of labels that can be read, declared once: the command line, the window and the documentation read this table."""

from __future__ import annotations

from deeplab_core.errors import LabelSourceError
from deeplab_core.masks.importing.records import Format

_OBJECTS = "which object a region belongs to"
_HIDDEN = "what a region hides below another"

#: All formats, in the order in which choices are shown.
FORMATS: tuple[Format, ...] = (
    Format(
        key="labelme", title="labelme JSON", module="labelme", lossless=False, frame="displayed",
        lost=(_OBJECTS, _HIDDEN, "flags and descriptions"),
        rule="Pillow's polygon, rectangle and ellipse; lines 10 px wide, points 5 px around; later shapes cover earlier ones",
        layout="one .json file per image with 'shapes' and 'imagePath'",
    ),
    Format(
        key="xanylabeling", title="X-AnyLabeling JSON", module="labelme", lossless=False, frame="displayed",
        lost=(_OBJECTS, _HIDDEN, "flags, descriptions, attributes and scores"),
        rule="as labelme; turned rectangles as polygons",
        layout="labelme's files whose shapes have 'difficult', 'attributes', 'score' or 'kie_linking'",
    ),
    Format(
        key="isat", title="ISAT JSON", module="labelme", lossless=False,
        lost=(_OBJECTS, _HIDDEN, "layers and notes"),
        rule="pixels inside or on the outline, corners cut to whole numbers; higher layers cover lower ones",
        layout="one .json file per image whose 'info' has the description ISAT",
    ),
    Format(
        key="coco", title="COCO instances", module="coco", lossless=False,
        lost=(_OBJECTS, _HIDDEN, "boxes and key points without an outline"),
        rule="pycocotools; later annotations cover earlier ones, crowds are below all others",
        layout="a .json file with 'images', 'annotations' and 'categories'",
    ),
    Format(
        key="coco_panoptic", title="COCO panoptic", module="coco", lossless=True,
        lost=(_OBJECTS,),
        rule="every pixel has the class of its segment; 0 is void",
        layout="a .json file whose annotations have 'segments_info', and its folder of PNG files",
    ),
)  # fmt: skip

_BY_KEY = {one.key: one for one in FORMATS}


def get_format(key: str) -> Format:
    """The format of a key. Raises LabelSourceError, which lists the keys."""
    if key not in _BY_KEY:
        raise LabelSourceError(f"there is no format '{key}'", remedy=f"Choose one of {', '.join(_BY_KEY)}")
    return _BY_KEY[key]
