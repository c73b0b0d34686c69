"""Where on Earth an image lies: the tags of a GeoTIFF, or the world file beside an image; and masks that keep it.

Specifications: OGC GeoTIFF 1.1 (19-008r4), sections 7.1 and 7.2, for the tags; ESRI world files (six lines: pixel width, two
rotations, pixel height, x and y of the centre of the first pixel).
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deeplab_core.errors import ExportError, ImageReadError, message
from deeplab_core.images.guard import decoder_guard
from deeplab_core.images.probe import TIFF_SIGNATURES
from deeplab_core.labels import LabelMap
from deeplab_core.masks.export.exporter import REMEDY, ExportItem, FileExporter, check_labels_equal
from deeplab_core.masks.png import to_file_values
from deeplab_core.reading import read_text

#: ModelPixelScale, ModelTiepoint, ModelTransformation, GeoKeyDirectory, GeoDoubleParams, GeoAsciiParams.
GEO_TAGS = (33550, 33922, 34264, 34735, 34736, 34737)
_SCALE, _TIEPOINT, _TRANSFORM, _KEYS = GEO_TAGS[:4]
_RASTER_TYPE, _PIXEL_IS_POINT = 1025, 2
#: GDAL's text for the value that holds no data.
_NO_DATA = 42113
_WORLD_ENDINGS = {
    ".tif": (".tfw", ".tifw"), ".tiff": (".tfw", ".tiffw"), ".jpg": (".jgw", ".jpgw"), ".jpeg": (".jgw", ".jpegw"),
    ".png": (".pgw", ".pngw"), ".bmp": (".bpw", ".bmpw"), ".jp2": (".j2w", ".jp2w"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Georeference:
    """Where the pixels of an image lie.

    Attributes:
        world: text of the world file, six numbers one a line, for the *stored* frame.
        tags: tag -> (type, count, value) of a GeoTIFF as it has them, empty without one. They also name the coordinate system,
            which a world file does not.
    """

    world: str
    tags: dict[int, tuple[Any, int, Any]] = field(default_factory=dict)


def read_georeference(image: Path) -> Georeference | None:
    """The georeference of an image: its GeoTIFF tags, else the world file beside it; None without both.

    Raises:
        ImageReadError: tags or world file are damaged.
    """
    with decoder_guard(ImageReadError, "the georeference of the image is damaged", image, "Export it without its georeference"):
        tags = _tags_of(image)
        world = _world_of_tags(tags) if tags else None
        if world is not None:
            return Georeference(world, tags)
        beside = _world_file(image)
        if beside is None:
            return Georeference("", tags) if tags else None
        numbers = [float(line) for line in read_text(beside, limit=1 << 16, what="the world file").split()]
        if len(numbers) != 6:
            raise ImageReadError(
                message("a world file has six numbers"), why=message("This one has {count}", count=len(numbers)), path=beside
            )
        return Georeference("".join(f"{number!r}\n" for number in numbers), tags)


def _tags_of(image: Path) -> dict[int, tuple[Any, int, Any]]:
    with image.open("rb") as stream:
        if not stream.read(4).startswith(TIFF_SIGNATURES):
            return {}
    import tifffile

    with tifffile.TiffFile(image) as file:
        page = file.pages.first
        found = {code: page.tags[code] for code in GEO_TAGS if code in page.tags}
        return {code: (int(tag.dtype), int(tag.count), tag.value) for code, tag in found.items()}


def _world_of_tags(tags: dict[int, tuple[Any, int, Any]]) -> str | None:
    """The affine map of the tags as a world file; None where they have none (ground control points)."""
    if _TRANSFORM in tags:
        m = tags[_TRANSFORM][2]
        a, b, d, e, x, y = m[0], m[1], m[4], m[5], m[3], m[7]
    elif _SCALE in tags and _TIEPOINT in tags and tags[_TIEPOINT][1] == 6:
        (sx, sy, _), (i, j, _, px, py, _) = tags[_SCALE][2], tags[_TIEPOINT][2]
        a, b, d, e, x, y = sx, 0.0, 0.0, -sy, px - i * sx, py + j * sy
    else:
        return None
    if not _is_point(tags):  # the tags speak of the corner of the first pixel, a world file of its centre
        x, y = x + (a + b) / 2, y + (d + e) / 2
    return "".join(f"{float(number)!r}\n" for number in (a, d, b, e, x, y))


def _is_point(tags: dict[int, tuple[Any, int, Any]]) -> bool:
    keys = tags[_KEYS][2] if _KEYS in tags else ()
    rows = [tuple(keys[start : start + 4]) for start in range(4, len(keys), 4)]
    return any(row[0] == _RASTER_TYPE and row[3] == _PIXEL_IS_POINT for row in rows if len(row) == 4)


def _world_file(image: Path) -> Path | None:
    endings = (*_WORLD_ENDINGS.get(image.suffix.lower(), ()), ".wld")
    candidates = [image.with_suffix(ending) for ending in (*endings, *(ending.upper() for ending in endings))]
    return next((path for path in candidates if path.is_file()), None)


class GeoTiffExporter(FileExporter):
    """TIFF of class ids, 8 bit, or 16 bit for a wide catalog, with the georeference of its image.

    The tags of a GeoTIFF are copied as they are, so the mask has the image's coordinate system; ``GDAL_NODATA`` names the value
    of void. Masks are in the stored frame: tags describe the pixels as the file has them.
    """

    name = "geotiff"
    suffix = ".tif"

    def encode(self, item: ExportItem, labels: LabelMap) -> list[bytes]:
        import tifffile

        values = to_file_values(labels, item.catalog)
        tags = self._tags(item)
        extra = [(code, kind, count, value, True) for code, (kind, count, value) in tags.items()]
        extra.append((_NO_DATA, 2, 0, str(item.catalog.file_ignore), True))
        buffer = io.BytesIO()
        tifffile.imwrite(
            buffer, values, photometric="minisblack", compression="zlib", predictor=False, metadata=None, software="Atrous",
            extratags=extra,
        )  # fmt: skip
        return [buffer.getvalue()]

    def check(self, item: ExportItem, labels: LabelMap, path: Path) -> None:
        check_labels_equal(path, self.output_name(item), item.catalog, labels)
        if _tags_of(path) != self._tags(item):
            raise ExportError(message("the georeference does not read back equal"), remedy=REMEDY, path=item.name)

    @staticmethod
    def _tags(item: ExportItem) -> dict[int, tuple[Any, int, Any]]:
        found = None if item.image_path is None else read_georeference(item.image_path)
        return {} if found is None else found.tags
