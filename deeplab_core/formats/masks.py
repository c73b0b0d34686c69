"""Reading masks and truth: every usual way to store labels becomes one exact label map, or an error that says why not."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deeplab_core.catalog import ClassCatalog, Color, map_catalogs
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import MaskFormatError
from deeplab_core.formats.frames import Frame, frame_of
from deeplab_core.formats.stored import StoredMask, read_stored
from deeplab_core.images.orientation import to_oriented
from deeplab_core.images.probe import ImageInfo
from deeplab_core.labels import NAMED_VALUES, LabelMap, apply_lut, describe_values, undeclared, value_counts

_CITYSCAPES_NAME = re.compile(r"_gt(?:Fine|Coarse)_(labelIds|labelTrainIds|instanceIds|instanceTrainIds)\.png$")
_STRIP_ROWS = 256


def read_mask(path: str | Path, catalog: ClassCatalog, info: ImageInfo | None = None, *, frame: Frame = "auto") -> LabelMap:
    """Read a mask file as a label map of ``catalog``.

    - *Indexed* and *grey* files (1 to 16 bit, ``.npy`` too): the stored values are the ids. An indexed file is read by its
      colours instead where a tool that shrinks palettes has renumbered it: every used entry is a colour of the catalog, and
      the values are undeclared, or the used entries fill the table without a gap and disagree with the ids.
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
        MaskFormatError: unreadable, undeclared ids or unknown colours (named with their pixel counts), or wrong size.
        AmbiguousFrameError: ``frame`` is ``auto``, both frames have the mask's size, and no record says which one is meant.
    """
    path = Path(path)
    stored = read_stored(path)
    if info is not None:
        _check_frame(stored.size, info, frame, path)
        frame = frame_of(path, stored.size, info, frame)
    labels = interpret(stored, catalog, path)
    if info is not None and frame == "stored":
        labels = to_oriented(labels, info.orientation)
    return labels if labels.flags.writeable else labels.copy()


def interpret(stored: StoredMask, catalog: ClassCatalog, path: Path) -> LabelMap:
    """What the content of a mask file means in a catalog, by the rules of :func:`read_mask`; ``path`` gives the file's name."""
    named = _CITYSCAPES_NAME.search(path.name)
    if named is None or catalog.name not in ("cityscapes19", "cityscapes34"):
        return _by_catalog(stored, catalog, path)
    if named[1].startswith("instance"):
        raise MaskFormatError(
            "this file holds instances, not classes",
            remedy="Choose the *_labelIds.png or *_labelTrainIds.png beside it",
            path=path,
        )
    source = get_catalog("cityscapes34" if named[1] == "labelIds" else "cityscapes19")
    labels = _by_catalog(stored, source, path)
    return labels if source.name == catalog.name else apply_lut(labels, map_catalogs(source, catalog).lut)


def _by_catalog(stored: StoredMask, catalog: ClassCatalog, path: Path) -> LabelMap:
    if stored.colors is not None:
        return _from_colors(stored.colors, catalog, path)
    assert stored.values is not None
    counts = value_counts(stored.values)
    allowed = np.append(catalog.ids, catalog.file_ignore)
    strangers = undeclared(counts, allowed)
    if stored.palette is not None:
        renumbered = _renumbered(stored.palette, counts, catalog, bool(strangers))
        if renumbered is not None:
            return apply_lut(stored.values, renumbered)
    if strangers:
        raise MaskFormatError(
            f"the mask holds ids that '{catalog.name}' does not declare: {describe_values(strangers)}",
            why=f"Its void value is {catalog.file_ignore}",
            remedy="Choose the catalog that this mask was made for",
            path=path,
        )
    return _from_file_values(stored.values, catalog)


def _from_file_values(values: NDArray[np.uint8] | NDArray[np.uint16], catalog: ClassCatalog) -> LabelMap:
    if catalog.file_ignore == catalog.ignore:
        return np.ascontiguousarray(values.astype(catalog.dtype, copy=False))
    lut = np.arange(np.iinfo(values.dtype).max + 1).astype(catalog.dtype)
    if catalog.file_ignore < len(lut):
        lut[catalog.file_ignore] = catalog.ignore
    return apply_lut(values, lut)


def _renumbered(
    palette: NDArray[np.uint8], counts: NDArray[np.int64], catalog: ClassCatalog, strange: bool
) -> NDArray[np.uint8] | NDArray[np.uint16] | None:
    """Lookup table from palette entry to label for a file whose palette was rebuilt by a tool; None for ordinary files."""
    used = np.flatnonzero(counts)
    if used[-1] >= len(palette):
        return None
    meaning = _color_table(catalog)
    found = [meaning.get((int(r), int(g), int(b))) for r, g, b in palette[used]]
    if any(len(values or ()) != 1 for values in found):
        return None
    labels = [next(iter(values)) for values in found if values]
    as_ids = [catalog.ignore if int(value) == catalog.file_ignore else int(value) for value in used]
    # Some writers pad the shrunk table to a power of two.
    shrunk = used[-1] == len(used) - 1 and len(palette) <= max(2, 1 << (len(used) - 1).bit_length())
    if not strange and (not shrunk or labels == as_ids):
        return None
    lut = np.full(len(counts), catalog.ignore, dtype=catalog.dtype)
    lut[used] = labels
    return lut


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
        raise _color_error(refused, catalog, table, path)
    return labels


def _color_error(refused: Counter[int], catalog: ClassCatalog, table: dict[Color, set[int]], path: Path) -> MaskFormatError:
    names = []
    shared = []
    for code, pixels in refused.most_common(NAMED_VALUES):
        color = (code >> 16, code >> 8 & 255, code & 255)
        names.append(f"{color} ({pixels:,} px)")
        if color in table:
            owners = [catalog.by_id(value).name if value != catalog.ignore else "void" for value in sorted(table[color])]
            shared.append(f"{color} stands for {' and '.join(owners)}")
    more = len(refused) - len(names)
    grey = all(code >> 16 == code >> 8 & 255 == code & 255 for code in refused)
    return MaskFormatError(
        f"the mask holds colours that '{catalog.name}' does not tell apart: {', '.join(names)}"
        + (f" and {more} more" if more > 0 else ""),
        why="; ".join(shared) or ("These look like ids repeated in three channels" if grey else ""),
        remedy="Save the ids as a grey or indexed PNG"
        if grey or shared
        else "Choose the catalog that this mask was coloured with",
        path=path,
    )


def _check_frame(size: tuple[int, int], info: ImageInfo, frame: Frame, path: Path) -> None:
    expected = {"stored": {info.stored_size}, "oriented": {info.size}}.get(frame, {info.stored_size, info.size})
    if size in expected:
        return
    wanted = " or ".join(f"{width} x {height}" for width, height in sorted(expected))
    raise MaskFormatError(
        f"the mask has {size[0]} x {size[1]} px, but the image has {wanted}",
        why="Masks are never resized, because that would change labels",
        remedy="Find the mask that was made for this image",
        path=path,
    )
