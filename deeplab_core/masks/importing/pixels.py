"""Data sets that hold pixels: VOC layout and CVAT's mask archive, Cityscapes, KITTI, ADE20K."""

from __future__ import annotations

import re
import threading
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs import get_catalog, voc_color
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo, Color, is_background, listed_catalog
from deeplab_core.catalogs.lists import Labelmap, parse_labelmap
from deeplab_core.errors import AtrousError, LabelSourceError, MaskFormatError, message
from deeplab_core.images.probe import ImageInfo
from deeplab_core.labels import apply_lut
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.importing.canvas import NOTHING, VOID, Canvas
from deeplab_core.masks.importing.raster import Pen
from deeplab_core.masks.importing.reader import Reader, folder_of, names_below, size_of, text_of
from deeplab_core.masks.importing.records import Entry, SourceClass, Unread
from deeplab_core.masks.importing.source import Source
from deeplab_core.masks.output_marker import RUN_RECORD
from deeplab_core.masks.read import interpret, palette_meaning
from deeplab_core.masks.stored import StoredMask, read_stored
from deeplab_core.reading import decode_text, expecting, whole

_MASKS = (".png", ".tif", ".tiff", ".bmp", ".pgm")


class PixelReader(Reader):
    """Masks in files, with values or colours that are classes of a catalog."""

    parallel = True

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._kept = threading.local()

    def stored(self, name: str) -> StoredMask:
        """Content of a mask file; each thread keeps its last one, because its size is asked for first. Raises MaskFormatError."""
        last: tuple[str, StoredMask] | None = getattr(self._kept, "last", None)
        if last is None or last[0] != name:
            try:
                last = self._kept.last = (name, read_stored(self.source.local(name)))
            except MaskFormatError as problem:
                problem.path = self.source.shown(name)
                raise
        return last[1]

    def content(self, name: str, catalog: ClassCatalog) -> StoredMask:
        """What is interpreted in a catalog: :meth:`stored`, unless the format says more about the file."""
        del catalog
        return self.stored(name)

    def size(self, entry: Entry) -> tuple[int, int] | None:
        return entry.size or self.stored(entry.file).size

    def fill(self, canvas: Canvas, name: str, catalog: ClassCatalog) -> NDArray[np.uint16]:
        """Fill the canvas with a mask file, read by the rules of :func:`read_mask`. Returns the codes."""
        stored = self.content(name, catalog)
        canvas.notes += stored.notes
        labels = interpret(stored, catalog, self.source.shown(name))
        table = np.full(int(np.iinfo(labels.dtype).max) + 1, NOTHING, np.uint16)
        for info in catalog.classes:
            table[info.id] = canvas.code(info.name)
        table[catalog.ignore] = VOID
        codes: NDArray[np.uint16] = np.asarray(apply_lut(labels, table), np.uint16)
        canvas.fill(codes)
        return codes

    def count_objects(self, canvas: Canvas, name: str, least: int = 1, void: int = 255) -> None:
        """Count the objects of a mask of instances beside the mask of classes, if there is one."""
        if not self.source.has(name):
            return
        try:
            values = read_stored(self.source.local(name)).values
        except AtrousError:
            return
        if values is not None and values.shape == canvas.values.shape:
            found = np.unique(values)
            canvas.count_instances([int(value) for value in found if value >= least and value != void])

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        del info, frame
        self.fill(canvas, entry.file, self.catalog(entry))

    def catalog(self, entry: Entry) -> ClassCatalog:
        """What the values of a file mean."""
        raise NotImplementedError


