"""Class catalogs: which ids a mask may hold, what they are called and how they look.

An id is a name, never arithmetic: catalogs may have gaps (Cityscapes label ids) and networks number their output channels by
*position* in the catalog, not by id. ``ClassCatalog.ids`` is the one table between the two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import CatalogError, message
from deeplab_core.reading import expecting, shorten, whole

Color = tuple[int, int, int]

#: The value of void/ignore in memory, whatever a catalog's files use.
IGNORE = 255
#: Ignore for catalogs with more than 254 classes, with uint16 maps.
IGNORE_WIDE = 65535


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """One class of a catalog.

    Attributes:
        id: its value in masks.
        name: unique in the catalog.
        color: sRGB, 0..255 each.
        key: one character, or empty.
        aliases: former names, and names of classes that were merged into it: models and files that know them still fit.
    """

    id: int
    name: str
    color: Color
    key: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassCatalog:
    """An ordered list of classes.

    Attributes:
        name: short identifier, e.g. ``"voc21"``.
        title: as shown to users, e.g. ``"PASCAL VOC (21 classes)"``.
        classes: in channel order of a network that predicts this catalog; ids are unique, 0..65534 and never the in-memory
            ignore value.
        file_ignore: the value that stands for void in this catalog's *files* (255 for VOC, 11 for CamVid). In memory void
            is always :attr:`ignore`.
        ignore_color: colour of void in indexed PNG files.
        background: id of the class that the eraser paints, or None where the catalog has no background class.
    """

    name: str
    title: str
    classes: tuple[ClassInfo, ...]
    file_ignore: int = IGNORE
    ignore_color: Color = (224, 224, 192)
    background: int | None = None
    _index: dict[int, int] = field(init=False, repr=False, compare=False, default_factory=dict)
    _wide: bool = field(init=False, repr=False, compare=False, default=False)

    def __post_init__(self) -> None:
        if not self.classes:
            raise CatalogError(
                message("catalog '{name}' has no classes", name=self.name),
                remedy=message("List at least one class: id, name and colour"),
            )
        # Asked for with every dab of a brush, so found once.
        wide = len(self.classes) > IGNORE - 1 or max(info.id for info in self.classes) >= IGNORE
        object.__setattr__(self, "_wide", wide)
        for position, info in enumerate(self.classes):
            if info.id in self._index:
                raise CatalogError(
                    message("catalog '{name}' uses the id {class_id} twice", name=self.name, class_id=info.id),
                    remedy=message("Give every class its own id"),
                )
            if not 0 <= info.id < self.ignore:
                raise CatalogError(
                    message(
                        "catalog '{name}': id {class_id} of '{class_name}' is out of range 0..{highest}",
                        name=self.name,
                        class_id=info.id,
                        class_name=info.name,
                        highest=self.ignore - 1,
                    )
                )
            self._index[info.id] = position
        twice = [name for name, count in Counter(info.name for info in self.classes).items() if count > 1]
        if twice:
            raise CatalogError(
                message("catalog '{name}' has the class '{class_name}' twice", name=self.name, class_name=twice[0]),
                remedy=message("Give every class its own name"),
            )
        if self.background is not None and self.background not in self._index:
            raise CatalogError(
                message(
                    "catalog '{name}': the background id {class_id} is not one of its classes",
                    name=self.name,
                    class_id=self.background,
                )
            )

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def wide(self) -> bool:
        """Whether maps of this catalog are uint16 (more than 254 classes, or an id above 254)."""
        return self._wide

    @property
    def ignore(self) -> int:
        """In-memory value of void: 255, or 65535 for a wide catalog."""
        return IGNORE_WIDE if self.wide else IGNORE

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of label maps of this catalog: uint8, or uint16 for a wide catalog."""
        return np.dtype(np.uint16 if self.wide else np.uint8)

    @property
    def ids(self) -> NDArray[np.int64]:
        """(C,) int64: the id of each network channel."""
        return np.array([info.id for info in self.classes], dtype=np.int64)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in channel order."""
        return tuple(info.name for info in self.classes)

    def index_of(self, class_id: int) -> int:
        """Channel of a class id. Raises CatalogError for an id that is not in the catalog."""
        try:
            return self._index[class_id]
        except KeyError:
            raise CatalogError(
                message("catalog '{name}' has no class with the id {class_id}", name=self.name, class_id=class_id)
            ) from None

    def by_id(self, class_id: int) -> ClassInfo:
        """The class with this id. Raises CatalogError if it does not exist."""
        return self.classes[self.index_of(class_id)]

    def by_name(self, name: str) -> ClassInfo | None:
        """The class of this name, None if it does not exist.

        The exact name comes first, then the same letters and digits whatever the case, then former names
        (:attr:`ClassInfo.aliases`), then the field's synonyms: a catalog that has both a sofa and a couch keeps them apart.
        """
        for spelled, former in ((str, False), (_letters, False), (str, True), (_letters, True)):
            wanted = spelled(name)
            for info in self.classes if wanted else ():
                if any(spelled(known) == wanted for known in (info.aliases if former else (info.name,))):
                    return info
        return self.by_synonym(name)

    def by_synonym(self, name: str) -> ClassInfo | None:
        """The only class with a name that means the same in another data set (:data:`SYNONYMS`), None without one."""
        row = _ROWS.get(_letters(name), ())
        found = [info for info in self.classes if _letters(info.name) in row]
        return found[0] if len(found) == 1 else None

    def index_lut(self) -> NDArray[np.int64]:
        """Lookup table from an in-memory map value to a channel.

        Returns:
            int64 of length 256 (65536 for a wide catalog): channel for an id of the catalog, C for the ignore value and C+1
            for every other value, which no valid map holds.
        """
        lut = np.full(int(self.ignore) + 1, len(self) + 1, dtype=np.int64)
        lut[self.ids] = np.arange(len(self))
        lut[self.ignore] = len(self)
        return lut

    def palette(self) -> NDArray[np.uint8]:
        """(256, 3) uint8 colours by *file* value, as a PNG palette holds them; unused entries are black."""
        table = np.zeros((256, 3), dtype=np.uint8)
        for info in self.classes:
            if info.id < 256:
                table[info.id] = info.color
        if 0 <= self.file_ignore < 256:
            table[self.file_ignore] = self.ignore_color
        return table

    def recolored(self, class_id: int, color: Color) -> ClassCatalog:
        """A copy in which one class has another colour; no pixel of any mask changes."""
        position = self.index_of(class_id)
        classes = list(self.classes)
        classes[position] = replace(classes[position], color=color)
        return replace(self, classes=tuple(classes))

    def with_retired(self, retired: Iterable[ClassInfo]) -> ClassCatalog:
        """A copy with more classes behind these, for reading maps of this catalog's width that may hold their ids."""
        known = replace(self, classes=(*self.classes, *retired))
        object.__setattr__(known, "_wide", self.wide)
        return known

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON or YAML; :meth:`from_dict` is the inverse."""
        return {
            "name": self.name,
            "title": self.title,
            "file_ignore": self.file_ignore,
            "ignore_color": list(self.ignore_color),
            "background": self.background,
            "classes": [
                {
                    "id": info.id,
                    "name": info.name,
                    "color": list(info.color),
                    **({"key": info.key} if info.key else {}),
                    **({"aliases": list(info.aliases)} if info.aliases else {}),
                }
                for info in self.classes
            ],
        }

    @staticmethod
    def from_dict(data: dict[str, Any]) -> ClassCatalog:
        """Build a catalog from :meth:`to_dict`'s form. Raises CatalogError naming what is missing or malformed."""
        remedy = "A catalog has 'name' and 'classes', each class with 'id', 'name' and 'color' [r, g, b]"
        with expecting("not a class catalog", remedy=remedy, error=CatalogError):
            classes = tuple(
                ClassInfo(
                    id=whole(row["id"]),
                    name=_text(row["name"]),
                    color=_color(row["color"]),
                    key=_text(row.get("key", "")),
                    aliases=tuple(_text(alias) for alias in _list(row.get("aliases", ()))),
                )
                for row in data["classes"]
            )
            background = data.get("background")
            return ClassCatalog(
                name=_text(data["name"]),
                title=_text(data.get("title", data["name"])),
                classes=classes,
                file_ignore=whole(data.get("file_ignore", IGNORE)),
                ignore_color=_color(data.get("ignore_color", (224, 224, 192))),
                background=None if background is None else whole(background),
            )


