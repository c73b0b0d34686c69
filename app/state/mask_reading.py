"""Reading a mask file for a project with classes that may have other colours than the file. No Qt, no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deeplab_core.catalogs import builtin_catalogs
from deeplab_core.catalogs.catalog import ClassCatalog
from deeplab_core.errors import AmbiguousFrameError, MaskFormatError
from deeplab_core.images.probe import ImageInfo
from deeplab_core.labels import value_counts
from deeplab_core.masks.frames import Frame
from deeplab_core.masks.read import MaskData, load_mask, palette_meaning
from deeplab_core.masks.stored import read_stored
from deeplab_core.metrics.confusion import same_classes


def standard_colors(catalog: ClassCatalog) -> ClassCatalog:
    """The built-in catalog with the same classes, or the catalog itself.

    A user may give classes other colours in a project; the masks of a data set keep theirs.
    """
    return next((builtin for builtin in builtin_catalogs().values() if same_classes(builtin, catalog)), catalog)


def load_project_mask(path: Path, catalog: ClassCatalog, info: ImageInfo | None = None, *, frame: Frame = "auto") -> MaskData:
    """As :func:`deeplab_core.masks.read.load_mask`, in the standard colours of the classes or in those of the project.

    Colours matter for RGB files, and for indexed ones with a palette that was rebuilt. A palette that agrees with the
    project's colours is the project's; any other file is read in the standard colours, and where these do not occur in it, in the
    project's.

    Raises:
        MaskFormatError, AmbiguousFrameError: as ``load_mask``.
    """
    standard = standard_colors(catalog)
    if [info.color for info in standard.classes] == [info.color for info in catalog.classes]:
        return load_mask(path, catalog, info, frame=frame)
    stored = read_stored(path)
    if stored.palette is not None and stored.values is not None:
        used = np.flatnonzero(value_counts(stored.values))
        if palette_meaning(stored.palette, used, catalog).kind == "agrees":
            return load_mask(path, catalog, info, frame=frame)
    try:
        return load_mask(path, standard, info, frame=frame)
    except AmbiguousFrameError:
        raise
    except MaskFormatError:
        return load_mask(path, catalog, info, frame=frame)