class VocReader(PixelReader):
    """PASCAL VOC layout: masks in ``SegmentationClass``, classes of VOC or of a list beside it."""

    format_key = "voc"
    needs_labelmap = False

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._catalog = self.marked(get_catalog("voc21"))
        self._table: Labelmap | None = None

    @classmethod
    def recognises(cls, source: Source) -> bool:
        photographs = any("JPEGImages" in name.split("/")[:-1] for name in source.names)
        return bool(_class_masks(source)) and cls.needs_labelmap == (
            _named(source, "labelmap.txt") is not None and not photographs
        )

    def scan(self) -> None:
        masks = _class_masks(self.source)
        folders = sorted({_class_folder(name) for name in masks})
        plain = [folder for folder in folders if PurePosixPath(folder).name.lower() == "segmentationclass"]
        kept = [folder for folder in folders if not plain or folder in plain or not any(_beside(folder, one) for one in plain)]
        for folder in sorted(set(folders) - set(kept)):
            self.leave_out(folder, "The masks in SegmentationClass are read")
        labelmap, listed = _named(self.source, "labelmap.txt"), _named(self.source, "class_names.txt")
        if labelmap is not None:
            self._table = _labelmap(self.source, labelmap)
            self._catalog = self._table.catalog
        elif listed is not None:
            self._catalog = _class_names(self.source, listed)
        elif self.needs_labelmap:
            raise LabelSourceError(
                message("the archive has no labelmap.txt"),
                why=message("It names the colours of the classes"),
                remedy=message("Export it again"),
                path=self.source.path,
            )
        self.entries = [
            Entry(names=names_below(name, _class_folder(name)), file=name) for name in masks if _class_folder(name) in kept
        ]
        self.classes = [
            SourceClass(name=info.name, color=info.color, background=info.id == self._catalog.background)
            for info in self._catalog.classes
        ]
        self.declared = self._catalog

    def catalog(self, entry: Entry) -> ClassCatalog:
        table = self._table
        if table is not None and not table.numbered and table.void is not None and self.stored(entry.file).palette is None:
            return replace(self._catalog, file_ignore=table.void)  # without colours, values are places in the table
        return self._catalog

    def content(self, name: str, catalog: ClassCatalog) -> StoredMask:
        stored = self.stored(name)
        if self._table is None or self._table.numbered or stored.palette is None or stored.values is None:
            return stored
        used = np.unique(stored.values)
        if palette_meaning(stored.palette, used, catalog).kind != "partly":
            return stored
        # A table of colours: one that it does not list is an error, not an id.
        return StoredMask(colors=stored.palette[stored.values], notes=stored.notes)

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        super().draw(entry, canvas, info, frame)
        root = PurePosixPath(_class_folder(entry.file))
        self.count_objects(canvas, str(root.with_name("SegmentationObject") / PurePosixPath(entry.file).relative_to(root)))


class CvatMaskReader(VocReader):
    """CVAT's "Segmentation mask 1.1": VOC's layout with ``labelmap.txt`` and without photographs."""

    format_key = "cvat_masks"
    needs_labelmap = True


_CITYSCAPES = re.compile(r"^(?P<stem>.+)_gt(?:Fine|Coarse)_(?P<kind>labelIds\.png|labelTrainIds\.png|polygons\.json)$")
#: Kinds of Cityscapes' label files, the one that is read first.
_KINDS = ("labelIds.png", "polygons.json", "labelTrainIds.png")


class CityscapesReader(PixelReader):
    """Cityscapes: label ids, else the polygons that they are drawn from, else train ids."""

    format_key = "cityscapes"

    @classmethod
    def recognises(cls, source: Source) -> bool:
        return any(_CITYSCAPES.match(PurePosixPath(name).name) for name in source.names)

    def scan(self) -> None:
        found: dict[str, dict[str, str]] = defaultdict(dict)
        for name in self.source.names:
            match = _CITYSCAPES.match(PurePosixPath(name).name)
            if match is not None:
                found[folder_of(name) + match["stem"]][match["kind"]] = name
        for stem, files in found.items():
            kind = next(one for one in _KINDS if one in files)
            try:
                data = self._polygons(files[kind]) if kind == "polygons.json" else None
            except AtrousError as problem:
                self.leave_out(files[kind], problem)
                continue
            size = None if data is None else size_of(data["imgWidth"], data["imgHeight"])
            self.entries.append(Entry(names=(stem,), file=files[kind], size=size, data=kind))
        self.list_counted(_cityscapes_classes(counted=bool(self._regions)))
        self.rest = "unlabeled"

    def _polygons(self, name: str) -> dict[str, Any]:
        with expecting("not a file of polygons", path=self.source.shown(name), error=LabelSourceError):
            values = self.read_json(name)
            for row in values["objects"]:
                if not row.get("deleted"):
                    label = _cityscapes_label(text_of(row["label"]))
                    if label is not None:
                        self.count(label)
            if size_of(values["imgWidth"], values["imgHeight"]) is None:
                raise ValueError("It has no size")
        return dict(values)

    def catalog(self, entry: Entry) -> ClassCatalog:
        return get_catalog("cityscapes19" if entry.data == "labelTrainIds.png" else "cityscapes34")

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        if entry.data != "polygons.json":
            super().draw(entry, canvas, info, frame)
            instances = re.sub(r"label(?:Train)?Ids\.png$", "instanceIds.png", entry.file)
            self.count_objects(canvas, instances, least=1000)
            return
        pen = Pen(canvas.width, canvas.height)
        for number, row in enumerate(self.read_json(entry.file)["objects"]):
            with canvas.drawing("an object"):
                if row.get("deleted"):
                    continue
                label = _cityscapes_label(text_of(row["label"]))
                if label is None:
                    canvas.skip("a license plate", "Cityscapes does not draw it", area=False)
                    continue
                patch = pen.pillow_polygon(pen.points(row["polygon"], least=2), outline=False)
                canvas.paint(label, patch.mask, top=patch.top, left=patch.left, instance=(label, number))


