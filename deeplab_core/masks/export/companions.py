"""Files beside an exported mask: the photograph, who set each pixel, and where on Earth the image lies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from deeplab_core.atomic import atomic_write, link_file, make_folder
from deeplab_core.errors import ExportError, ImageReadError, ProtectedFile, message, plural_message
from deeplab_core.images.identity import content_key
from deeplab_core.images.orientation import to_stored
from deeplab_core.images.probe import probe_image
from deeplab_core.labels import LabelMap
from deeplab_core.masks.confirmed import encode_provenance, provenance_name, read_codes
from deeplab_core.masks.export.exporter import REMEDY, Exporter, ExportItem, Part, text_part
from deeplab_core.masks.export.georeference import read_georeference
from deeplab_core.notes import Note

_CHUNK = 1 << 20
#: Ending of a mask -> ending of its world file.
_WORLD_ENDINGS = {".png": ".pgw", ".tif": ".tfw"}


def place_picture(item: ExportItem, exporter: Exporter, target: Path) -> int:
    """Copy or link the photograph to its place in the layout, unless it is there already.

    Returns:
        Bytes written.

    Raises:
        ProtectedFile: another picture is there; no photograph is replaced.
        ExportError: the copy does not read back equal.
        StorageError: it cannot be written.
    """
    name = exporter.picture_name(item)
    if name is None or exporter.images == "none" or item.image_path is None:
        return 0
    place = target / name
    if os.path.lexists(place):
        if os.path.realpath(place) == os.path.realpath(item.image_path) or content_key(place) == content_key(item.image_path):
            return 0
        raise ProtectedFile(
            message("another photograph of this name is already there"), why=message("A photograph is never replaced"),
            remedy=message("Choose another folder for the export"), path=place,
        )  # fmt: skip
    make_folder(place.parent)
    if exporter.images == "link":
        link_file(item.image_path, place)
        return 0
    source = item.image_path

    def check(written: Path) -> None:
        if content_key(written) != content_key(source):
            raise ExportError(message("the copy of the photograph does not read back equal"), remedy=REMEDY, path=place)

    return atomic_write(place, _chunks(source), check=check)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def provenance_part(item: ExportItem, labels: LabelMap, *, stored: bool) -> list[Part]:
    """The picture of who set each pixel, in the frame of the labels; none where that is unknown."""
    codes = None if item.provenance is None else item.provenance()
    if codes is None:
        return []
    if stored and item.image_path is not None:
        codes = to_stored(codes, probe_image(item.image_path).orientation)
    if codes.shape != labels.shape:
        raise ExportError(
            message("who set each pixel is known for another size than the mask's"),
            remedy=message("Open the folder again"),
            path=item.name,
        )
    codes = np.ascontiguousarray(codes)

    def check(path: Path) -> None:
        if not np.array_equal(read_codes(path), codes):
            raise ExportError(
                message("the picture of who set each pixel does not read back equal"), remedy=REMEDY, path=item.name
            )

    return [Part(provenance_name(item.stem), encode_provenance(codes), check)]


def world_file_part(item: ExportItem, mask: str, *, stored: bool) -> tuple[Part | None, Note | None]:
    """The world file of a mask picture, where its image has a georeference; a note where it cannot be carried."""
    path = PurePosixPath(mask)
    ending = _WORLD_ENDINGS.get(path.suffix.lower())
    if ending is None or item.image_path is None:
        return None, None
    try:
        found = read_georeference(item.image_path)
    except ImageReadError as error:
        text = message("the georeference was left out: {what}", what=error.what)
        summary = plural_message("has a damaged georeference", "have a damaged georeference", 1)
        return None, Note("georeference", text, summary, True)
    if found is None:
        return None, None
    if not found.world:
        text = message("the georeference is not a plain grid and was left out")
        summary = plural_message("has a georeference without a grid", "have a georeference without a grid", 1)
        return None, Note("georeference", text, summary, True)
    if not stored and probe_image(item.image_path).orientation != 1:
        text = message("the georeference was left out: the mask is turned by the EXIF orientation, the georeference is not")
        summary = plural_message(
            "has a georeference for the stored orientation", "have a georeference for the stored orientation", 1
        )
        return None, Note("georeference", text, summary, True)
    note = None
    if found.tags and ending != ".tfw":
        text = message("a world file holds the place of the pixels, not the coordinate system; the format geotiff keeps both")
        summary = plural_message(
            "has a coordinate system that a world file does not name",
            "have a coordinate system that a world file does not name",
            1,
        )
        note = Note("georeference", text, summary)
    return text_part(str(path.with_suffix(ending)), found.world), note
