"""Slices of the user's own: a CSV of image or object attributes becomes axes beside size, occlusion and brightness.

The first row names the columns. ``image`` is the image's name: its path below the folder with or without ending, or its file name
alone. With the columns ``x`` and ``y`` (column and row of a pixel of the ground truth as displayed)
a row describes the object there, else the whole image. Every other column is an axis::

    image,weather,elevation          image,x,y,material,age
    a.jpg,rain,120                   a.jpg,310,222,leather,12

A column of numbers with more than :data:`MOST_VALUES` different ones is cut at its quartiles; other columns have one slice per
value, the :data:`MOST_VALUES` most frequent of them, and one for all others. An empty field is "no value" and in no slice. What
fits no image or object is counted in :meth:`OwnSlices.notes`.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.components import ErrorComponent
from deeplab_core.analysis.folder import FolderAnalysis
from deeplab_core.errors import MaskFormatError, MessageText, error_text, message
from deeplab_core.metrics.truth_hash import image_key
from deeplab_core.reading import read_text
from deeplab_core.wording import count

#: Slices of a column that are made of its values.
MOST_VALUES = 12
_MOST_BYTES = 64 << 20
_QUARTILES = (0.25, 0.5, 0.75)

Pixel = tuple[int, int]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class OwnAxis:
    """One column.

    Attributes:
        name: of the column.
        of: whether it describes images or objects.
        labels: of its slices, in order.
        numeric: whether the slices are ranges of numbers.
    """

    name: str
    of: Literal["image", "object"]
    labels: tuple[str, ...]
    numeric: bool

    @property
    def text(self) -> str:
        """What it is, for display beside a figure."""
        return f"{self.name} of the {self.of}, from your table"


@dataclass(frozen=True, slots=True, eq=False)
class Attributes:
    """A table, read.

    Attributes:
        path: the file.
        axes: its columns.
        images: slice of every axis (-1: no value) by key of the image.
        objects: the same by key and pixel (x, y).
        missing: rows without a value, by column.
    """

    path: Path
    axes: tuple[OwnAxis, ...]
    images: Mapping[str, NDArray[np.int64]]
    objects: Mapping[str, Mapping[Pixel, NDArray[np.int64]]]
    missing: Mapping[str, int]


def read_attributes(path: Path | str) -> Attributes:
    """Read a table of attributes.

    Raises:
        MaskFormatError: the file cannot be read, has no column ``image`` or no other one, or a row is not as wide as the first,
            or describes one image or object twice.
    """
    path = Path(path)
    text = read_text(path, limit=_MOST_BYTES, what="the table of attributes", error=MaskFormatError)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), _dialect(text)) if any(field.strip() for field in row)]
    except csv.Error as error:
        raise _problem(path, error_text(error)) from error
    if not rows:
        raise _problem(path, message("it is empty"))
    head = [name.strip() for name in rows[0]]
    folded = [name.lower() for name in head]
    if len(set(folded)) < len(folded) or "" in folded:
        raise _problem(path, message("two columns have one name, or a column has none"))
    if "image" not in folded or ("x" in folded) != ("y" in folded):
        raise _problem(
            path,
            message("its columns are {columns}; needed is 'image', and for objects 'x' and 'y' too", columns=", ".join(head)),
        )
    of_objects = "x" in folded
    columns = [place for place, name in enumerate(folded) if name not in ("image", "x", "y")]
    if not columns:
        raise _problem(path, message("it has no column beside those that name the image or object"))
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(head):
            raise _problem(
                path,
                message(
                    "row {number} has {fields}, the first {first}",
                    number=number,
                    fields=count(len(row), "field"),
                    first=len(head),
                ),
            )
    body = rows[1:]
    made = [_axis(head[place], "object" if of_objects else "image", [row[place].strip() for row in body]) for place in columns]
    keys = [image_key(row[folded.index("image")].strip().replace("\\", "/")) for row in body]
    places = np.array([found for _, found in made], dtype=np.int64).reshape(len(made), len(body)).T
    axes = tuple(axis for axis, _ in made)
    missing = {axis.name: int((places[:, at] < 0).sum()) for at, axis in enumerate(axes)}
    if not of_objects:
        twice = [key for key, number in Counter(keys).items() if number > 1]
        if twice:
            raise _problem(path, message("it describes {name} twice", name=twice[0]))
        return Attributes(path, axes, dict(zip(keys, places, strict=True)), {}, missing)
    objects: dict[str, dict[Pixel, NDArray[np.int64]]] = defaultdict(dict)
    for number, (key, row, found) in enumerate(zip(keys, body, places, strict=True), start=2):
        point = (
            _whole(path, number, row[folded.index("x")]), _whole(path, number, row[folded.index("y")])
        )  # fmt: skip
        if point in objects[key]:
            raise _problem(
                path,
                message(
                    "row {number} describes the pixel {x}, {y} of {name} again", number=number, x=point[0], y=point[1], name=key
                ),
            )
        objects[key][point] = found
    return Attributes(path, axes, {}, dict(objects), missing)


def _dialect(text: str) -> type[csv.Dialect]:
    """Comma, semicolon or tab: whichever the first line has most of."""
    first = text.partition("\n")[0]
    chosen = max(",;\t", key=first.count)

    class Found(csv.excel):
        delimiter = chosen
        strict = True

    return Found


def _axis(name: str, of: Literal["image", "object"], values: Sequence[str]) -> tuple[OwnAxis, NDArray[np.int64]]:
    there = [value for value in values if value]
    numbers = _numbers(there)
    if numbers is not None and len(set(numbers)) > MOST_VALUES:
        edges = sorted(set(np.quantile(numbers, _QUARTILES).tolist()))
        places = np.array([-1 if not value else int(np.searchsorted(edges, float(value), side="right")) for value in values])
        texts = _told_apart(edges)
        labels = [f"below {texts[0]}", *(f"{low} to {high}" for low, high in pairwise(texts))]
        return OwnAxis(name, of, (*labels, f"{texts[-1]} or more"), numeric=True), places.astype(np.int64)
    if numbers is not None:
        known = {number: place for place, number in enumerate(sorted(set(numbers)))}
        places = np.array([known[float(value)] if value else -1 for value in values], dtype=np.int64)
        return OwnAxis(name, of, tuple(_told_apart(list(known))), numeric=True), places
    often = Counter(there)
    kept = sorted(sorted(often), key=lambda value: -often[value])[:MOST_VALUES]
    order = {value: place for place, value in enumerate(sorted(kept))}
    rest = len(often) - len(kept)
    others = count(rest, "other value")
    while others in order:  # a value that reads like it
        others = f"({others})"
    labels = [*order, *([others] if rest else [])]
    places = np.array([order.get(value, len(order)) if value else -1 for value in values], dtype=np.int64)
    return OwnAxis(name, of, tuple(labels), numeric=False), places


def _told_apart(numbers: Sequence[float]) -> list[str]:
    """Different numbers as different texts: in six digits, or in as many as tell all of them apart (17 always do)."""
    found = ([f"{number:.{digits}g}" for number in numbers] for digits in range(6, 18))
    return next(texts for texts in found if len(set(texts)) == len(numbers))


def _numbers(values: Sequence[str]) -> list[float] | None:
    try:
        found = [float(value) for value in values]
    except ValueError:
        return None
    return found if found and all(map(math.isfinite, found)) else None


def _whole(path: Path, number: int, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise _problem(path, message("in row {number}, '{value}' is not a whole pixel", number=number, value=value)) from None


def _problem(path: Path, why: MessageText) -> MaskFormatError:
    return MaskFormatError(
        message("these attributes cannot be used"),
        why=why,
        remedy=message("Write a CSV whose first row names its columns: image, one for each attribute, and x and y for objects"),
        path=path,
    )


@dataclass(slots=True, eq=False)
class OwnSlices:
    """The attributes of the images of a folder, and of their objects.

    Attributes:
        tables: what was read.
        objects: slice of every object axis by image, (A, N): axis in the order of :attr:`object_axes`, object as in its table.
        names: name of an image that the tables know it by, where it goes by another one here.
    """

    tables: Sequence[Attributes]
    objects: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    _beside: int = 0
    _seen: dict[tuple[int, str], set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = Counter(axis.name for table in self.tables for axis in table.axes)
        twice = [name for name, number in names.items() if number > 1]
        if twice:
            raise _problem(self.tables[-1].path, message("a column '{name}' is in two tables", name=twice[0]))

    @property
    def image_axes(self) -> list[OwnAxis]:
        """Axes of images, in the order of the tables."""
        return [axis for table in self.tables for axis in table.axes if axis.of == "image"]

    @property
    def object_axes(self) -> list[OwnAxis]:
        """Axes of objects, in the order of the tables."""
        return [axis for table in self.tables for axis in table.axes if axis.of == "object"]

    def add(self, image: str, numbers: NDArray[Any], objects: int) -> None:
        """Find the objects of an image.

        Args:
            image: its name.
            numbers: (H, W) object of each pixel, from 1; 0 for none.
            objects: how many there are.
        """
        rows = []
        for at, table in enumerate(self.tables):
            if not table.objects:
                continue
            places = np.full((len(table.axes), objects), -1, dtype=np.int64)
            found = self._of(at, table.objects, image) or {}
            for (x, y), values in found.items():
                inside = 0 <= y < numbers.shape[0] and 0 <= x < numbers.shape[1]
                number = int(numbers[y, x]) if inside else 0
                if number:
                    places[:, number - 1] = values
                else:
                    self._beside += 1
            rows.append(places)
        self.objects[image] = np.concatenate(rows) if rows else np.zeros((0, objects), dtype=np.int64)

    def of_images(self, images: Iterable[str]) -> dict[str, NDArray[np.int64]]:
        """(A,) slice of every image axis by image; -1 without a value."""
        found = {}
        for image in images:
            parts = []
            for at, table in enumerate(self.tables):
                if table.images:
                    values = self._of(at, table.images, image)
                    parts.append(np.full(len(table.axes), -1, dtype=np.int64) if values is None else values)
            found[image] = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        return found

    def _of(self, at: int, table: Mapping[str, Value], image: str) -> Value | None:
        """The row of an image, by its path without ending or by its file name alone."""
        key = image_key(self.names.get(image, image))
        for name in (key, PurePosixPath(key).name):
            if name in table:
                self._seen.setdefault((at, name), set()).add(image)
                return table[name]
        return None

    def components(
        self, folder: FolderAnalysis, axis: str, label: str, limit: int = 200, order: str = "size"
    ) -> list[ErrorComponent]:
        """The largest error components of a slice: of its images, or of what was missed of its objects or wrongly called them.

        Args:
            folder: the images.
            axis, label: of the slice.
            limit: how many.
            order: see :meth:`FolderAnalysis.worth <deeplab_core.analysis.folder.FolderAnalysis.worth>`.

        Raises:
            KeyError: no such axis or slice.
        """
        for at, own in enumerate(self.image_axes):
            if own.name == axis and label in own.labels:
                place = own.labels.index(label)
                chosen = {image for image, places in self.of_images(folder).items() if places[at] == place}
                return folder.errors.components(only=chosen, limit=limit, worth=folder.worth(order))
        for at, own in enumerate(self.object_axes):
            if own.name == axis and label in own.labels:
                place = own.labels.index(label)
                numbers = {image: 1 + np.flatnonzero(places[at] == place) for image, places in self.objects.items()}
                held = {image: found for image, found in numbers.items() if found.size}
                return folder.errors.components(objects=held, limit=limit, worth=folder.worth(order))
        raise KeyError(f"{axis}:{label}")

    def objects_of(self, image: str, number: int) -> NDArray[np.int64]:
        """(A, N) slices of the objects of an image; -1 for all of one that :meth:`add` has not seen.

        Args:
            number: N.
        """
        found = self.objects.get(image)
        return (
            np.full((len(self.object_axes), number), -1, dtype=np.int64) if found is None or found.shape[1] != number else found
        )

    def notes(self, images: Sequence[str]) -> list[str]:
        """What of the tables was not used, in sentences; after every image was added."""
        self.of_images(images)
        notes = []
        for at, table in enumerate(self.tables):
            names = [*table.images, *table.objects]
            unused = [name for name in names if (at, name) not in self._seen]
            if unused:
                notes.append(f"{table.path.name}: {count(len(unused), 'image')} of it not found here, e.g. {unused[0]}")
            without = sum(1 for image in images if not self._known(at, image))
            if without:
                notes.append(f"{table.path.name}: {count(without, 'image')} without a row")
            for (table_at, name), found in self._seen.items():
                if table_at == at and len(found) > 1:
                    notes.append(f"{table.path.name}: '{name}' stands for {count(len(found), 'image')}; name them by their paths")
            empty = {name: number for name, number in table.missing.items() if number}
            for name, number in empty.items():
                notes.append(f"{table.path.name}: {count(number, 'row')} without a value of '{name}'")
        if self._beside:
            notes.append(f"{count(self._beside, 'row')} of objects name a pixel without an object")
        return notes

    def _known(self, at: int, image: str) -> bool:
        key = image_key(self.names.get(image, image))
        return (at, key) in self._seen or (at, PurePosixPath(key).name) in self._seen