@dataclass(frozen=True, slots=True)
class CatalogMapping:
    """How the classes of one catalog (a model's) become those of another (the project's).

    Attributes:
        pairs: source id -> target id, or None where the class becomes void.
        lut: lookup table that turns a map of the source into one of the target: (256,) for an 8-bit source, (65536,) for a wide
            one, in the target's dtype. Ignore, and whatever the source does not declare, becomes the target's ignore.
        unmatched: names of source classes without a partner. Void only after the user agreed.
    """

    pairs: tuple[tuple[int, int | None], ...]
    lut: NDArray[Any]
    unmatched: tuple[str, ...]

    @property
    def identity(self) -> bool:
        """Whether every class keeps its id."""
        return all(source == target for source, target in self.pairs)


def map_catalogs(source: ClassCatalog, target: ClassCatalog, overrides: dict[int, int | None] | None = None) -> CatalogMapping:
    """Map classes by name; ``overrides`` (source id -> target id or None) come from the user and win."""
    pairs: list[tuple[int, int | None]] = []
    lut = np.full(source.ignore + 1, target.ignore, dtype=target.dtype)
    unmatched: list[str] = []
    chosen = overrides or {}
    for info in source.classes:
        if info.id in chosen:
            partner = chosen[info.id]
        else:
            match = target.by_name(info.name)
            partner = None if match is None else match.id
            if match is None:
                unmatched.append(info.name)
        pairs.append((info.id, partner))
        if partner is not None:
            lut[info.id] = target.by_id(partner).id
    return CatalogMapping(pairs=tuple(pairs), lut=lut, unmatched=tuple(unmatched))


