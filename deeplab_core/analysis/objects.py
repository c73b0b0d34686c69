"""Objects: connected truth regions of countable classes, how they were predicted and what stands around them.

Label maps know no instances. An object here is an 8-connected region of one class of the truth; a void ring, as VOC has it,
separates neighbours of one class, without one they are a single region. Where the data says more (rendered rooms: box and visible
fraction of every object) it is matched by class and box.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.slices import contrast_strips, whole_values
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import MaskFormatError
from deeplab_core.geometry import Box, strips
from deeplab_core.labels import LabelMap
from deeplab_core.metrics.distance import fill_void
from deeplab_core.reading import expecting, read_json
from deeplab_core.regions import Mask, Regions, find_regions

#: How far a truth region may reach beyond the box that the data gives, px: void rings move outlines.
_BOX_SLACK = 2
#: Largest list of objects that is read.
_MOST_BYTES = 64 << 20

#: One row per object of the truth; 64 bytes. Shares and fractions are nan where unknown.
OBJECT = np.dtype(
    [
        ("class_id", "<u2"),  # of the truth
        ("called", "<u2"),  # id that most of its pixels were given; void where that is void
        ("x", "<u2"),
        ("y", "<u2"),
        ("width", "<u2"),
        ("height", "<u2"),
        ("anchor_x", "<u2"),  # one pixel of it
        ("anchor_y", "<u2"),
        ("pixels", "<u4"),
        ("right", "<u4"),  # pixels given its class
        ("swapped", "<u4"),  # pixels given another object class
        ("false", "<u4"),  # wrong pixels of predicted regions of its class that overlap it more than any other object
        ("border_share", "<f4"),  # share of its outline that another class of object shares
        ("same_share", "<f4"),  # share of its outline that another object of its class shares
        ("visible_fraction", "<f4"),  # visible pixels over its whole silhouette
        ("brightness", "<f4"),  # mean luma, 0..255
        ("contrast", "<f4"),  # mean local contrast, see slices.contrast_map
        ("parts", "<u2"),  # pieces that the thing in front of it leaves; 1 = whole
        ("truncated", "?"),  # cut by the image border
        ("spare", "V1"),
    ]
)
#: Points of a region that a search for the shortest way between two of them looks at.
_POINTS = 256
#: Neighbours of one occluder that are looked at in pairs; a crowd behind one table needs no more.
_CROWD = 12
#: Specks smaller than this are not a piece of an object, px.
_PIECE_PX = 16


@dataclass(frozen=True, slots=True)
class KnownObject:
    """What the data records about an object: class, box of its visible pixels, their number and share, cut by the border."""

    class_id: int
    box: Box
    visible_px: int
    visible_fraction: float
    truncated: bool


@dataclass(frozen=True, slots=True, eq=False)
class ObjectTable:
    """Objects of the truth and regions of the prediction of one image; row n is number n + 1 in its map.

    Attributes:
        numbers: (H, W) which object holds each pixel; 0 on stuff and void. uint16 where that suffices, or int32.
        rows: (N,) of :data:`OBJECT`.
        called_numbers: (H, W) which predicted region of an object class holds each pixel; 0 elsewhere. Of the same types.
        called_ids: (M,) int64 class id of each predicted region.
        called_scored: (M,) int64 its pixels on labelled truth.
        called_right: (M,) int64 its right pixels.
        called_on_stuff: (M,) int64 its pixels on truth that is not an object class.
        called_owner: (M,) int64 number of the object of its class that it overlaps most; 0 if none.
    """

    numbers: NDArray[np.uint16] | NDArray[np.int32]
    rows: NDArray[Any]
    called_numbers: NDArray[np.uint16] | NDArray[np.int32]
    called_ids: NDArray[np.int64]
    called_scored: NDArray[np.int64]
    called_right: NDArray[np.int64]
    called_on_stuff: NDArray[np.int64]
    called_owner: NDArray[np.int64]


def find_objects(
    *,
    truth: LabelMap,
    prediction: LabelMap,
    catalog: ClassCatalog,
    things: frozenset[int],
    known: Sequence[KnownObject] = (),
    brightness: NDArray[np.uint8] | None = None,
) -> ObjectTable:
    """Find the objects of the truth and how each was predicted.

    Args:
        truth, prediction: (H, W) ids of one shape, checked.
        catalog: the classes.
        things: ids of object classes (:func:`~deeplab_core.analysis.kinds.things_of`).
        known: properties of its objects from the data.
        brightness: (H, W) luma of the image. Contrast: see :func:`measure_contrast`.
    """
    ignore = catalog.ignore
    is_thing = np.zeros(ignore + 1, dtype=bool)
    is_thing[list(things)] = True
    regions = find_regions(truth, truth != ignore)
    countable = is_thing[regions.values]
    number_of = np.zeros(len(regions) + 1, dtype=np.int32)
    number_of[1:][countable] = np.arange(1, int(countable.sum()) + 1)
    kind = fill_void(_small(regions.numbers, len(regions)), 0)
    numbers = _small(regions.numbers, len(number_of) - 1, number_of)
    regions = replace(regions, numbers=np.zeros((0, 0), np.int32))  # the largest map of all
    rows = _rows_of(regions, countable)
    around = contacts(kind, regions.values, countable)
    rows["border_share"], rows["same_share"] = around.foreign_share[countable], around.same_share[countable]
    rows["parts"] = around.parts[countable]
    rows["truncated"] = touches_border(kind, len(regions))[countable]
    del kind
    called = find_regions(prediction, is_thing[prediction])
    called_numbers = _small(called.numbers, len(called))
    called = replace(called, numbers=regions.numbers)

    def labelled(strip: slice) -> Mask:
        found: Mask = truth[strip] != ignore
        return found

    def right(strip: slice) -> Mask:
        found: Mask = labelled(strip) & (truth[strip] == prediction[strip])
        return found

    rows["right"] = _count(numbers, right, len(rows))
    rows["swapped"] = _count(numbers, lambda strip: labelled(strip) & ~right(strip) & is_thing[prediction[strip]], len(rows))
    rows["called"] = _majority(numbers, prediction, len(rows), catalog)
    scored = _count(called_numbers, labelled, len(called))
    hits = _count(called_numbers, right, len(called))
    owner = _owners(numbers, called_numbers, right, len(rows), len(called))
    rows["false"] = np.bincount(owner, weights=scored - hits, minlength=len(rows) + 1)[1:]
    rows["visible_fraction"] = rows["contrast"] = rows["brightness"] = np.nan
    _match_known(rows, known)
    if brightness is not None:
        rows["brightness"] = _count(numbers, lambda strip: brightness[strip], len(rows)) / np.maximum(rows["pixels"], 1)
    on_stuff = _count(called_numbers, lambda strip: labelled(strip) & ~is_thing[truth[strip]], len(called))
    return ObjectTable(numbers, rows, called_numbers, called.values, scored, hits, on_stuff, owner)


def measure_contrast(brightness: NDArray[np.uint8], objects: ObjectTable) -> NDArray[np.uint8]:
    """(H, W) local contrast of an image in whole numbers, 0..255; its mean over each object is written into the object's row.

    Args:
        brightness: (H, W) luma.
        objects: of the same image.
    """
    whole = np.empty(brightness.shape, dtype=np.uint8)
    sums = np.zeros(len(objects.rows) + 1)
    for strip, contrast in contrast_strips(brightness):
        whole[strip] = whole_values(contrast)
        sums += np.bincount(objects.numbers[strip].ravel(), weights=contrast.ravel(), minlength=len(sums))
    objects.rows["contrast"] = sums[1:] / np.maximum(objects.rows["pixels"], 1)
    return whole


def read_known_objects(path: Path | str, catalog: ClassCatalog) -> tuple[KnownObject, ...]:
    """Read the list of objects that rendered rooms have beside every image (``objects/NAME.json``).

    Objects of which nothing can be seen, and VOC classes that the catalog does not know, are left out.

    Raises:
        MaskFormatError: the file cannot be read or is no such list.
    """
    path = Path(path)
    remedy = "Leave --objects out, or point it at the objects folder of rendered rooms"
    data = read_json(path, limit=_MOST_BYTES, what="the list of objects", remedy=remedy, error=MaskFormatError)
    with expecting("not a list of objects", path=path, remedy=remedy, error=MaskFormatError):
        known = set(catalog.ids.tolist())
        return tuple(
            KnownObject(
                class_id=int(row["voc_id"]),
                box=Box.between(*(int(edge) for edge in row["box"][:4])),
                visible_px=int(row["visible_px"]),
                visible_fraction=float(row["visible_fraction"]),
                truncated=bool(row["truncated"]),
            )
            for row in data["objects"]
            if row["box"] is not None and int(row["voc_id"]) in known
        )


def _rows_of(regions: Regions, countable: NDArray[np.bool_]) -> NDArray[Any]:
    rows = np.zeros(int(countable.sum()), dtype=OBJECT)
    rows["class_id"] = regions.values[countable]
    for name, column in zip(("x", "y", "width", "height"), regions.boxes[countable].T, strict=True):
        rows[name] = column
    rows["anchor_x"], rows["anchor_y"] = regions.anchors[countable].T
    rows["pixels"] = regions.pixels[countable]
    return rows


def _small(numbers: NDArray[np.int32], most: int, table: NDArray[np.int32] | None = None) -> NDArray[Any]:
    """(H, W) numbers of at most ``most``, looked up in a table if there is one, in as few bytes as hold them."""
    found = np.empty(numbers.shape, dtype=np.uint16 if most < 1 << 16 else np.int32)
    for strip in strips(numbers.shape):
        found[strip] = numbers[strip] if table is None else table[numbers[strip]]
    return found


def _count(numbers: NDArray[Any], what: Callable[[slice], NDArray[Any]], rows: int) -> NDArray[np.int64]:
    """(rows,) sums of a map of whole numbers, given strip by strip, over each number from 1; of a bool map its true pixels."""
    found = np.zeros(rows + 1)
    for strip in strips(numbers.shape):
        part, chosen = numbers[strip], what(strip)
        if chosen.dtype == bool:
            found += np.bincount(part[chosen], minlength=rows + 1)
        else:
            found += np.bincount(part.ravel(), weights=chosen.ravel(), minlength=rows + 1)
    return found[1:].astype(np.int64)


def _majority(numbers: NDArray[Any], prediction: LabelMap, rows: int, catalog: ClassCatalog) -> NDArray[np.int64]:
    """(N,) id that most pixels of each object were given; of equally many the first in channel order."""
    columns, lut = len(catalog) + 1, catalog.index_lut()
    counts = np.zeros(rows * columns, dtype=np.int64)
    for strip in strips(numbers.shape):
        where = numbers[strip] > 0
        code = (numbers[strip][where].astype(np.int64) - 1) * columns + lut[prediction[strip][where]]
        counts += np.bincount(code, minlength=counts.size)
    most = counts.reshape(rows, columns).argmax(axis=1)
    return np.append(catalog.ids, catalog.ignore)[most] if rows else np.zeros(0, dtype=np.int64)


def _owners(
    numbers: NDArray[Any], called: NDArray[Any], right: Callable[[slice], Mask], rows: int, regions: int
) -> NDArray[np.int64]:
    """(M,) number of the object of its class that each predicted region overlaps most; 0 for none."""
    owner = np.zeros(regions, dtype=np.int64)
    stretches, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for strip in strips(numbers.shape):
        both = right(strip) & (numbers[strip] > 0) & (called[strip] > 0)
        code = called[strip][both].astype(np.int64) * (rows + 1) + numbers[strip][both]
        # Neighbours mostly have the same code: stretches of it are few, and sorted in place of the pixels.
        ends = np.append(np.flatnonzero(code[1:] != code[:-1]), len(code) - 1) if len(code) else np.zeros(0, np.int64)
        stretches.append(code[ends])
        lengths.append(np.diff(ends, prepend=-1))
    pairs, place = np.unique(np.concatenate(stretches), return_inverse=True)
    overlap = np.bincount(place, weights=np.concatenate(lengths), minlength=len(pairs)).astype(np.int64)
    order = np.argsort(-overlap, kind="stable")
    found, first = np.unique(pairs[order] // (rows + 1), return_index=True)
    owner[found - 1] = pairs[order][first] % (rows + 1)
    return owner


def _match_known(rows: NDArray[Any], known: Sequence[KnownObject]) -> None:
    """Give regions the facts of the known object of their class with a box that contains them; the nearest in size if several."""
    owner = np.full(len(rows), -1)
    for place, row in enumerate(rows):
        box = Box(int(row["x"]), int(row["y"]), int(row["width"]), int(row["height"]))
        fitting = [
            (abs(known_object.box.area - box.area), position)
            for position, known_object in enumerate(known)
            if known_object.class_id == row["class_id"] and known_object.box.grown(_BOX_SLACK).holds(box)
        ]
        if fitting:
            owner[place] = min(fitting)[1]
    for position, known_object in enumerate(known):
        mine = owner == position
        rows["visible_fraction"][mine] = known_object.visible_fraction
        rows["truncated"][mine] |= known_object.truncated
        rows["parts"][mine] = np.maximum(rows["parts"][mine], mine.sum())


@dataclass(frozen=True, slots=True, eq=False)
class Contacts:
    """Borders of every region; row n is region number n + 1.

    Label maps show which regions meet, not which one is in front. So a long border with another class of object marks both of
    them: a proxy for occlusion that is more often too high than too low.

    Attributes:
        foreign_share: (N,) share of the outline, the image border left out, that countable regions of another class share; 0..1.
        same_share: (N,) share that other regions of the same class share.
        parts: (N,) int: 1 for a whole region; more where regions of its class are on the other sides of a countable region of
            another class: in how many pieces that one seems to leave the object.
    """

    foreign_share: NDArray[np.float64]
    same_share: NDArray[np.float64]
    parts: NDArray[np.int64]


def contacts(kind: NDArray[Any], values: NDArray[np.int64], countable: NDArray[np.bool_]) -> Contacts:
    """Measure the borders between regions.

    Args:
        kind: (H, W) region number of each pixel, 1..N, void filled by the nearest region, so that a void ring separates nothing.
        values: (N,) class id of each region.
        countable: (N,) whether that class is an object class.
    """
    number = len(values)
    one, other, length = _borders(kind, number)
    outline = np.bincount(one, weights=length, minlength=number + 1)[1:]
    if not len(one):
        return Contacts(np.zeros(number), np.zeros(number), np.ones(number, dtype=np.int64))
    same_class = values[one - 1] == values[other - 1]
    foreign = countable[other - 1] & ~same_class
    shares = [
        np.divide(
            np.bincount(one, weights=length * chosen, minlength=number + 1)[1:], outline, out=np.zeros(number), where=outline > 0
        )
        for chosen in (foreign, same_class)
    ]
    between = foreign & countable[one - 1]
    return Contacts(shares[0], shares[1], _pieces(kind, values, one[between], other[between]))


def touches_border(kind: NDArray[Any], number: int) -> NDArray[np.bool_]:
    """(N,) bool: whether a region reaches the image border."""
    touched = np.zeros(number + 1, dtype=bool)
    for side in (kind[0], kind[-1], kind[:, 0], kind[:, -1]):
        touched[side] = True
    return touched[1:]


def _borders(kind: NDArray[Any], number: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Ordered pairs of regions that share pixel edges, both ways round, and how many edges."""
    codes = []
    for first, second in ((kind[:, :-1], kind[:, 1:]), (kind[:-1], kind[1:])):
        differ = first != second
        low, high = first[differ].astype(np.int64), second[differ].astype(np.int64)
        codes += [low * (number + 1) + high, high * (number + 1) + low]
    pairs, length = np.unique(np.concatenate(codes), return_counts=True)
    one, other = np.divmod(pairs, number + 1)
    known = (one > 0) & (other > 0)
    return one[known], other[known], length[known].astype(np.int64)


