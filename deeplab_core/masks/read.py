"""Reading masks and truth: every usual way to store labels becomes one exact label map, or an error that says why not."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.catalog import ClassCatalog, Color, map_catalogs
from deeplab_core.errors import MaskFormatError, message, plural_message
from deeplab_core.images.orientation import to_oriented
from deeplab_core.images.probe import ImageInfo
from deeplab_core.labels import NAMED_VALUES, LabelMap, apply_lut, describe_values, undeclared, value_counts
from deeplab_core.masks.frames import Frame, frame_of, recorded_catalog
from deeplab_core.masks.stored import StoredMask, decode_stored, read_stored
from deeplab_core.notes import Note

#: Classes and parts of ADE20K's full release.
_ADE20K_FULL = re.compile(r"ADE_(?:train|val)_\d{8}_(?:seg|parts_\d+)\.png")
_CITYSCAPES_NAME = re.compile(r"_gt(?:Fine|Coarse)_(labelIds|labelTrainIds|instanceIds|instanceTrainIds)\.png$")
_STRIP_ROWS = 256


@dataclass(frozen=True, slots=True, eq=False)
class MaskData:
    """A mask file that was read.

    Attributes:
        labels: (H, W) C-contiguous label map of the catalog's dtype, writable.
        notes: what was read in an unusual way or left out; :class:`deeplab_core.notes.RunNotes` counts them.
    """

    labels: LabelMap
    notes: tuple[Note, ...] = ()


def read_mask(path: str | Path, catalog: ClassCatalog, info: ImageInfo | None = None, *, frame: Frame = "auto") -> LabelMap:
    """Read a mask file as a label map of ``catalog``.

    - *Indexed* and *grey* files (1 to 64 bit, ``.npy`` too): the stored values are the ids. Floats are read where all are whole
      numbers.
    - An indexed file *contradicts itself* where every used entry has exactly the colour of a class (or void) and at least one
      has the colour of another id than its own: some tool has rebuilt its palette. It is read by its colours, and a note reports
      it; where classes share such a colour it is refused. A palette with a used entry of any other colour says nothing, and the
      values count.
    - *RGB* files: every pixel has exactly the colour of a class or of void.
    - The catalog's void value (``file_ignore``) becomes the in-memory ignore value; no other undeclared value passes.
    - Cityscapes' own file names say which ids they hold: ``*_labelIds.png`` under the catalog cityscapes19 and
      ``*_labelTrainIds.png`` under cityscapes34 are translated by class name, and what the benchmark ignores becomes void.

    Args:
        path: the mask file.
        catalog: what the values mean.
        info: the photograph's header facts; with it the mask comes back in the oriented frame and its size is checked.
        frame: which frame of the photograph the mask is stored in. ``auto`` tells by the size, or by the record that Atrous left
            beside its own masks.

    Returns:
        (H, W) C-contiguous label map of ``catalog.dtype``, writable.

    Raises:
        MaskFormatError: unreadable, undeclared ids or unknown colours (named with their pixel counts), a palette that contradicts
            the ids in colours that classes share, or wrong size.
        AmbiguousFrameError: ``frame`` is ``auto``, both frames have the mask's size, and no record determines which one is meant.
    """
    return load_mask(path, catalog, info, frame=frame).labels


def load_mask(path: str | Path, catalog: ClassCatalog, info: ImageInfo | None = None, *, frame: Frame = "auto") -> MaskData:
    """As :func:`read_mask`, with the notes that belong to the file. Code that reads many masks counts and shows them."""
    path = Path(path)
    return _mask_data(read_stored(path), catalog, info, frame, path)


def decode_mask(
    data: bytes, path: Path, catalog: ClassCatalog, info: ImageInfo | None = None, *, frame: Frame = "auto"
) -> MaskData:
    """As :func:`load_mask`, for a file that is in memory already; ``path`` is what errors name."""
    return _mask_data(decode_stored(data, path), catalog, info, frame, path)


def _mask_data(stored: StoredMask, catalog: ClassCatalog, info: ImageInfo | None, frame: Frame, path: Path) -> MaskData:
    if info is not None:
        _check_frame(stored.size, info, frame, path)
        frame = frame_of(path, stored.size, info, frame)
    labels, notes = _interpret(stored, catalog, path)
    if info is not None and frame == "stored":
        labels = to_oriented(labels, info.orientation)
    return MaskData(labels if labels.flags.writeable else labels.copy(), (*stored.notes, *notes))


def interpret(stored: StoredMask, catalog: ClassCatalog, path: Path) -> LabelMap:
    """What the content of a mask file means in a catalog, by the rules of :func:`read_mask`; ``path`` gives the file's name."""
    return _interpret(stored, catalog, path)[0]