class KittiReader(PixelReader):
    """KITTI semantic: label ids of Cityscapes in ``semantic``, objects in ``instance``."""

    format_key = "kitti"

    @classmethod
    def recognises(cls, source: Source) -> bool:
        folders = {PurePosixPath(name).parent.name for name in source.names}
        return bool(_in_folder(source, "semantic")) and bool(folders & {"image_2", "instance", "semantic_rgb"})

    def scan(self) -> None:
        self.entries = [Entry(names=names_below(name, "semantic"), file=name) for name in _in_folder(self.source, "semantic")]
        self.classes = _cityscapes_classes(counted=False)

    def catalog(self, entry: Entry) -> ClassCatalog:
        del entry
        return get_catalog("cityscapes34")

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        super().draw(entry, canvas, info, frame)
        path = PurePosixPath(entry.file)
        name = str(path.parent.parent / "instance" / path.name)
        if self.source.has(name):
            values = read_stored(self.source.local(name)).values  # class * 256 + number, 0 without instances
            if values is not None:
                canvas.count_instances([int(value) for value in np.unique(values) if value % 256])


class AdeReader(PixelReader):
    """ADE20K as the scene parsing challenge has it: ids in grey PNG, 0 is void; classes of ``objectInfo.txt`` or the 150."""

    format_key = "ade20k"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._catalog = self.marked(get_catalog("ade20k150"))
        self._aliases: dict[str, tuple[str, ...]] = {}

    @classmethod
    def recognises(cls, source: Source) -> bool:
        return bool(_ade_masks(source))

    def scan(self) -> None:
        listed = _object_info(self.source)
        if listed is not None:
            self._read_classes(listed)
        self.declared = self._catalog
        self.entries = [Entry(names=names_below(name, "annotations", 1), file=name) for name in _ade_masks(self.source)]
        self.classes = [
            SourceClass(
                name=info.name, aliases=self._aliases.get(info.name, ()), color=info.color,
                background=info.id == self._catalog.background,
            )
            for info in self._catalog.classes
        ]  # fmt: skip

    def _read_classes(self, name: str) -> None:
        """Classes of the list: a number first and a name, or names between commas, last on every line after the head."""
        shown = self.source.shown(name)
        with expecting("not a list of classes", path=shown, error=LabelSourceError):
            text = decode_text(self.source.read(name, limit=4 << 20), path=shown, error=LabelSourceError)
            rows = [line.split("\t") for line in text.splitlines()[1:] if line.strip()]
            titles = {whole(int(row[0]), least=1): row[-1].strip() for row in rows}
            self._aliases = {title: tuple(part.strip() for part in title.split(",")) for title in titles.values()}
            classes = tuple(ClassInfo(number, title, voc_color(number)) for number, title in titles.items())
            background = next((info.id for info in classes if is_background(info.name)), None)
            self._catalog = ClassCatalog("objectInfo", "objectInfo", classes, background=background, file_ignore=0)

    def catalog(self, entry: Entry) -> ClassCatalog:
        del entry
        return self._catalog


