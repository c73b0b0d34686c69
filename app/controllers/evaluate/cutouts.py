"""Pictures of error components, cut out around each with its outline; made in the background when they are first asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal

from app.controllers.predict.models import ModelsController
from app.services.services import Services
from app.state.project import Project
from app.state.samples import load_sample
from deeplab_core.analysis.components import ErrorComponent, component_mask
from deeplab_core.analysis.cutout import cutout
from deeplab_core.errors import AtrousError
from deeplab_core.labels import LabelMap

#: Longer side of a picture, px: a tile at twice the usual pixel density.
SIDE = 288
#: Pictures in memory: about 200 KB each.
_IN_MEMORY = 400

Picture = NDArray[np.uint8]  # (h, w, 3) RGB; (0, 0, 3) where it cannot be made
#: (H, W, 3) pixels, (H, W) ground truth, (H, W) labels.
CutoutSource = tuple[NDArray[np.uint8], LabelMap, LabelMap]


class CutoutCache(QObject):
    """Gives pictures of components; an image is read once for all of its components that are wanted.

    Args:
        source: gives, for an image, a function for a thread that reads its pixels, its ground truth and the labels with the
            errors; that one gives None where they cannot be had.

    Signals:
        ready(): :meth:`get` has more than before.
    """

    ready = Signal()

    def __init__(
        self,
        services: Services,
        source: Callable[[Project, int], Callable[[], CutoutSource | None]],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._jobs, self._source = services.session, services.jobs, source
        self._kept: OrderedDict[ErrorComponent, Picture] = OrderedDict()
        self._wanted: dict[ErrorComponent, None] = {}
        self._busy = False
        services.session.projectChanged.connect(lambda _project: self.clear())

    def get(self, component: ErrorComponent) -> Picture | None:
        """The picture if it is there; otherwise None, and it is made.

        Views ask again for all visible pictures after each :attr:`ready`: other requests are dropped then, so that
        what was scrolled past is not made.
        """
        found = self._kept.get(component)
        if found is not None:
            self._kept.move_to_end(component)
            return found
        if not self._wanted:
            QTimer.singleShot(0, self, self._work)  # when all that are seen have been asked for
        self._wanted.setdefault(component, None)
        return None

    def clear(self) -> None:
        """Forget all pictures and wishes."""
        self._kept.clear()
        self._wanted.clear()

    def _work(self) -> None:
        """Make the pictures of one image; one image at a time, so that opening an image never waits for them."""
        project = self._session.project
        if self._busy or not self._wanted or project is None:
            return
        image = next(iter(self._wanted)).image
        components = [component for component in self._wanted if component.image == image]
        self._busy = True

        def done(pictures: list[Picture]) -> None:
            self._busy = False
            if project is self._session.project:
                for component, picture in zip(components, pictures, strict=True):
                    self._kept[component] = picture
                while len(self._kept) > _IN_MEMORY:
                    self._kept.popitem(last=False)
                self._wanted.clear()
                self.ready.emit()

        def failed(error: Exception) -> None:
            if not isinstance(error, AtrousError):
                self._busy = False
                raise error
            done([_NOTHING for _ in components])  # the image says why when it is opened

        read = self._source(project, int(image))
        self._jobs.run(lambda: _cut(read(), components), done, failed)


def mask_source(models: ModelsController) -> Callable[[Project, int], Callable[[], CutoutSource | None]]:
    """Labels that count, for :class:`CutoutCache`."""

    def source(project: Project, image: int) -> Callable[[], CutoutSource | None]:
        def read() -> CutoutSource | None:
            sample = load_sample(project, image, rgb=True, to_project=models.in_project_ids)
            if sample.rgb is None or sample.truth is None or sample.labels is None:
                return None
            return sample.rgb, sample.truth, sample.labels

        return read

    return source


def _cut(found: CutoutSource | None, components: list[ErrorComponent]) -> list[Picture]:
    if found is None:
        return [_NOTHING for _ in components]
    rgb, truth, labels = found
    return [
        cutout(rgb, component, component_mask(component, truth=truth, prediction=labels), side=SIDE) for component in components
    ]


_NOTHING = np.zeros((0, 0, 3), dtype=np.uint8)