def _pieces(
    kind: NDArray[Any], values: NDArray[np.int64], regions: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.int64]:
    """(N,) pieces that an occluder leaves of the object that each region seems to belong to."""
    parts = np.ones(len(values), dtype=np.int64)
    sizes = np.zeros(len(values) + 1, dtype=np.int64)
    for strip in strips(kind.shape):
        sizes += np.bincount(kind[strip].ravel(), minlength=len(sizes))
    groups: list[tuple[int, list[int]]] = []
    for occluder in np.unique(others).tolist():
        near = [int(region) for region in regions[others == occluder] if sizes[region] >= _PIECE_PX]
        for class_id in {int(values[region - 1]) for region in near}:
            group = [region for region in near if values[region - 1] == class_id]
            if len(group) < 2:
                continue
            groups.append((occluder, sorted(group, key=lambda region: -int(sizes[region]))[:_CROWD]))
    points = _points_of(kind, {region for _, group in groups for region in group}, len(values))
    for occluder, group in groups:
        joined = dict.fromkeys(group, 1)
        for one, other in combinations(group, 2):
            if _lies_between(kind, points[one], points[other], occluder):
                joined[one] += 1
                joined[other] += 1
        for region, pieces in joined.items():
            parts[region - 1] = max(parts[region - 1], pieces)
    return parts


