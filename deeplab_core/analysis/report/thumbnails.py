"""Pictures of the worst images for the report: photograph, truth, prediction and errors, as data URIs."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.analysis.evaluation import ImageResult
from deeplab_core.analysis.report.text import percent
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.datasets.find import find_images
from deeplab_core.datasets.pairing import MaskPair
from deeplab_core.errors import AtrousError, message
from deeplab_core.images import read_thumbnail
from deeplab_core.images.file_names import bare_stem, name_key
from deeplab_core.masks.png import encode_png
from deeplab_core.metrics.pair_reader import PairReader

#: Long side of a picture, px: sharp at twice the size that it is shown at.
_SIDE = 360

_RIGHT, _WRONG, _VOID = (226, 230, 236), (208, 62, 32), (150, 156, 168)
_JPEG_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Photographs:
    """Photographs of a folder, found by the names of masks."""

    by_name: dict[str, Path]
    by_path: dict[str, Path]
    by_stem: dict[str, Path]

    @staticmethod
    def below(folder: Path | None) -> Photographs:
        """Index a folder; nothing is found where it is None."""
        by_name: dict[str, Path] = {}
        by_path: dict[str, Path] = {}
        by_stem: dict[str, Path] = {}
        for name in find_images(folder) if folder is not None else ():
            relative, path = PurePosixPath(name), Path(folder or "", name)
            by_name[name_key(name)] = path
            by_path.setdefault(_path_key(relative), path)
            by_stem.setdefault(bare_stem(relative.stem), path)
        return Photographs(by_name, by_path, by_stem)

    def of(self, mask_name: str) -> Path | None:
        """The photograph of a mask: ``a.jpg`` for ``a.jpg.png``, else the same path, else the same stem."""
        relative = PurePosixPath(mask_name)
        own = self.by_name.get(name_key(str(relative.with_suffix(""))))
        return own or self.by_path.get(_path_key(relative)) or self.by_stem.get(bare_stem(relative.stem))


def _path_key(relative: PurePosixPath) -> str:
    return name_key(str(relative.with_name(bare_stem(relative.stem))))


@dataclass(frozen=True, slots=True)
class ShownImage:
    """One image with its pictures.

    Attributes:
        name, mean_iou: as shown.
        figures: (what it shows, data URI), from left to right.
        problem: why pictures are missing; empty if none is.
        link: address of the image's own file; empty without one.
    """

    name: str
    mean_iou: str
    figures: tuple[tuple[str, str], ...] = ()
    problem: str = ""
    link: str = ""


def shown_image(image: ImageResult, reader: PairReader, photographs: Photographs) -> ShownImage:
    """Pictures of one image, or why its files cannot be read any more."""
    shown = ShownImage(image.name, percent(image.mean_iou.value))
    catalog = reader.catalog
    try:
        found = reader.read(MaskPair(image.name, image.prediction, image.truth))
        truth, prediction = found.truth, found.prediction
        if truth.shape != prediction.shape:
            raise AtrousError(message("the masks have changed since they were compared"), path=image.prediction)
    except AtrousError as error:
        return replace(shown, problem=str(error))
    step = _grid(truth.shape)
    truth, prediction = truth[step], prediction[step]
    colors = _colors(catalog)
    lut = catalog.index_lut()
    errors = np.where(prediction == truth, 0, 1)
    errors[truth == catalog.ignore] = 2
    pictures = [
        ("truth", png_uri(colors[lut[truth]])),
        ("prediction", png_uri(colors[lut[prediction]])),
        ("errors", png_uri(np.array([_RIGHT, _WRONG, _VOID], np.uint8)[errors])),
    ]
    photograph = photographs.of(image.name)
    if photograph is not None:
        try:
            pictures.insert(0, ("photograph", jpeg_uri(read_thumbnail(photograph, _SIDE))))
        except AtrousError as error:
            return replace(shown, figures=tuple(pictures), problem=str(error))
    return replace(shown, figures=tuple(pictures))


def _grid(shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of a smaller picture: nearest pixels, since ids cannot be mixed."""
    shrink = max(1.0, max(shape) / _SIDE)
    rows, columns = (((np.arange(max(1, int(side / shrink))) + 0.5) * shrink).astype(np.intp) for side in shape)
    return np.ix_(np.minimum(rows, shape[0] - 1), np.minimum(columns, shape[1] - 1))  # type: ignore[return-value]


def _colors(catalog: ClassCatalog) -> NDArray[np.uint8]:
    """(C + 2, 3) colours by channel, then void twice."""
    return np.array([*(info.color for info in catalog.classes), catalog.ignore_color, catalog.ignore_color], dtype=np.uint8)


def png_uri(rgb: NDArray[np.uint8]) -> str:
    data = b"".join(encode_png(np.ascontiguousarray(rgb)))
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def jpeg_uri(rgb: NDArray[Any]) -> str:
    import cv2

    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise AtrousError(message("the photograph cannot be encoded for the report"))
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