def _interpret(stored: StoredMask, catalog: ClassCatalog, path: Path) -> tuple[LabelMap, list[Note]]:
    if stored.colors is not None and _ADE20K_FULL.fullmatch(path.name):
        raise MaskFormatError(
            message("this is a file of ADE20K's full release, which is not read"),
            why=message("it codes some 3,000 classes and instances in its colours"),
            remedy=message("Use the masks of ADE20K's release for scene parsing, in its folder annotations"),
            path=path,
        )
    named = _CITYSCAPES_NAME.search(path.name)
    if named is None or catalog.name not in ("cityscapes19", "cityscapes34"):
        return _by_catalog(stored, catalog, path)
    if named[1].startswith("instance"):
        raise MaskFormatError(
            message("this file holds instances, not classes"),
            remedy=message("Choose the *_labelIds.png or *_labelTrainIds.png beside it"),
            path=path,
        )
    source = get_catalog("cityscapes34" if named[1] == "labelIds" else "cityscapes19")
    labels, notes = _by_catalog(stored, source, path)
    return (labels if source.name == catalog.name else apply_lut(labels, map_catalogs(source, catalog).lut)), notes


def _by_catalog(stored: StoredMask, catalog: ClassCatalog, path: Path) -> tuple[LabelMap, list[Note]]:
    if stored.colors is not None:
        return _from_colors(stored.colors, catalog, path), []
    assert stored.values is not None
    counts = value_counts(stored.values)
    notes: list[Note] = []
    if stored.palette is not None:
        used = np.flatnonzero(counts)
        meaning = palette_meaning(stored.palette, used, catalog)
        if meaning.kind in ("shared", "renumbered") and _is_our_palette(stored.palette, used, path):
            meaning = PaletteMeaning("other", {})
            text = message("the mask was written by Atrous when its classes had other colours, and is read by its ids")
            summary = plural_message(
                "was written with other colours and read by its ids", "were written with other colours and read by their ids", 1
            )
            notes.append(Note("palette", text, summary))
        if meaning.kind == "shared":
            raise _palette_error(meaning, catalog, path)
        if meaning.kind == "renumbered":
            lut = np.full(len(counts), catalog.ignore, dtype=catalog.dtype)
            lut[list(meaning.labels)] = list(meaning.labels.values())
            return apply_lut(stored.values, lut), [_by_colour_note(meaning, catalog)]
        if meaning.kind == "partly":
            notes.append(_partly_note(meaning, catalog))
    strangers = undeclared(counts, np.append(catalog.ids, catalog.file_ignore))
    if strangers:
        raise MaskFormatError(
            message(
                "the mask holds ids that '{catalog}' does not declare: {ids}",
                catalog=catalog.name,
                ids=describe_values(strangers),
            ),
            why=_why_strange(strangers, counts, catalog),
            remedy=message("Choose the catalog that this mask was made for"),
            path=path,
        )
    return _from_file_values(stored.values, catalog), notes


def _is_our_palette(palette: NDArray[np.uint8], used: NDArray[np.int64], path: Path) -> bool:
    """Whether Atrous wrote the file and the palette is that of the classes it had then: its ids are certain."""
    ours = recorded_catalog(path)
    return ours is not None and palette_meaning(palette, used, ours).kind == "agrees"


def _why_strange(strangers: dict[int, int], counts: NDArray[np.int64], catalog: ClassCatalog) -> str:
    last = int(catalog.ids.max())
    first = int(catalog.ids.min())
    if list(strangers) == [last + 1] and not counts[first]:
        return message(
            "Its void value is {void}; the ids look shifted by one: {found} instead of {ids}",
            void=catalog.file_ignore,
            found=f"{first + 1}..{last + 1}",
            ids=f"{first}..{last}",
        )
    return message("Its void value is {void}", void=catalog.file_ignore)


def _from_file_values(values: LabelMap, catalog: ClassCatalog) -> LabelMap:
    if catalog.file_ignore == catalog.ignore:
        return np.ascontiguousarray(values.astype(catalog.dtype, copy=False))
    lut = np.arange(np.iinfo(values.dtype).max + 1).astype(catalog.dtype)
    if catalog.file_ignore < len(lut):
        lut[catalog.file_ignore] = catalog.ignore
    return apply_lut(values, lut)


PaletteKind = Literal["agrees", "renumbered", "shared", "partly", "other"]


