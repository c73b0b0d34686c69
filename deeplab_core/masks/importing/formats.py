"""The formats of labels that can be read, declared once: the command line, the window and the documentation read this table."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from deeplab_core.errors import LabelSourceError, message
from deeplab_core.masks.importing.records import Format

if TYPE_CHECKING:
    from deeplab_core.masks.importing.reader import Reader
    from deeplab_core.masks.importing.source import Source

#: Short for the tables below; the window translates what it shows of them.
_ = message

_OBJECTS = _("which object a region belongs to")
_HIDDEN = _("what a region hides below another")

#: All formats, in the order in which choices are shown.
FORMATS: tuple[Format, ...] = (
    Format(
        key="labelme", title=_("labelme JSON"), module="labelme", lossless=False, frame="displayed",
        lost=(_OBJECTS, _HIDDEN, _("flags and descriptions")),
        rule=_("Pillow's polygon, rectangle and ellipse; lines 10 px wide, points 5 px around; later shapes cover earlier ones"),
        layout="one .json file per image with 'shapes' and 'imagePath'",
    ),
    Format(
        key="xanylabeling", title=_("X-AnyLabeling JSON"), module="labelme", lossless=False, frame="displayed",
        lost=(_OBJECTS, _HIDDEN, _("flags, descriptions, attributes and scores")),
        rule=_("as labelme; turned rectangles as polygons"),
        layout="labelme's files with shapes that have 'difficult', 'attributes', 'score' or 'kie_linking'",
    ),
    Format(
        key="isat", title=_("ISAT JSON"), module="labelme", lossless=False,
        lost=(_OBJECTS, _HIDDEN, _("layers and notes")),
        rule=_("pixels inside or on the outline, corners cut to whole numbers; higher layers cover lower ones"),
        layout="one .json file per image with 'info' that has the description ISAT",
    ),
    Format(
        key="coco", title=_("COCO instances"), module="coco", lossless=False,
        lost=(_OBJECTS, _HIDDEN, _("boxes and key points without an outline")),
        rule=_("pycocotools; later annotations cover earlier ones, crowds are below all others"),
        layout="a .json file with 'images', 'annotations' and 'categories'",
    ),
    Format(
        key="coco_panoptic", title=_("COCO panoptic"), module="coco", lossless=True,
        lost=(_OBJECTS,),
        rule=_("every pixel has the class of its segment; 0 is void"),
        layout="a .json file with annotations that have 'segments_info', and its folder of PNG files",
    ),
    Format(
        key="yolo", title=_("YOLO segmentation"), module="yolo", lossless=False, frame="displayed",
        lost=(_OBJECTS, _HIDDEN, _("boxes"), _("holes")),
        rule=_("OpenCV's polygon on whole numbers, cut off; small regions cover large ones"),
        layout="one .txt file per image, and a YAML file with 'names' or classes.txt",
    ),
    Format(
        key="cvat", title=_("CVAT for images 1.1"), module="cvat", lossless=False, frame="displayed",
        lost=(_OBJECTS, _HIDDEN, _("attributes and tags"), _("polylines, points, skeletons and cuboids"), _("tracks")),
        rule=_("polygons and boxes by pycocotools, ellipses by OpenCV, masks as they are; by z_order, then as in the file"),
        layout="annotations.xml",
    ),
    Format(
        key="cvat_masks", title=_("CVAT segmentation mask 1.1"), module="pixels", lossless=True,
        lost=(_OBJECTS,),
        rule=_("every pixel has the class of its colour in labelmap.txt"),
        layout="SegmentationClass with labelmap.txt",
    ),
    Format(
        key="voc", title=_("PASCAL VOC"), module="pixels", lossless=True,
        lost=(_OBJECTS,),
        rule=_("every pixel has the class of its index; 255 is void"),
        layout="SegmentationClass without labelmap.txt",
    ),
    Format(
        key="cityscapes", title=_("Cityscapes gtFine and gtCoarse"), module="pixels", lossless=True, frame="stored",
        lost=(_OBJECTS, _HIDDEN),
        rule=_(
            "label ids, else Pillow's polygons in their order, else train ids; classes that are not evaluated become void where "
            "the project lacks them"
        ),
        layout="*_gtFine_labelIds.png, *_gtFine_polygons.json or *_gtFine_labelTrainIds.png",
    ),
    Format(
        key="kitti", title=_("KITTI semantic"), module="pixels", lossless=True, frame="stored",
        lost=(_OBJECTS,),
        rule=_("label ids of Cityscapes"),
        layout="a folder 'semantic' beside 'image_2', 'instance' or 'semantic_rgb'",
    ),
    Format(
        key="ade20k", title=_("ADE20K scene parsing"), module="pixels", lossless=True,
        lost=(_OBJECTS,),
        rule=_("ids 1 to 150; 0 is void"),
        layout="ADE_*.png in 'annotations'",
    ),
    Format(
        key="ade20k_full", title=_("ADE20K full"), module="pixels", lossless=True,
        lost=(_OBJECTS, _("parts of objects")),
        rule=_("the class is red // 10 * 256 + green; 0 is void; names are those of the .json or _atr.txt file beside"),
        layout="*_seg.png",
    ),
    Format(
        key="supervisely", title=_("Supervisely"), module="supervisely", lossless=False, frame="displayed",
        lost=(_OBJECTS, _HIDDEN, _("tags"), _("points, cuboids and graphs")),
        rule=_("OpenCV's polygon on rounded numbers without its holes, bitmaps as they are; later objects cover earlier ones"),
        layout="meta.json, and one .json file per image with 'objects' and 'size'",
    ),
    Format(
        key="labelstudio", title=_("Label Studio JSON"), module="labelstudio", lossless=False, frame="displayed",
        lost=(_OBJECTS, _HIDDEN, _("how opaque a brush is"), _("all but the last annotation of a task")),
        rule=_(
            "brush masks where alpha is not 0; polygons and rectangles by pycocotools, ellipses by OpenCV; later results cover "
            "earlier ones"
        ),
        layout="a .json file with a list of tasks",
    ),
    Format(
        key="numpy", title=_("NumPy arrays"), module="arrays", lossless=True,
        lost=(_("nothing"),),
        rule=_("every number is an id of the project's classes"),
        layout=".npy and .npz files",
    ),
    Format(
        key="parquet", title=_("parquet of images and masks"), module="arrays", lossless=True, extra="parquet",
        lost=(_("other columns"),),
        rule=_("every number is an id of the project's classes"),
        layout=".parquet files with columns of images and of masks",
    ),
    Format(
        key="binary", title=_("one binary mask per class"), module="layers", lossless=True,
        lost=(_HIDDEN,),
        rule=_(
            "every pixel other than 0 has the class of its folder; later folders cover earlier ones; with a folder "
            "'background', pixels in no mask are void"
        ),
        layout="a folder per class with masks of 0 and 255, at least two classes for each image",
    ),
    Format(
        key="masks", title=_("plain masks"), module="pixels", lossless=True,
        lost=(_("nothing"),),
        rule=_("every pixel has the class of its id or colour; the user, the folder's marker or file names say of which catalog"),
        layout="mask files with the names of their images, if nothing else fits",
    ),
    Format(
        key="datumaro", title=_("others through Datumaro"), module="long_tail", lossless=False, extra="formats", recognised=False,
        lost=(_OBJECTS, _HIDDEN, _("everything but masks and polygons")),
        rule=_("masks as they are, polygons by pycocotools; by z_order"),
        layout="what Datumaro recognises; choose it with --format datumaro",
    ),
)  # fmt: skip

_BY_KEY = {one.key: one for one in FORMATS}


def get_format(key: str) -> Format:
    """The format of a key. Raises LabelSourceError, which lists the keys."""
    if key not in _BY_KEY:
        raise LabelSourceError(
            message("there is no format '{key}'", key=key), remedy=message("Choose one of {formats}", formats=", ".join(_BY_KEY))
        )
    return _BY_KEY[key]


def recognise(source: Source) -> Format:
    """The one format that a source is certainly of.

    Raises:
        LabelSourceError: none fits, or several do; the message lists the candidates.
    """
    last = get_format("masks")  # any picture may be a mask
    fits = [one for one in FORMATS if one.recognised and one is not last and reader_class(one).recognises(source)]
    source.forget_samples()
    if not fits and reader_class(last).recognises(source):
        fits = [last]
    if len(fits) == 1:
        return fits[0]
    if fits:
        listed = ", ".join(f"{one.key} ({one.title})" for one in fits)
        raise LabelSourceError(
            message("these labels may be of several formats"),
            why=message("They look like {listed}", listed=listed),
            remedy=message("Choose one"),
            option="--format",
            path=source.path,
        )
    keys = ", ".join(one.key for one in FORMATS)
    raise LabelSourceError(
        message("these labels are of no known format"),
        why=message("No file of it looks like one that can be read"),
        remedy=message("Choose the format"), option=f"--format {keys}", path=source.path,
    )  # fmt: skip


def reader_class(chosen: Format) -> type[Reader]:
    """The class that reads a format; imported when it is needed."""
    module = import_module(f"deeplab_core.masks.importing.{chosen.module}")
    readers: Mapping[str, type[Reader]] = module.READERS
    return readers[chosen.key]