class AdeFullReader(PixelReader):
    """The full ADE20K: ``*_seg.png`` with the class in red and green, the object in blue; names in ``.json`` or ``_atr.txt``."""

    format_key = "ade20k_full"

    @classmethod
    def recognises(cls, source: Source) -> bool:
        return any(name.endswith("_seg.png") for name in source.names)

    def scan(self) -> None:
        names: Counter[str] = Counter()
        for name in self.source.names:
            if name.endswith("_seg.png"):
                try:
                    titles = self._titles(name)
                except AtrousError as problem:
                    self.leave_out(name, problem)
                    continue
                names.update(set(titles.values()))
                stem = name.removesuffix("_seg.png")
                self.entries.append(Entry(names=(stem,), file=name, data=titles))
            elif re.search(r"_parts_\d+\.png$", name):
                self.leave_out(name, "Parts of objects have no place in a label map of objects")
        self.classes = [SourceClass(name=one, aliases=tuple(part.strip() for part in one.split(","))) for one in names]

    def _codes(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(H, W) class number and (H, W) object number."""
        colors = self.stored(name).colors
        if colors is None:
            raise LabelSourceError(
                message("this is not a mask of the full ADE20K"), why=message("It has no colours"), path=self.source.shown(name)
            )
        wide = colors.astype(np.int64)
        return wide[..., 0] // 10 * 256 + wide[..., 1], wide[..., 2]

    def _titles(self, name: str) -> dict[int, str]:
        """Class number -> name for one image."""
        codes, objects = self._codes(name)
        stem = name.removesuffix("_seg.png")
        found: dict[int, str] = {}
        if self.source.has(f"{stem}.json"):
            with expecting("not a list of objects", path=self.source.shown(f"{stem}.json"), error=LabelSourceError):
                for row in self.read_json(f"{stem}.json")["annotation"]["object"]:
                    if not row["parts"]["part_level"]:
                        found[int(row["name_ndx"])] = text_of(row["name"]).strip()
        elif self.source.has(f"{stem}_atr.txt"):
            data = self.source.read(f"{stem}_atr.txt", limit=4 << 20)
            text = decode_text(data, path=self.source.shown(f"{stem}_atr.txt"), error=LabelSourceError)
            present = np.unique(objects)
            for line in text.splitlines():
                fields = [part.strip() for part in line.split("#")]
                number = int(fields[0]) if len(fields) > 3 and fields[0].isascii() and fields[0].isdigit() else len(present)
                if number < len(present) and fields[1] == "0":
                    inside = codes[objects == present[number]]
                    found[int(np.bincount(inside).argmax())] = fields[3]
        present_codes = np.unique(codes)
        return {int(code): found.get(int(code), f"object {code}") for code in present_codes if code}

    def draw(self, entry: Entry, canvas: Canvas, info: ImageInfo, frame: Frame) -> None:
        del info, frame
        codes, objects = self._codes(entry.file)
        table = np.full(max(int(codes.max()), 0) + 1, VOID, np.uint16)
        for code, title in entry.data.items():
            if code < len(table):
                table[code] = canvas.code(title)
        canvas.fill(table[codes])
        canvas.count_instances(np.unique(objects[codes > 0]).tolist())


class MaskReader(PixelReader):
    """Plain masks that are called as their images. They do not name their classes: :attr:`given` does."""

    format_key = "masks"

    @classmethod
    def recognises(cls, source: Source) -> bool:
        return bool(source.with_ending(*_MASKS))

    def scan(self) -> None:
        if self.given is None and self.source.marker is not None:
            self.given = self.source.marker.catalog
        if self.given is None:
            raise LabelSourceError(
                message("plain masks do not name their classes"), why=message("Their values are ids of a catalog"),
                remedy=message("Name the catalog"), option="--mask-classes", path=self.source.path,
            )  # fmt: skip
        masks = [name for name in self.source.with_ending(*_MASKS) if not _is_confidence(name)]
        self.entries = [Entry(names=(_stem(name),), file=name) for name in masks]
        self.declared = self.given
        others = {name for name in self.source.names if PurePosixPath(name).name != RUN_RECORD} - set(masks)
        self.unread = [Unread(name, "It is not a mask") for name in sorted(others)]
        self.classes = [
            SourceClass(name=info.name, color=info.color, background=info.id == self.given.background)
            for info in self.given.classes
        ]

    def catalog(self, entry: Entry) -> ClassCatalog:
        del entry
        assert self.given is not None  # scan() refuses without
        return self.given


READERS: dict[str, type[Reader]] = {
    "masks": MaskReader, "voc": VocReader, "cvat_masks": CvatMaskReader, "cityscapes": CityscapesReader, "kitti": KittiReader,
    "ade20k": AdeReader, "ade20k_full": AdeFullReader,
}  # fmt: skip


def _class_masks(source: Source) -> list[str]:
    return [name for name in source.with_ending(*_MASKS) if _class_folder(name)]


def _class_folder(name: str) -> str:
    """The folder ``SegmentationClass`` that a mask is in, directly or in folders of its own, with a ``/`` behind; else empty."""
    return next((f"{one}/" for one in PurePosixPath(name).parents if one.name.lower().startswith("segmentationclass")), "")


def _in_folder(source: Source, folder: str) -> list[str]:
    return [name for name in source.with_ending(*_MASKS) if PurePosixPath(name).parent.name == folder]


def _object_info(source: Source) -> str | None:
    return _named(source, "objectInfo.txt") or _named(source, "objectInfo150.txt")


def _ade_masks(source: Source) -> list[str]:
    listed = _object_info(source) is not None
    found = []
    for name in source.with_ending(".png"):
        path = PurePosixPath(name)
        plain = "annotations" in path.parts and not re.search(r"_(?:seg|parts_\d+)$", path.stem)
        if plain and (listed or path.name.startswith("ADE_")):
            found.append(name)
    return found


def _is_confidence(name: str) -> bool:
    """Whether a file is a map of confidences that Atrous wrote beside a mask."""
    return PurePosixPath(name).stem.endswith(".confidence")


def _beside(folder: str, other: str) -> bool:
    return PurePosixPath(folder).parent == PurePosixPath(other).parent


def _named(source: Source, file_name: str) -> str | None:
    """The one file of this name nearest to the top, None if there is none."""
    found = [name for name in source.names if PurePosixPath(name).name == file_name]
    return min(found, key=lambda name: (name.count("/"), name), default=None)


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _labelmap(source: Source, name: str) -> Labelmap:
    """Classes of ``labelmap.txt``. Raises LabelSourceError."""
    shown = source.shown(name)
    with expecting("not a list of classes and colours", path=shown, error=LabelSourceError):
        return parse_labelmap(decode_text(source.read(name, limit=4 << 20), path=shown, error=LabelSourceError), shown)


def _class_names(source: Source, name: str) -> ClassCatalog:
    """Classes of ``class_names.txt``, as labelme's own converter writes it: one a line, ids from 0, ``__ignore__`` is void."""
    shown = source.shown(name)
    with expecting("not a list of classes", path=shown, error=LabelSourceError):
        text = decode_text(source.read(name, limit=4 << 20), path=shown, error=LabelSourceError)
        titles = [line.strip() for line in text.splitlines() if line.strip() and line.strip() != "__ignore__"]
        return _catalog(PurePosixPath(name).stem, [(title, voc_color(number)) for number, title in enumerate(titles)])


def _catalog(name: str, rows: list[tuple[str, Color]]) -> ClassCatalog:
    return listed_catalog(name, [ClassInfo(number, title, color) for number, (title, color) in enumerate(rows)])


def _cityscapes_classes(*, counted: bool) -> list[SourceClass]:
    evaluated = set(get_catalog("cityscapes19").names)
    return [
        SourceClass(name=info.name, color=info.color, ignored=info.name not in evaluated, regions=0 if counted else None)
        for info in get_catalog("cityscapes34").classes
    ]


def _cityscapes_label(label: str) -> str | None:
    """Class of an object; ``cargroup`` is a group of cars. None for what Cityscapes never draws."""
    known = get_catalog("cityscapes34").names
    if label not in known and label.endswith("group"):
        label = label.removesuffix("group")
    return None if label == "license plate" else label
