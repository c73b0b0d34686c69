"""The one table of export formats: what each writes, whether every pixel comes back, what it loses, and who else reads it.

Only facts: a format's code is imported when it is used, so that listing the formats needs neither numpy nor OpenCV.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from deeplab_core.errors import ExportError, message

if TYPE_CHECKING:
    from deeplab_core.masks.export.exporter import Exporter

#: Options that formats may have; each is an argument of the format's class.
OptionName = Literal["images", "unmatched_to_void", "unit", "shapes", "tolerance", "min_pixels", "opacity", "contours"]
FormatGroup = Literal["masks", "data sets", "shapes", "pictures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFormat:
    """Facts of one export format.

    Attributes:
        name: what the command line and settings call it.
        title: what users read.
        group: which kind of format it is; choices are shown in this order.
        home: module below this package and class.
        writes: the files, as paths below the target.
        exact: whether every pixel comes back equal: ``"yes"``, or the condition.
        loses: what does not come back, empty for nothing.
        reader: other programs and libraries that read it; those in :attr:`tested` open our files in the tests.
        tested: readers that open our files in the tests.
        options: arguments of the class.
        extra: extra of the package that it needs, empty for none.
        splits: whether the layout has a place for the parts of a data set.
    """

    name: str
    title: str
    group: FormatGroup
    home: str
    writes: str
    exact: str = message("yes")
    loses: str = ""
    reader: str = ""
    tested: tuple[str, ...] = ()
    options: tuple[OptionName, ...] = ()
    extra: str = ""
    splits: bool = False


#: Short for the tables below; the window translates what it shows of them.
_ = message

_UNMATCHED = _("classes without a partner by name are refused, or become void on request")

_TABLE = (
    ExportFormat(
        name="indexed", title=_("Indexed PNG with palette (VOC style)"), group="masks", home="masks:IndexedExporter",
        writes=_("NAME.png: value = class id, palette = class colours"), exact=_("yes; refused for ids above 254"),
        tested=("Pillow", "OpenCV"),
    ),
    ExportFormat(
        name="raw_ids", title=_("Grey PNG of class ids"), group="masks", home="masks:RawIdsExporter",
        writes=_("NAME.png: 8 bit, 16 bit where ids need it"), tested=("Pillow", "OpenCV"),
    ),
    ExportFormat(
        name="ids_16bit", title=_("Grey PNG of class ids, always 16 bit"), group="masks", home="masks:DeepIdsExporter",
        writes=_("NAME.png: 16 bit"), tested=("Pillow", "OpenCV"),
    ),
    ExportFormat(
        name="color", title=_("Colour PNG"), group="masks", home="masks:ColorExporter", writes=_("NAME.png: RGB class colours"),
        exact=_("yes; refused where two classes that occur share a colour"), tested=("Pillow",),
    ),
    ExportFormat(
        name="binary", title=_("One binary mask per class"), group="masks", home="masks:BinaryExporter",
        writes=_("CLASS/NAME.png: 255 where the class is; void is in none"), tested=("Pillow",),
    ),
    ExportFormat(
        name="npy", title=_("NumPy array of class ids"), group="masks", home="masks:NpyExporter",
        writes=_("NAME.npy: (H, W) ids"),
        tested=("NumPy",),
    ),
    ExportFormat(
        name="npz", title=_("NumPy archive: labels, ids, names"), group="masks", home="masks:NpzExporter",
        writes=_("NAME.npz: labels, ids, names, void"), tested=("NumPy",),
    ),
    ExportFormat(
        name="geotiff", title=_("GeoTIFF of class ids"), group="masks", home="georeference:GeoTiffExporter",
        writes=_("NAME.tif with the image's georeference, NAME.tfw"),
        loses=_("ground control points are tags only, not a world file"),
        reader="GDAL, QGIS", tested=("tifffile",),
    ),
    ExportFormat(
        name="voc", title=_("Pascal VOC data set"), group="data sets", home="voc:VocExporter", splits=True, options=("images",),
        writes=_("SegmentationClass, JPEGImages, ImageSets/Segmentation/SPLIT.txt, labelmap.txt"),
        exact=_("yes; refused for ids above 254"), tested=("torchvision", "Datumaro"),
    ),
    ExportFormat(
        name="cityscapes", title=_("Cityscapes data set"), group="data sets", home="cityscapes:CityscapesExporter", splits=True,
        options=("images", "unmatched_to_void"), exact=_("yes, in the classes of Cityscapes"),
        writes=_("gtFine/SPLIT/CITY: labelIds, labelTrainIds, color; leftImg8bit/SPLIT/CITY"), loses=_UNMATCHED,
        tested=("torchvision", "cityscapesScripts"),
    ),
    ExportFormat(
        name="cityscapes_ids", title=_("Cityscapes label ids"), group="data sets", home="cityscapes:CityscapesIdsExporter",
        writes=_("NAME_gtFine_labelIds.png"), exact=_("yes, in the classes of Cityscapes"), loses=_UNMATCHED,
        options=("unmatched_to_void",), tested=("cityscapesScripts",),
    ),
    ExportFormat(
        name="cityscapes_train_ids", title=_("Cityscapes train ids"), group="data sets",
        home="cityscapes:CityscapesTrainIdsExporter", writes=_("NAME_gtFine_labelTrainIds.png"),
        exact=_("yes, in the 19 classes of the benchmark"), loses=_UNMATCHED, options=("unmatched_to_void",),
    ),
    ExportFormat(
        name="ade20k", title=_("ADE20K scene parsing data set"), group="data sets", home="voc:Ade20kExporter", splits=True,
        options=("images",), writes=_("annotations/training, images/training, objectInfo.txt: value n = n-th class, 0 = void"),
        exact=_("yes; refused above 254 classes"), tested=("Pillow",),
    ),
    ExportFormat(
        name="coco_rle", title=_("COCO json with run-length masks"), group="shapes", home="coco:CocoRleExporter", splits=True,
        options=("unit",), writes=_("annotations.json"),
        loses=_("void: other programs see background; Atrous reads it from the file"),
        tested=("pycocotools", "Datumaro", "supervision"),
    ),
    ExportFormat(
        name="coco_instances", title=_("COCO json, a shape for each region"), group="shapes", home="coco:CocoInstancesExporter",
        splits=True, options=("shapes", "tolerance", "min_pixels"), writes=_("annotations.json: polygons or run-length masks"),
        exact=_("yes, without tolerance and least size"),
        loses=_("void: other programs see background; Atrous reads it from the file"),
        tested=("pycocotools", "Datumaro", "supervision"),
    ),
    ExportFormat(
        name="coco_panoptic", title=_("COCO panoptic"), group="shapes", home="panoptic:PanopticExporter", splits=True,
        options=("unit",), writes=_("panoptic_SPLIT/NAME.png, panoptic_SPLIT.json; 0 is void"), tested=("Pillow",),
    ),
    ExportFormat(
        name="labelme", title=_("labelme JSON"), group="shapes", home="labelme:LabelmeExporter",
        options=("shapes", "tolerance", "min_pixels", "images"), writes=_("NAME.json beside its image"),
        exact=_("yes, without tolerance and least size"), tested=("labelme",), reader="X-AnyLabeling",
    ),
    ExportFormat(
        name="yolo", title=_("YOLO segmentation data set"), group="shapes", home="yolo:YoloExporter", splits=True,
        options=("tolerance", "min_pixels", "images"), writes=_("labels/SPLIT/NAME.txt, images/SPLIT, data.yaml"),
        exact=_("yes but void, without tolerance and least size"), loses=_("void becomes background where the classes have one"),
        tested=("supervision",), reader="Ultralytics",
    ),
    ExportFormat(
        name="cvat_images", title=_("CVAT for images 1.1 (XML)"), group="shapes", home="cvat:CvatImagesExporter", splits=True,
        options=("shapes", "tolerance", "min_pixels"), writes=_("annotations.xml: masks or polygons"),
        exact=_("yes but void, without tolerance and least size"), loses=_("void becomes background where the classes have one"),
        tested=("Datumaro",), reader="CVAT",
    ),
    ExportFormat(
        name="cvat_masks", title=_("CVAT segmentation mask 1.1 (zip)"), group="shapes", home="cvat:CvatMasksExporter",
        splits=True,
        writes=_("masks.zip: SegmentationClass, ImageSets, labelmap.txt"),
        exact=_("yes but void; refused where classes share a colour"),
        loses=_("void becomes background where the classes have one"),
        tested=("Datumaro",), reader="CVAT",
    ),
    ExportFormat(
        name="parquet", title=_("Parquet of image and mask pairs"), group="data sets", home="parquet:ParquetExporter",
        splits=True,
        writes=_("data/SPLIT.parquet: columns image and mask"), extra="parquet", tested=("datasets",), reader="pyarrow, pandas",
    ),
    ExportFormat(
        name="overlay", title=_("Overlay picture"), group="pictures", home="overlay:OverlayExporter",
        writes=_("NAME_overlay.png"),
        exact=_("no: a picture to look at"), loses=_("the labels"), options=("opacity", "contours"),
    ),
)  # fmt: skip

#: Every format by name, in the order in which choices are shown.
FORMATS: dict[str, ExportFormat] = {entry.name: entry for entry in _TABLE}


def get_exporter(name: str, **options: object) -> Exporter:
    """An exporter by name; ``options`` as its class documents them.

    Raises:
        ExportError: there is no such format (the message names the choices), or the extra that it needs is not installed.
    """
    if name not in FORMATS:
        raise ExportError(
            message("there is no export format '{name}'", name=name),
            remedy=message("Choose one of {formats}", formats=", ".join(FORMATS)),
        )
    exporter: Exporter = EXPORTERS[name](**options)
    return exporter


class _Classes(Mapping[str, type[Any]]):
    """Format name -> class of its exporter, imported when it is asked for."""

    def __getitem__(self, name: str) -> type[Any]:
        module, _, kind = FORMATS[name].home.partition(":")
        found: type[Any] = getattr(import_module(f"{__package__}.{module}"), kind)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(FORMATS)

    def __len__(self) -> int:
        return len(FORMATS)


#: Every exporter by name, in the order in which choices are shown.
EXPORTERS: Mapping[str, type[Any]] = _Classes()
