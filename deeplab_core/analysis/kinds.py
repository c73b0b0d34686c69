"""The kinds of failure that the board counts, in words and in order."""

from __future__ import annotations

from enum import StrEnum

from deeplab_core.catalogs.catalog import ClassCatalog


class FailureKind(StrEnum):
    """What went wrong. The first three are an exact partition; the others overlap them and each other."""

    BOUNDARY = "boundary"
    EXTENT = "extent"
    SEGMENT = "segment"
    CLASS_SWAP = "class_swap"
    MISSED_OBJECT = "missed_object"
    INVENTED_OBJECT = "invented_object"
    OCCLUDER_CUT = "occluder_cut"
    LOW_VISIBLE = "low_visible"
    SMALL_OBJECT = "small_object"
    BORDER_TRUNCATED = "border_truncated"


#: All kinds; positions in arrays over kinds.
KINDS: tuple[FailureKind, ...] = tuple(FailureKind)
#: Kinds of the partition, in the order of :class:`~deeplab_core.analysis.partition.ErrorPart`.
PARTS: tuple[FailureKind, ...] = KINDS[:3]

#: What a kind means, for display beside a figure.
KIND_TEXT: dict[FailureKind, str] = {
    FailureKind.BOUNDARY: "on the edge of an object that was found (within 1 % of the diagonal)",
    FailureKind.EXTENT: "an object was found, but a part is missing or too much",
    FailureKind.SEGMENT: "a whole region of the class is missing or made up",
    FailureKind.CLASS_SWAP: "an object called another object's class, edges aside",
    FailureKind.MISSED_OBJECT: "an object of which almost nothing was found",
    FailureKind.INVENTED_OBJECT: "an object that does not exist",
    FailureKind.OCCLUDER_CUT: "an object cut by another one, or with a long border to one",
    FailureKind.LOW_VISIBLE: "an object of which less than half can be seen",
    FailureKind.SMALL_OBJECT: "an object of fewer than 32 x 32 px",
    FailureKind.BORDER_TRUNCATED: "an object cut by the image border",
}

#: What the data must say before a kind can be measured; the other kinds need nothing.
KIND_NEEDS: dict[FailureKind, str] = {
    FailureKind.LOW_VISIBLE: "no object's visible share is known; 'atrous inspect --objects' reads it",
}

#: Names of classes that are stuff, not objects, in Cityscapes, CamVid and ADE20K (the words are Caesar et al.'s, 2018).
STUFF_NAMES = frozenset(
    (
        "background", "sky", "building", "road", "sidewalk", "pavement", "vegetation", "terrain", "tree", "wall", "fence",
        "floor", "ceiling", "grass", "earth", "mountain", "water", "sea", "field", "rock", "sand", "path", "runway", "river",
        "hill", "dirt track", "land", "house", "skyscraper", "hovel", "tower", "bridge", "pier", "lake", "waterfall", "stage",
        "grandstand", "stairs", "stairway", "railing", "column", "base", "windowpane", "curtain", "rug", "palm", "plant",
        "flower",
    )
)  # fmt: skip


def things_of(catalog: ClassCatalog) -> frozenset[int]:
    """Ids of the classes that are objects: all but the background and what :data:`STUFF_NAMES` lists.

    Where a catalog would be left without any (its names are all stuff), every class counts as an object.
    """
    found = {
        info.id
        for info in catalog.classes
        if info.id != catalog.background and info.name.lower().replace("_", " ") not in STUFF_NAMES
    }
    return frozenset(found or (int(class_id) for class_id in catalog.ids))
