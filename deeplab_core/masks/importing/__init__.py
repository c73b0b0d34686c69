"""Labels of other programs: recognise them, map their classes, and read them as label maps.

::

    plan = scan(source, images, find_images(images)).mapped(catalog, {"pavement": "sidewalk"})
    for item in plan.items:
        imported = plan.read(item)
"""

from deeplab_core.masks.importing.formats import FORMATS, get_format, recognise
from deeplab_core.masks.importing.mapping import ClassMapping, MappedClass, map_classes
from deeplab_core.masks.importing.nearby import LABEL_ENDINGS, LabelsNearby, find_labels
from deeplab_core.masks.importing.plan import ImportPlan, scan
from deeplab_core.masks.importing.records import Format, ImportedImage, ImportItem, SourceClass, Unread
from deeplab_core.masks.importing.source import open_source

__all__ = [
    "FORMATS",
    "LABEL_ENDINGS",
    "ClassMapping",
    "Format",
    "ImportItem",
    "ImportPlan",
    "ImportedImage",
    "LabelsNearby",
    "MappedClass",
    "SourceClass",
    "Unread",
    "find_labels",
    "get_format",
    "map_classes",
    "open_source",
    "recognise",
    "scan",
]
