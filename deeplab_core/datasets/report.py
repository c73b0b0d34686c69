"""What a data set holds, before a training or a hand-over: class shares, gaps, tiny regions, sizes, duplicates; as one page
without scripts or files beside it.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deeplab_core import __version__
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AtrousError, MaskFormatError
from deeplab_core.images.identity import content_key
from deeplab_core.images.probe import ImageInfo, probe_image
from deeplab_core.labels import LabelMap, undeclared, value_counts
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.read import load_mask
from deeplab_core.masks.stored import read_stored
from deeplab_core.parallel import IsCancelled
from deeplab_core.wording import count, name_some

if TYPE_CHECKING:
    from jinja2 import Template

#: Regions of fewer pixels are called tiny, unless the caller says otherwise.
TINY_PIXELS = 16
#: A class with less than this share of the labelled pixels is called rare.
RARE_SHARE = 0.001
SCHEMA = "atrous-data-set/1"
#: How many names a list on the page shows; the JSON has all of them.
_NAMED = 200


#: How many classes a warning names.
_NAMED_CLASSES = 12
#: How many images of a set of equal ones a warning names.
_NAMED_EQUAL = 3


def _listed(names: Sequence[str], word: str = "and") -> str:
    more = f" {word} {len(names) - _NAMED_CLASSES} more" if len(names) > _NAMED_CLASSES else ""
    return ", ".join(names[:_NAMED_CLASSES]) + more


def _equal(names: Sequence[str]) -> str:
    more = f" = {len(names) - _NAMED_EQUAL} more" if len(names) > _NAMED_EQUAL else ""
    return " = ".join(names[:_NAMED_EQUAL]) + more


@dataclass(frozen=True, slots=True, kw_only=True)
class DataItem:
    """One image of a data set.

    Attributes:
        name: path relative to the folder, with ``/``.
        image: the photograph.
        labels: called when the item's turn comes; (H, W) labels in the oriented frame, or None where the image has none. It may
            raise any AtrousError, which is listed.
        mask: the file that the labels are read from, if there is one; asked for the ids that the catalog does not declare.
        reviewed: whether a user confirmed the labels; None if unknown.
    """

    name: str
    image: Path
    labels: Callable[[], LabelMap | None]
    mask: Path | None = None
    reviewed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassStatistics:
    """One class over the whole data set.

    Attributes:
        id, name, color: as in the catalog.
        pixels: number of its pixels.
        share: of all pixels that have a class, 0..1; None if no pixel has one.
        images: number of images that it occurs in.
        regions: connected regions (8-neighbourhood).
        tiny: regions of fewer pixels than the report's limit.
        median: pixels of its middle region; None without regions.
    """

    id: int
    name: str
    color: tuple[int, int, int]
    pixels: int
    share: float | None
    images: int
    regions: int
    tiny: int
    median: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSetReport:
    """Facts of a data set; see :func:`report_data_set`.

    Attributes:
        title: what the data set is called.
        catalog: its classes.
        tiny_pixels: regions of fewer pixels are tiny.
        images: number of images.
        labelled: images with labels that could be read.
        void_pixels, pixels: void pixels, and all pixels, of the labels.
        classes: per class, in the catalog's order.
        unlabelled: images without labels.
        empty: images with labels that hold no class, or nothing but the background.
        unread: image -> why its labels or pixels cannot be read.
        undeclared: id -> (pixels, images) of values in mask files that the catalog does not declare.
        sizes: (width, height) as displayed -> number of images, most frequent first.
        duplicates: images with the same bytes, and whether their labels differ (None where they cannot be compared).
        unreviewed: images that no user confirmed; None if unknown.
        tiny: image -> number of tiny regions, most first.
    """

    title: str
    catalog: ClassCatalog
    tiny_pixels: int
    images: int
    labelled: int
    void_pixels: int
    pixels: int
    classes: tuple[ClassStatistics, ...]
    unlabelled: tuple[str, ...]
    empty: tuple[str, ...]
    unread: Mapping[str, str]
    undeclared: Mapping[int, tuple[int, int]]
    sizes: Mapping[tuple[int, int], int]
    duplicates: tuple[tuple[tuple[str, ...], bool | None], ...]
    unreviewed: tuple[str, ...] | None
    tiny: Mapping[str, int]
    cancelled: bool = False

    def warnings(self) -> list[str]:
        """What should be looked at before a training, one sentence each."""
        found = []
        missing = [row.name for row in self.classes if not row.pixels]
        rare = [row.name for row in self.classes if row.share is not None and 0 < row.share < RARE_SHARE]
        differing = [_equal(names) for names, differ in self.duplicates if differ is True]
        equal = [_equal(names) for names, differ in self.duplicates if differ is not True]
        for names, thing, what in (
            (list(self.unread), "image", "cannot be read"),
            ([str(number) for number in self.undeclared], "id", "in mask files that the classes do not declare"),
            (list(self.unlabelled), "image", "without labels"),
            (list(self.empty), "image", "with labels that hold nothing but background or void"),
            (differing, "set", "of equal images with different labels"),
            (equal, "set", "of equal images"),
            (list(self.unreviewed or ()), "image", "not reviewed"),
            (list(self.tiny), "image", f"with regions under {self.tiny_pixels} px"),
        ):
            if names:
                found.append(f"{count(len(names), thing)} {what}: {name_some(names, 3)}.")
        if len(self.sizes) > 1:
            found.append(f"Images of {len(self.sizes):,} sizes.")
        if missing:
            found.append(f"No pixel has the class{'' if len(missing) == 1 else 'es'} {_listed(missing)}.")
        if rare:
            found.append(f"Less than {RARE_SHARE:.1%} of the pixels have the class {_listed(rare, 'or')}.")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "format": SCHEMA,
            "program": __version__,
            "title": self.title,
            "catalog": self.catalog.to_dict(),
            "tiny_pixels": self.tiny_pixels,
            "images": self.images,
            "labelled": self.labelled,
            "pixels": self.pixels,
            "void_pixels": self.void_pixels,
            "cancelled": self.cancelled,
            "warnings": self.warnings(),
            "classes": [
                {
                    "id": row.id, "name": row.name, "color": list(row.color), "pixels": row.pixels,
                    "share": row.share, "images": row.images, "regions": row.regions, "tiny_regions": row.tiny,
                    "median_region": row.median,
                }
                for row in self.classes
            ],
            "unlabelled": list(self.unlabelled),
            "empty": list(self.empty),
            "unread": [{"image": name, "why": why} for name, why in self.unread.items()],
            "undeclared": [{"id": value, "pixels": px, "images": images} for value, (px, images) in self.undeclared.items()],
            "sizes": [{"width": size[0], "height": size[1], "images": number} for size, number in self.sizes.items()],
            "duplicates": [{"images": list(names), "labels_differ": differ} for names, differ in self.duplicates],
            "unreviewed": None if self.unreviewed is None else list(self.unreviewed),
            "tiny": [{"image": name, "regions": number} for name, number in self.tiny.items()],
        }  # fmt: skip


@dataclass(slots=True)
class _Tally:
    """Sums over the images so far; only numbers are kept of each image."""

    catalog: ClassCatalog
    tiny_pixels: int
    pixels: Counter[int] = field(default_factory=Counter)
    images: Counter[int] = field(default_factory=Counter)
    regions: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    void: int = 0
    labelled: int = 0
    unlabelled: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    strangers: dict[int, tuple[int, int]] = field(default_factory=dict)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    keys: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    checksums: dict[str, int] = field(default_factory=dict)
    tiny: dict[str, int] = field(default_factory=dict)

    def add(self, item: DataItem) -> None:
        try:
            info = probe_image(item.image)
            self.sizes[info.size] += 1
            self.keys[content_key(item.image)].append(item.name)
        except AtrousError as error:
            self.unread[item.name] = str(error)
            return
        try:
            labels = item.labels()
        except MaskFormatError as error:
            self._add_strangers(item)
            self.unread[item.name] = str(error)
            return
        except AtrousError as error:
            self.unread[item.name] = str(error)
            return
        if labels is None:
            self.unlabelled.append(item.name)
        else:
            self._add_labels(item, labels)

    def _add_strangers(self, item: DataItem) -> None:
        """Count the values of a refused mask file that the catalog does not declare."""
        if item.mask is None:
            return
        try:
            values = read_stored(item.mask).values
        except AtrousError:
            return
        if values is None:
            return
        for value, pixels in undeclared(value_counts(values), np.append(self.catalog.ids, self.catalog.file_ignore)).items():
            before = self.strangers.get(value, (0, 0))
            self.strangers[value] = (before[0] + pixels, before[1] + 1)

    def _add_labels(self, item: DataItem, labels: LabelMap) -> None:
        import cv2

        self.labelled += 1
        self.checksums[item.name] = zlib.crc32(np.ascontiguousarray(labels).data)
        counts = value_counts(labels)
        present = [int(value) for value in np.flatnonzero(counts)]
        tiny = 0
        for value in present:
            if value == self.catalog.ignore:
                self.void += int(counts[value])
                continue
            self.pixels[value] += int(counts[value])
            self.images[value] += 1
            _, _, stats, _ = cv2.connectedComponentsWithStats((labels == value).astype(np.uint8), connectivity=8)
            sizes = stats[1:, cv2.CC_STAT_AREA].tolist()
            self.regions[value] += sizes
            tiny += sum(size < self.tiny_pixels for size in sizes)
        if not set(present) - {int(self.catalog.ignore), self.catalog.background}:
            self.empty.append(item.name)
        if tiny:
            self.tiny[item.name] = tiny


def report_data_set(
    items: Iterable[DataItem],
    catalog: ClassCatalog,
    *,
    title: str,
    tiny_pixels: int = TINY_PIXELS,
    progress: Callable[[str], None] | None = None,
    cancel: IsCancelled | None = None,
) -> DataSetReport:
    """Read every image's header and labels once, and sum up what they hold. An item that cannot be read is listed.

    Args:
        items: the images, each once.
        catalog: the classes of their labels.
        title: what the data set is called.
        tiny_pixels: regions of fewer pixels are counted as tiny.
        progress: called with the name of each image that is done.
        cancel: asked before each image; True ends the report with what was read.
    """
    tally = _Tally(catalog, tiny_pixels)
    reviewed: dict[str, bool | None] = {}
    cancelled = False
    for item in items:
        if cancel is not None and cancel():
            cancelled = True
            break
        reviewed[item.name] = item.reviewed
        tally.add(item)
        if progress is not None:
            progress(item.name)
    known = [name for name, state in reviewed.items() if state is not None]
    return DataSetReport(
        title=title,
        catalog=catalog,
        tiny_pixels=tiny_pixels,
        images=len(reviewed),
        labelled=tally.labelled,
        void_pixels=tally.void,
        pixels=sum(tally.pixels.values()) + tally.void,
        classes=_class_statistics(tally),
        unlabelled=tuple(tally.unlabelled),
        empty=tuple(tally.empty),
        unread=tally.unread,
        undeclared=dict(sorted(tally.strangers.items())),
        sizes=dict(sorted(tally.sizes.items(), key=lambda pair: (-pair[1], pair[0]))),
        duplicates=_duplicates(tally),
        unreviewed=tuple(name for name in known if not reviewed[name]) if known else None,
        tiny=dict(sorted(tally.tiny.items(), key=lambda pair: (-pair[1], pair[0]))),
        cancelled=cancelled,
    )


def _class_statistics(tally: _Tally) -> tuple[ClassStatistics, ...]:
    total = sum(tally.pixels.values())
    return tuple(
        ClassStatistics(
            id=info.id,
            name=info.name,
            color=info.color,
            pixels=tally.pixels[info.id],
            share=tally.pixels[info.id] / total if total else None,
            images=tally.images[info.id],
            regions=len(tally.regions.get(info.id, ())),
            tiny=sum(size < tally.tiny_pixels for size in tally.regions.get(info.id, ())),
            median=float(np.median(tally.regions[info.id])) if tally.regions.get(info.id) else None,
        )
        for info in tally.catalog.classes
    )


def _duplicates(tally: _Tally) -> tuple[tuple[tuple[str, ...], bool | None], ...]:
    found = []
    for names in tally.keys.values():
        if len(names) > 1:
            sums = [tally.checksums.get(name) for name in names]
            differ = None if None in sums else len(set(sums)) > 1
            found.append((tuple(sorted(names)), differ))
    return tuple(sorted(found))


def items_of_masks(
    folder: Path, images: Sequence[str], masks: Mapping[str, Path], catalog: ClassCatalog, *, frame: Frame = "auto"
) -> list[DataItem]:
    """The items of a folder of images with mask files as labels.

    Args:
        folder: of the images.
        images: their names relative to it, with ``/``.
        masks: image -> its mask file; images without an entry have no labels.
        catalog: the classes of the masks.
        frame: frame of the photographs that the masks are stored in.
    """

    def reader(image: Path, mask: Path | None) -> Callable[[], LabelMap | None]:
        def read() -> LabelMap | None:
            if mask is None:
                return None
            info: ImageInfo = probe_image(image)
            return load_mask(mask, catalog, info, frame=frame).labels

        return read

    return [
        DataItem(name=name, image=folder / name, labels=reader(folder / name, masks.get(name)), mask=masks.get(name))
        for name in images
    ]


def report_page(report: DataSetReport) -> str:
    """The page as text. Names out of files are escaped."""
    largest = max((row.share or 0 for row in report.classes), default=0) or 1
    lists = [
        ("Images without labels", report.unlabelled),
        ("Images without any class but the background", report.empty),
        ("Images that are not reviewed", report.unreviewed or ()),
    ]
    page: str = _template().render(
        report=report,
        warnings=report.warnings(),
        largest=largest,
        lists=[(title, names) for title, names in lists if names],
        named=_NAMED,
    )
    return page


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["spaced"] = lambda number: f"{number:,}".replace(",", "\u202f")
    environment.filters["percent"] = _percent
    source = resources.files("deeplab_core.datasets") / "report.html"
    return environment.from_string(source.read_text(encoding="utf-8"))


def _percent(share: float | None) -> str:
    if share is None:
        return "not measured"
    return "0 %" if not share else "under 0.1 %" if share < 0.0005 else f"{share * 100:.1f} %"