@dataclass(frozen=True, slots=True)
class PaletteMeaning:
    """What the palette of an indexed file says about its ids under a catalog.

    Attributes:
        kind: ``"agrees"``: every used entry has the colour of its own id; ``"renumbered"``: every used entry has the colour of
            one class, and at least one of another id than its own; ``"shared"``: the same, but a colour stands for several
            classes or for several used entries; ``"partly"``: some used entries have the colour of another class, others no
            colour of the catalog;
            ``"other"``: the palette says nothing.
        labels: used entry -> in-memory label by its colour, for ``"renumbered"``.
        wrong: used entries with the colour of another id than their own.
        colors: colour of each of ``wrong``.
        shared: a used colour that stands for several classes, for ``"shared"``.
        equal: used entries that have one colour, for ``"shared"``.
    """

    kind: PaletteKind
    labels: dict[int, int]
    wrong: tuple[int, ...] = ()
    colors: tuple[Color, ...] = ()
    shared: Color | None = None
    equal: tuple[int, ...] = ()


def palette_meaning(palette: NDArray[np.uint8], used: NDArray[np.int64], catalog: ClassCatalog) -> PaletteMeaning:
    """Compare a palette with the ids of a catalog; the length of the table does not matter, only the entries that occur.

    A table that is a plain ramp of greys, as programs write that know no colours, says nothing.

    Args:
        palette: (N, 3) uint8 colours.
        used: (M,) entries that occur in the file, ascending.
        catalog: the catalog of the colours.
    """
    if not used.size or used[-1] >= len(palette) or _is_grey_ramp(palette):
        return PaletteMeaning("other", {})
    owners = _color_table(catalog)
    colored = zip(used.tolist(), palette[used].tolist(), strict=True)
    entries = [(entry, (red, green, blue)) for entry, (red, green, blue) in colored]
    own = {entry: catalog.ignore if entry == catalog.file_ignore else entry for entry, _ in entries}
    wrong = [(entry, color) for entry, color in entries if color in owners and own[entry] not in owners[color]]
    places, colors = tuple(entry for entry, _ in wrong), tuple(color for _, color in wrong)
    if all(color in owners for _, color in entries):
        if not wrong:
            return PaletteMeaning("agrees", {})
        shared = next((color for _, color in entries if len(owners[color]) > 1), None)
        if shared is not None:
            return PaletteMeaning("shared", {}, places, colors, shared)
        by_color: dict[Color, list[int]] = {}
        for entry, color in entries:
            by_color.setdefault(color, []).append(entry)
        equal = next((tuple(same) for same in by_color.values() if len(same) > 1), ())
        if equal:  # read by colour, ids that the file keeps apart would become one class
            return PaletteMeaning("shared", {}, places, colors, equal=equal)
        return PaletteMeaning("renumbered", {entry: next(iter(owners[color])) for entry, color in entries}, places, colors)
    # Black and white are in any table; another class's own colour is not an accident.
    telling = any(len(set(color)) > 1 for color in colors)
    return PaletteMeaning("partly" if telling else "other", {}, places, colors)