#: Names of one class in different data sets. A name maps to another of its row where the project has exactly one of them.
SYNONYMS: tuple[tuple[str, ...], ...] = (
    ("background", "_background_", "__background__", "bg"),
    ("sidewalk", "pavement", "footpath", "footway"),
    ("vegetation", "tree", "trees"),
    ("rider", "bicyclist", "cyclist"),
    ("person", "pedestrian", "people", "human"),
    ("sofa", "couch"),
    ("tvmonitor", "tv", "television", "tv screen", "television receiver"),
    ("aeroplane", "airplane", "plane"),
    ("motorbike", "motorcycle", "minibike"),
    ("bicycle", "bike"),
    ("pottedplant", "plant"),
    ("diningtable", "table"),
    ("traffic sign", "sign", "sign symbol"),
    ("traffic light", "traffic lights", "traffic signal"),
    ("car", "automobile"),
    ("truck", "lorry"),
    ("pole", "column pole"),
    ("building", "buildings"),
    ("road", "roads"),
    ("windowpane", "window"),
)


def fold_name(name: str) -> str:
    """Class name for comparison: lower case, letters and digits only, common synonyms folded."""
    plain = _letters(name)
    return _ROWS[plain][0] if plain in _ROWS else plain


#: What files of labels call void, in lower case.
_VOID = frozenset({"void", "__ignore__", "_ignore_"})


def is_void(name: str) -> bool:
    """Whether a class name means void (``void``, ``__ignore__``, ``_ignore_``): no class can have it."""
    return name.strip().casefold() in _VOID


def listed_catalog(name: str, classes: Iterable[ClassInfo], *, void: int | None = None) -> ClassCatalog:
    """A catalog of classes as a file lists them, by one rule for names that mean more than a class.

    ``void`` is not a class, see :func:`without_void`. The first class that means the background (:func:`is_background`) is the
    catalog's.

    Args:
        name: of the catalog, and its title.
        classes: with the ids that the file gives them.
        void: value of void in files, if the file states it beside its classes.

    Raises:
        CatalogError: void is named twice, no class is left, or a name or an id occurs twice.
    """
    rows = tuple(classes)
    background = next((info.id for info in rows if is_background(info.name)), None)
    catalog = ClassCatalog(name, name, rows, background=background)
    catalog = replace(catalog, file_ignore=catalog.ignore if void is None else void)
    return without_void(catalog, given=void is not None)


def without_void(catalog: ClassCatalog, *, given: bool) -> ClassCatalog:
    """The catalog without a class that means void: the class's id becomes the value of void in files, its colour void's colour.

    Args:
        given: whether :attr:`ClassCatalog.file_ignore` is what a file says, and no default.

    Raises:
        CatalogError: void is named twice, or no class is left.
    """
    voids = [info for info in catalog.classes if is_void(info.name)]
    if not voids:
        return catalog
    if len(voids) > 1 or (given and catalog.file_ignore != voids[0].id):
        raise CatalogError(
            message("catalog '{name}' says twice what void is", name=catalog.name),
            why=message("Void means that a pixel has no class: '{class_name}' is not a class name", class_name=voids[-1].name),
            remedy=message("Name void once, or rename the class"),
        )
    kept = tuple(info for info in catalog.classes if info is not voids[0])
    rest = replace(catalog, classes=kept, ignore_color=voids[0].color)
    return replace(rest, file_ignore=voids[0].id if voids[0].id <= rest.ignore else rest.ignore)


#: Names that programs give to the pixels outside every object, without case, spaces and underscores.
_BACKGROUND = frozenset({"background", "bg"})


def is_background(name: str) -> bool:
    """Whether a class name means the pixels outside every object: ``background``, ``_background_``, ``BG``."""
    return _letters(name) in _BACKGROUND


def _letters(name: str) -> str:
    return "".join(ch for ch in name.lower() if ch.isalnum())


def parse_color(value: object) -> Color:
    """A colour from ``"#rrggbb"``, ``"rrggbb"`` or three whole numbers of 0..255. Raises TypeError or ValueError."""
    if isinstance(value, str):
        digits = value.removeprefix("#")
        if len(digits) != 6:
            raise ValueError(value)
        red, green, blue = bytes.fromhex(digits)
        return red, green, blue
    return _color(value)


def _color(value: Any) -> Color:
    red, green, blue = (whole(part, least=0, most=255) for part in value)
    return red, green, blue


def _list(value: object) -> list[object] | tuple[object, ...]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{shorten(value)} is not a list")
    return value


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(f"{shorten(value)} is not text")
    return str(value)


#: Letters of a name -> those of all names of its row, in order.
_ROWS = {_letters(name): tuple(map(_letters, row)) for row in SYNONYMS for name in row}
