"""From a folder or file of labels to label maps: recognise, list, map the classes, read image by image."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import cast

import numpy as np

from deeplab_core.atomic import atomic_write
from deeplab_core.catalogs import with_default_keys
from deeplab_core.catalogs.catalog import IGNORE, IGNORE_WIDE, ClassCatalog, ClassInfo, is_background, is_void
from deeplab_core.catalogs.colors import class_colors
from deeplab_core.catalogs.editing import add_class
from deeplab_core.errors import (
    AmbiguousFrameError,
    AtrousError,
    LabelSourceError,
    MaskFormatError,
    message,
    one_image,
    plural_message,
)
from deeplab_core.images.file_names import PHOTO_SUFFIXES, split_name
from deeplab_core.images.limits import check_size
from deeplab_core.images.orientation import to_oriented
from deeplab_core.images.probe import ImageInfo, probe_image
from deeplab_core.labels import apply_lut, class_histogram
from deeplab_core.masks.confirmed import Confirmed
from deeplab_core.masks.frames import FRAME_OPTION, Frame, is_ambiguous_frame
from deeplab_core.masks.importing.canvas import NOTHING, VOID, Canvas
from deeplab_core.masks.importing.formats import get_format, reader_class, recognise
from deeplab_core.masks.importing.mapping import ClassMapping, map_classes, one_of_each
from deeplab_core.masks.importing.matching import match
from deeplab_core.masks.importing.reader import Reader
from deeplab_core.masks.importing.records import Entry, Format, ImportedImage, ImportItem, SourceClass, Unread
from deeplab_core.masks.importing.source import Source, is_inside, open_source
from deeplab_core.notes import Note
from deeplab_core.reading import expecting


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    """What an import will do, before it begins. Made by :func:`scan`.

    Attributes:
        source: the labels, as the user named them.
        images: folder of the images.
        format: what the labels are.
        classes: the source's classes with their regions.
        items: images that have labels, in the order of the images.
        without_image: labels that no image belongs to, and why.
        without_labels: images that the source says nothing of.
        unread: files of the source that are not read, and why.
        mapping: what becomes of the classes; None until :meth:`mapped`.
        total: number of images in the folder.
        recorded: classes of the project that an export of Atrous was made from, as the marker beside it has them; else None.
    """

    source: Path
    images: Path
    format: Format
    classes: tuple[SourceClass, ...]
    items: tuple[ImportItem, ...]
    without_image: tuple[Unread, ...] = ()
    without_labels: tuple[str, ...] = ()
    unread: tuple[Unread, ...] = ()
    mapping: ClassMapping | None = None
    total: int = 0
    recorded: ClassCatalog | None = None
    _reader: Reader = field(repr=False, compare=False)

    @property
    def declared(self) -> ClassCatalog | None:
        """The source's classes with the ids that its files hold; None for formats of names or of numbers alone."""
        return self._reader.declared

    def mapped(
        self,
        catalog: ClassCatalog,
        choices: Mapping[str, str] | None = None,
        edited: Mapping[str, int | None] | None = None,
    ) -> ImportPlan:
        """A copy with the classes of ``catalog``; see :func:`map_classes`. ``mapping.unmapped`` lists what is open."""
        return replace(self, mapping=map_classes(self.classes, catalog, choices, edited))

    @property
    def holds_images(self) -> bool:
        """Whether the source holds photographs that :meth:`extract` can write."""
        return any(entry.embedded for entry in self._reader.entries)

    @property
    def uncounted(self) -> bool:
        """Whether classes are open of which only the pixels tell if they occur: see :meth:`settled`."""
        return bool(self._uncounted())

    def settled(self, *, frame: Frame = "auto", progress: Callable[[str], None] | None = None) -> ImportPlan:
        """A copy that asks about no class without a pixel.

        Formats of masks do not count their classes, so every mask is read, until all open classes were found. A mask that cannot
        be read fails when its turn comes.

        Args:
            frame: see :meth:`read`.
            progress: called with the name of each image that was looked into.
        """
        missing = self._uncounted()
        if self.mapping is None or not missing:
            return self
        for item in self.items:
            if not missing:
                break
            with suppress(AtrousError):
                try:
                    canvas = self._drawn(item, frame)[0]
                except AmbiguousFrameError:
                    canvas = self._drawn(item, "oriented")[0]  # the same classes occur in both frames
                for code in np.unique(canvas.values).tolist():
                    missing.pop(code, None)
            if progress is not None:
                progress(item.name)
        return self.without(missing.values())

    def without(self, names: Collection[str]) -> ImportPlan:
        """A copy in which open classes of these names count as classes without a pixel; an image that has one fails."""
        if self.mapping is None:
            return self
        absent = {pair.source.name for pair in self.mapping.pairs if pair.how == "open"}.intersection(names)
        pairs = tuple(replace(pair, how="absent") if pair.source.name in absent else pair for pair in self.mapping.pairs)
        return replace(self, mapping=replace(self.mapping, pairs=pairs))

    def for_image(self, name: str) -> ImportPlan:
        """A copy with the labels of one image alone; a source that holds labels once means this image, whatever it names."""
        items = tuple(item for item in self.items if item.name == name)
        if not items and len(self._reader.entries) == 1:
            items = (ImportItem(name, self._reader.entries[0]),)
        missing = () if items else (name,)
        return replace(self, items=items, without_image=() if items else self.without_image, without_labels=missing)

    def undecided_frames(self, most: int) -> list[str]:
        """Images that fit their labels both as stored and as displayed, so that :meth:`read` needs a frame for them.

        Args:
            most: how many images are looked at, spread over all of them.
        """
        found = []
        for item in self.items[:: max(1, -(-len(self.items) // most))]:
            path = self.images / item.name
            try:
                info = probe_image(path)
                if info.orientation != 1 and info.stored_size == info.size:
                    with one_image(path):
                        self._frame(item, info, "auto")
            except AmbiguousFrameError:
                found.append(item.name)
            except AtrousError:
                continue  # it is named when it is read
        return found

    def _uncounted(self) -> dict[int, str]:
        """Value on the canvas -> name of the open classes with an unknown number of pixels."""
        pairs = () if self.mapping is None else self.mapping.pairs
        unknown = [(code, pair) for code, pair in enumerate(pairs, 1) if pair.how == "open" and pair.source.regions is None]
        return {code: pair.source.name for code, pair in unknown}

    def own_catalog(self, name: str | None = None) -> ClassCatalog:
        """The source's classes as a catalog for a new project.

        An export of Atrous brings its project's own catalog back, and files of ids the ids that they hold. Otherwise ids follow
        the order of the source, but for the background of formats of regions: it has the id 0, whether the source has such a
        class or, because it does not name the class of the rest, gets one.
        Colours are the source's, else those of :func:`class_colors`. Names that differ in case, spaces and punctuation alone are
        one class, called by the first of them.

        Raises:
            LabelSourceError: the source has no classes.
        """
        if not self.classes:
            raise LabelSourceError(
                message("the source names no classes"), remedy=message("Choose the classes"), option="--catalog", path=self.source
            )
        known = self.recorded or self.declared
        if known is not None:
            return self._with_strangers(known)
        regions = any(one.regions is not None for one in self.classes)
        names = one_of_each([one for one in self.classes if _is_class(one)])
        background = next((one.name for one in names if one.background), None)
        if background is None:
            background = next((one.name for one in names if one.name.strip("_") == "background"), None)
        if regions and background is not None:
            names.sort(key=lambda one: one.name != background)  # with the id 0, as where the source does not name it
        if regions and background is None and self._reader.rest is None:
            background = "background"
            names.insert(0, SourceClass(name=background, background=True))
        title = name or self.source.stem
        given = {one.color for one in names if one.color is not None}
        unique = len(given) == sum(one.color is not None for one in names)
        colors = class_colors([(one.name, one.color if unique else None) for one in names])
        numbered = all(one.id is not None for one in names)
        ids = [one.id if numbered and one.id is not None else number for number, one in enumerate(names)]
        rows = zip(ids, names, colors, strict=True)
        classes = tuple(ClassInfo(number, one.name, color) for number, one, color in rows)
        place = None if background is None else next(info.id for info in classes if info.name == background)
        wide = len(classes) > IGNORE - 1 or max(ids) >= IGNORE
        ignore = IGNORE_WIDE if wide else IGNORE
        return with_default_keys(ClassCatalog(name=title, title=title, classes=classes, background=place, file_ignore=ignore))

    def _with_strangers(self, catalog: ClassCatalog) -> ClassCatalog:
        """A known catalog with the classes of the source that it lacks behind its own, for a mapping without questions."""
        kept = tuple(info for info in catalog.classes if not is_void(info.name))
        catalog = replace(catalog, classes=kept) if kept != catalog.classes else catalog
        free = map_classes(one_of_each([one for one in self.classes if _is_class(one)]), catalog).unmapped
        for name in free:
            catalog = add_class(catalog, name).catalog
            if catalog.background is None and is_background(name):
                catalog = replace(catalog, background=catalog.classes[-1].id)
        return catalog if any(info.key for info in catalog.classes) else with_default_keys(catalog)

    def read(self, item: ImportItem, *, rest: str | None = None, frame: Frame = "auto") -> ImportedImage:
        """Read the labels of one image in the project's classes. Several threads may ask; formats that cannot take turns.

        Args:
            rest: name of the class that pixels without a region become, or ``"void"``; None is what the format says, else the
                catalog's background, else void. Masks have no such pixels.
            frame: frame of the photograph that the labels are in; ``"auto"`` tells by the size, then by the format.

        Raises:
            UnmappedClasses: classes are open.
            LabelSourceError, MaskFormatError: the labels cannot be read or do not fit the image.
            AmbiguousFrameError: both frames have the labels' size and the format does not say which one it uses.
            ImageReadError: the header of the image cannot be read.
        """
        mapping = self._checked()
        with one_image(self.images / item.name), self._reader.turn():
            canvas, info, resolved = self._drawn(item, frame)
            with expecting("the labels of this image cannot be read", path=self._shown(item), error=LabelSourceError):
                confirmed = _confirmed(self._reader, item, info, canvas)
            _refuse_absent(canvas, mapping)
            found = _finished(item, canvas, mapping, self._rest(rest), info, resolved)
        return found if confirmed is None else replace(found, provenance=confirmed.codes, reviewed=confirmed.reviewed)

    def _drawn(self, item: ImportItem, frame: Frame) -> tuple[Canvas, ImageInfo, Frame]:
        """The regions of an image, its header, and the frame that they are in. Raises as :meth:`read`."""
        path = self.images / item.name
        with one_image(path):
            info = probe_image(path)
            resolved = self._frame(item, info, frame)
            width, height = info.stored_size if resolved == "stored" else info.size
            canvas = Canvas(width, height, [one.name for one in self.classes])
            with expecting("the labels of this image cannot be read", path=self._shown(item), error=LabelSourceError):
                self._reader.draw(item.entry, canvas, info, resolved)
            if canvas.lost:
                raise _lost(canvas, self._shown(item))
        return canvas, info, resolved

    def rest_name(self, rest: str | None = None) -> str:
        """What pixels without a label become, see :meth:`read`: name of a class, or ``"void"``. Errors as there."""
        found = self._rest(rest)
        return "void" if found is None else self._checked().catalog.by_id(found).name

    def extract(self) -> Iterator[tuple[str, AtrousError | None]]:
        """Write the images that the source itself holds into the folder of the images, if no file has their name.

        Yields:
            (name, None) for every image written, (name, error) for one that was not.
        """
        for entry in self._reader.entries:
            if not entry.embedded or not entry.names:
                continue
            inside = [one for one in entry.names if is_inside(one) and _is_photo(one)]
            name = inside[0] if inside else PurePosixPath(entry.names[0]).name
            try:
                with expecting("its image cannot be read", path=self._reader.source.shown(entry.file), error=LabelSourceError):
                    data = self._reader.embedded(entry)
                yield name, self._write_image(name, data)
            except AtrousError as problem:
                yield name, problem

    def _write_image(self, name: str, data: bytes | None) -> AtrousError | None:
        path = self.images / name
        if not _is_photo(name) or not is_inside(name):
            return LabelSourceError(
                message("this is not a name of an image"), remedy=message("Extract it with the program that wrote it"), path=name
            )
        if path.exists():
            return LabelSourceError(
                message("an image of this name is there already"), remedy=message("Choose another folder"), path=path
            )
        if not data:
            return LabelSourceError(message("the source does not hold this image"), remedy=message("Bring the image"), path=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, data)
        try:
            probe_image(path)
        except AtrousError as problem:
            path.unlink()
            return problem
        return None

    def _checked(self) -> ClassMapping:
        if self.mapping is None:
            raise LabelSourceError(
                message("the classes are not mapped yet"), remedy=message("Choose a catalog first"), path=self.source
            )
        self.mapping.check()
        return self.mapping

    def _rest(self, rest: str | None) -> int | None:
        """Id of the class of pixels without a region, None for void."""
        mapping = self._checked()
        if rest is None and self._reader.rest is not None:
            return next(pair.target for pair in mapping.pairs if pair.source.name == self._reader.rest)
        if rest is None:
            return mapping.catalog.background
        if rest == "void":
            return None
        found = next((info for info in mapping.catalog.classes if info.name == rest), None)
        if found is None:
            raise LabelSourceError(
                message("'{catalog}' has no class '{class_name}'", catalog=mapping.catalog.name, class_name=rest),
                remedy=message("Choose one of {names}", names=", ".join(mapping.catalog.names[:20])),
            )
        return found.id

    def _frame(self, item: ImportItem, info: ImageInfo, frame: Frame) -> Frame:
        size = self._reader.size(item.entry)
        if size is None:
            return "oriented" if frame == "auto" else frame
        check_size(*size, info.path)
        allowed = {"stored": {info.stored_size}, "oriented": {info.size}}.get(frame, {info.stored_size, info.size})
        if size not in allowed:
            raise MaskFormatError(
                message(
                    "the labels are for {width} x {height} px, but the image has {image_width} x {image_height}",
                    width=size[0],
                    height=size[1],
                    image_width=info.width,
                    image_height=info.height,
                ),
                why=message("Labels are never resized, because that would change them"),
                remedy=message("Find the labels that were made for this image"),
                path=self._shown(item),
            )
        if frame != "auto":
            return frame
        if is_ambiguous_frame(size, info):
            recorded = self._reader.source.recorded_frame(item.entry.file) if item.entry.file else None
            return recorded or _told(self.format, info, self._shown(item))
        return "stored" if size == info.stored_size else "oriented"

    def _shown(self, item: ImportItem) -> Path:
        return self._reader.source.shown(item.entry.file) if item.entry.file else self.source


def scan(
    source: str | Path,
    images: str | Path,
    names: Sequence[str],
    *,
    format: str | None = None,  # noqa: A002 -- the word that the user knows
    mask_classes: ClassCatalog | None = None,
) -> ImportPlan:
    """Look at labels of another program: what they are, their classes, and which images they belong to.

    Args:
        source: a folder, a zip file, or a label file.
        images: folder of the images.
        names: paths of the images below it, with ``/``: :func:`deeplab_core.datasets.find_images` lists them.
        format: key of the format; None recognises it.
        mask_classes: what plain masks, which do not name their classes, are made in.

    Raises:
        LabelSourceError: unknown or not certain (the candidates are named), missing or damaged, or the package that reads the
            format is not installed.
    """
    opened = open_source(source)
    chosen = get_format(format) if format is not None else recognise(opened)
    reader = reader_class(chosen)(opened)
    reader.given = mask_classes
    with expecting(f"these labels cannot be read as {chosen.title}", path=opened.path, error=LabelSourceError):
        reader.scan()
    entries = [_recorded_name(opened, entry) for entry in reader.entries]
    items, without_image, without_labels = match(entries, names)
    return ImportPlan(
        source=Path(source), images=Path(images), format=chosen, classes=tuple(reader.classes), items=tuple(items),
        without_image=tuple(without_image), without_labels=tuple(without_labels), unread=tuple(reader.unread),
        recorded=_recorded(opened), total=len(names), _reader=reader,
    )  # fmt: skip


def _recorded(source: Source) -> ClassCatalog | None:
    """Classes of the project that the labels were exported from, as the marker in the folder or above it has them."""
    return None if source.marker is None else source.marker.project_catalog or source.marker.catalog


def _recorded_name(source: Source, entry: Entry) -> Entry:
    if not entry.file:
        return entry
    image = source.recorded_image(entry.file)
    if image is not None:
        return replace(entry, names=(image, *entry.names))
    below = source.below_marker(entry.file)
    stem = str(PurePosixPath(entry.file).with_suffix(""))
    if below is None or entry.names != (stem,):
        return entry
    return replace(entry, names=(stem, str(PurePosixPath(below).with_suffix(""))))


def _confirmed(reader: Reader, item: ImportItem, info: ImageInfo, canvas: Canvas) -> Confirmed | None:
    """Who set the pixels, if the source records it; a damaged record is noted."""
    try:
        return reader.source.confirmed(item.entry.file, item.name, info) if item.entry.file else None
    except MaskFormatError as problem:
        text = message("who set each pixel was not read: {what}", what=problem.what)
        summary = plural_message("has a damaged record of who set each pixel", "have a damaged record of who set each pixel", 1)
        canvas.notes.append(Note("provenance", text, summary, warning=True))
        return None


def _is_photo(name: str) -> bool:
    return split_name(PurePosixPath(name).name)[1] in PHOTO_SUFFIXES


def _told(chosen: Format, info: ImageInfo, shown: Path) -> Frame:
    if chosen.frame == "displayed":
        return "oriented"
    if chosen.frame == "stored":
        return "stored"
    from deeplab_core.errors import AmbiguousFrameError

    raise AmbiguousFrameError(
        message("the labels fit the image both as it is stored and as it is displayed"),
        why=message(
            "{file} has EXIF orientation {orientation}, and {format} does not say which frame it is in",
            file=info.path.name,
            orientation=info.orientation,
            format=chosen.title,
        ),
        remedy=message("Say which frame the labels are in"),
        option=FRAME_OPTION,
        path=shown,
    )


def _is_class(one: SourceClass) -> bool:
    """Whether a class of a source can be one of a new project: it is not void, and the source gives it a name or an id."""
    return not is_void(one.name) and one.id != IGNORE and not one.undeclared


def _lost(canvas: Canvas, shown: Path) -> LabelSourceError:
    """The error for an image that would become empty because nothing of its labels can be drawn."""
    kinds = [part.name if part.count == 1 else f"{part.count:,} x {part.name}" for part in canvas.skipped]
    lines = [f"{kind}: {part.why}" for kind, part in zip(kinds, canvas.skipped, strict=True)]
    return LabelSourceError(
        message("none of the labels of this image can be read"),
        why=message("It has {parts}", parts="; ".join(lines)),
        remedy=message("Export the labels as outlines or masks, or leave the image out"),
        path=shown,
    )


def _refuse_absent(canvas: Canvas, mapping: ClassMapping) -> None:
    """Raise UnmappedClasses where an image holds a class that was taken to occur nowhere."""
    absent = {code: pair.source.name for code, pair in enumerate(mapping.pairs, 1) if pair.how == "absent"}
    found = [absent[code] for code in np.unique(canvas.values).tolist() if code in absent] if absent else []
    if found:
        raise mapping.open_error(found)


def _finished(
    item: ImportItem, canvas: Canvas, mapping: ClassMapping, rest: int | None, info: ImageInfo, frame: Frame
) -> ImportedImage:
    catalog = mapping.catalog
    ignore = catalog.ignore
    lut = np.full(VOID + 1, ignore, catalog.dtype)
    lut[NOTHING] = ignore if rest is None else rest
    for code, pair in enumerate(mapping.pairs, 1):
        lut[code] = ignore if pair.target is None else pair.target
    labels = apply_lut(canvas.values, lut)
    silent = canvas.values == NOTHING
    nothing = int(np.count_nonzero(silent))
    if frame == "stored":
        labels, silent = to_oriented(labels, info.orientation), to_oriented(silent, info.orientation)
    labels = labels if labels.flags.writeable else labels.copy()
    return ImportedImage(
        name=item.name, labels=cast("np.ndarray", labels), catalog=catalog, px=class_histogram(labels, catalog),
        regions=canvas.regions, labelled=labels.size - nothing, unlabelled=nothing, silent=silent if nothing else None,
        overlaps=canvas.overlaps, instances=canvas.instances, skipped=canvas.skipped, notes=tuple(canvas.notes),
    )  # fmt: skip