def _is_grey_ramp(palette: NDArray[np.uint8]) -> bool:
    """Whether a table of three or more entries rises evenly from black: 0, 1, 2, ... or up to white."""
    last = len(palette) - 1
    if last < 2:
        return False
    grey = np.arange(last + 1)
    steps = {1, 255 // last}
    return any(bool((palette == (grey * step)[:, None]).all()) for step in steps)


def _by_colour_note(meaning: PaletteMeaning, catalog: ClassCatalog) -> Note:
    entry = meaning.wrong[0]
    text = message(
        "the palette contradicts the ids and the mask is read by its colours: entry {entry} has the colour of {names}",
        entry=entry,
        names=_owner_names({meaning.labels[entry]}, catalog),
    )
    summary = plural_message(
        "was read by colour, because the palette contradicts the ids",
        "were read by colour, because the palette contradicts the ids",
        1,
    )
    return Note("by_colour", text, summary, warning=True)


def _partly_note(meaning: PaletteMeaning, catalog: ClassCatalog) -> Note:
    owners = _owner_names(_color_table(catalog)[meaning.colors[0]], catalog)
    text = message(
        "the mask is read by its ids, although entry {entry} has the colour of {owners}", entry=meaning.wrong[0], owners=owners
    )
    summary = plural_message(
        "has colours of other classes in its palette and was read by its ids",
        "have colours of other classes in their palettes and were read by their ids",
        1,
    )
    return Note("palette", text, summary, warning=True)


def _palette_error(meaning: PaletteMeaning, catalog: ClassCatalog, path: Path) -> MaskFormatError:
    table = _color_table(catalog)
    owners = _owner_names(table[meaning.colors[0]], catalog)
    why = message("Entry {entry} has the colour of {owners}", entry=meaning.wrong[0], owners=owners)
    if meaning.shared is not None and meaning.shared != meaning.colors[0]:
        shared = _owner_names(table[meaning.shared], catalog)
        why = message("{why}, and {color} stands for {owners}", why=why, color=meaning.shared, owners=shared)
    if meaning.equal:
        why = message("{why}, and the entries {entries} have one colour", why=why, entries=_listed_entries(meaning.equal))
    return MaskFormatError(
        message("the palette of the mask contradicts its ids, and its colours do not tell the classes apart"),
        why=why,
        remedy=message("Save the ids as a grey PNG again from their source, or give the classes different colours"),
        path=path,
    )


def _listed_entries(entries: tuple[int, ...]) -> str:
    more = f" and {len(entries) - 5} more" if len(entries) > 5 else ""
    return ", ".join(map(str, entries[:5])) + more if more else " and ".join(map(str, entries))


def _owner_names(labels: set[int], catalog: ClassCatalog) -> str:
    return " and ".join("void" if label == catalog.ignore else catalog.by_id(label).name for label in sorted(labels))


def _color_table(catalog: ClassCatalog) -> dict[Color, set[int]]:
    """In-memory values by colour; more than one where classes share a colour."""
    table: dict[Color, set[int]] = {}
    for info in catalog.classes:
        table.setdefault(info.color, set()).add(info.id)
    table.setdefault(catalog.ignore_color, set()).add(int(catalog.ignore))
    return table


def _from_colors(colors: NDArray[np.uint8], catalog: ClassCatalog, path: Path) -> LabelMap:
    table = _color_table(catalog)
    # One entry per 24-bit colour, 0 = unknown, 1 = shared, else label + 2. Untouched pages of the table cost no memory.
    lookup = np.zeros(1 << 24, dtype=np.uint32)
    for (red, green, blue), values in table.items():
        lookup[red << 16 | green << 8 | blue] = next(iter(values)) + 2 if len(values) == 1 else 1
    height, width = colors.shape[:2]
    labels = np.empty((height, width), dtype=catalog.dtype)
    refused: Counter[int] = Counter()
    for start in range(0, height, _STRIP_ROWS):
        rows = colors[start : start + _STRIP_ROWS].astype(np.uint32)
        codes = rows[..., 0] << 16 | rows[..., 1] << 8 | rows[..., 2]
        found = lookup[codes]
        bad = found < 2
        if bad.any():
            strangers, pixels = np.unique(codes[bad], return_counts=True)
            refused.update(dict(zip(strangers.tolist(), pixels.tolist(), strict=True)))
        labels[start : start + _STRIP_ROWS] = found - 2
    if refused:
        grey = bool((colors == colors[..., :1]).all())
        raise _color_error(refused, catalog, table, path, grey=grey)
    return labels


def _color_error(
    refused: Counter[int], catalog: ClassCatalog, table: dict[Color, set[int]], path: Path, *, grey: bool
) -> MaskFormatError:
    names = []
    shared = []
    for code, pixels in refused.most_common(NAMED_VALUES):
        color = (code >> 16, code >> 8 & 255, code & 255)
        names.append(f"{color} ({pixels:,} px)")
        if color in table:
            shared.append(f"{color} stands for {_owner_names(table[color], catalog)}")
    more = len(refused) - len(names)
    return MaskFormatError(
        message(
            "the mask holds colours that '{catalog}' does not tell apart: {colors}",
            catalog=catalog.name,
            colors=message("{names} and {more:,} more", names=", ".join(names), more=more) if more > 0 else ", ".join(names),
        ),
        why="; ".join(shared) or (message("These look like ids repeated in three channels") if grey else ""),
        remedy=message("Save the ids as a grey or indexed PNG")
        if grey or shared
        else message("Choose the catalog that this mask was coloured with"),
        path=path,
    )


def _check_frame(size: tuple[int, int], info: ImageInfo, frame: Frame, path: Path) -> None:
    expected = {"stored": {info.stored_size}, "oriented": {info.size}}.get(frame, {info.stored_size, info.size})
    if size in expected:
        return
    named, other = (message("stored"), message("displayed")) if frame == "stored" else (message("displayed"), message("stored"))
    option = "displayed" if frame == "stored" else "stored"
    if size in (info.stored_size, info.size):  # so the frame was named, and it is the other one
        raise MaskFormatError(
            message(
                "the mask is read as its image is {named}, but its {width} x {height} px fit the image only as it is {other}",
                named=named,
                width=size[0],
                height=size[1],
                other=other,
            ),
            why=message(
                "{file} has EXIF orientation {orientation}, and all masks are read in the frame that was named",
                file=info.path.name,
                orientation=info.orientation,
            ),
            remedy=message("Bring the masks into one frame, or change the frame ('Mask orientation…') if all masks are so"),
            option=f"--mask-frame {option}",
            path=path,
        )
    wanted = " or ".join(f"{width} x {height}" for width, height in sorted(expected))
    raise MaskFormatError(
        message("the mask has {width} x {height} px, but the image has {wanted}", width=size[0], height=size[1], wanted=wanted),
        why=message("Masks are never resized, because that would change labels"),
        remedy=message("Find the mask that was made for this image"),
        path=path,
    )