def _points_of(kind: NDArray[Any], wanted: set[int], number: int) -> dict[int, NDArray[np.int64]]:
    """(K, 2) some rows and columns of the edge of each wanted region; one look at the image, whatever their number."""
    if not wanted:
        return {}
    edge = np.zeros(kind.shape, dtype=bool)
    for first, second in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        differ = kind[first] != kind[second]
        edge[first] |= differ
        edge[second] |= differ
    chosen = np.zeros(number + 1, dtype=bool)
    chosen[list(wanted)] = True
    edge &= chosen[kind]
    places = np.argwhere(edge)
    of = kind[edge]
    order = np.argsort(of, kind="stable")
    ends = np.searchsorted(of[order], np.arange(1, number + 2))
    found = {}
    for region in wanted:
        mine = order[ends[region - 1] : ends[region]]
        found[region] = places[mine[:: max(1, -(-len(mine) // _POINTS))]]
    return found


def _lies_between(kind: NDArray[Any], one: NDArray[np.int64], other: NDArray[np.int64], occluder: int) -> bool:
    """Whether most of the shortest way between two regions is in the occluder."""
    apart = ((one[:, None] - other[None]) ** 2).sum(axis=2)
    start, end = np.unravel_index(int(apart.argmin()), apart.shape)
    steps = int(np.abs(one[start] - other[end]).max())
    if steps < 2:
        return False
    way = np.round(np.linspace(one[start], other[end], steps + 1)[1:-1]).astype(np.int64)
    return bool((kind[way[:, 0], way[:, 1]] == occluder).mean() > 0.5)
