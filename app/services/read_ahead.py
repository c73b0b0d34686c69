"""The image that the user will probably look at next, read while nothing else is to do, and the one that was left last."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from app.services.jobs import JobRegistry
from app.services.timers import single_shot
from app.state.project import Project
from app.state.pyramid import Pyramid, halved_levels
from deeplab_core.errors import AtrousError
from deeplab_core.images.decode import ImageData, read_image
from deeplab_core.images.probe import probe_image
from deeplab_core.records import Prediction

_LOG = logging.getLogger(__name__)
#: Larger images are not read ahead: six bytes a pixel would lie in memory for each of them.
MOST_PIXELS = 16_000_000
#: How long an image has been in view before the next one is read, in ms: its figures and its saving come first.
REST_MS = 250

_Stamp = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Pixels:
    """What can be read of an image before it is opened. Its labels are not part of it: they may still change.

    Attributes:
        stamp: of the files that it was read from.
        levels: see :func:`app.state.pyramid.halved_levels`.
        prediction: see :meth:`Project.prediction_of`.
    """

    stamp: _Stamp
    data: ImageData
    levels: Pyramid
    prediction: Prediction | None


def read_pixels(project: Project, image: int) -> Pixels:
    """Read an image and its prediction. Takes long: meant for another thread. Raises ImageReadError."""
    stamp = _stamp(project, image)
    data = read_image(project.path_of(project.record(image)))
    return Pixels(stamp, data, halved_levels(data.rgb), project.prediction_of(image))


class ReadAhead:
    """Keeps what was read of at most two images: the one that probably comes next, and the one that was in view before.

    What is kept is used only while image file and prediction file are the ones that were read.
    """

    def __init__(self, jobs: JobRegistry, guess: Callable[[], int | None]) -> None:
        """Args: ``guess`` names the image that will probably be asked for next."""
        self._jobs, self._guess = jobs, guess
        self._project: Project | None = None
        self._kept: dict[int, Pixels] = {}
        self._current: tuple[int, Pixels] | None = None
        self._reading: int | None = None
        self._rest = single_shot(jobs, REST_MS, self._read)

    def follow(self, project: Project, image: int, pixels: Pixels) -> None:
        """Another image is in view: keep what the one before was made from, and read the next one after a rest."""
        left = self._current if project is self._project else None
        height, width = pixels.data.rgb.shape[:2]
        self._project, self._current = project, (image, pixels) if height * width <= MOST_PIXELS else None
        self._kept = dict([left] if left is not None and left[0] != image else [])
        self._rest.start()

    def forget(self) -> None:
        """No image is in view any more."""
        self._rest.stop()
        self._project, self._current, self._kept = None, None, {}

    def find(self, project: Project, image: int) -> Pixels | None:
        """What is kept of an image if its files are as they were; from any thread."""
        found = self._kept.get(image) if project is self._project else None
        return found if found is not None and found.stamp == _stamp(project, image) else None

    def _read(self) -> None:
        project, image = self._project, self._guess()
        if project is None or image is None or image in self._kept or image == self._reading:
            return
        self._reading = image

        def work() -> Pixels | None:
            try:
                info = probe_image(project.path_of(project.record(image)))
                return read_pixels(project, image) if info.width * info.height <= MOST_PIXELS else None
            except (AtrousError, OSError) as error:  # reported when it is opened
                _LOG.info("image %d is not read ahead: %s", image, error)
                return None
            except KeyError:
                if any(record.id == image for record in project.images):
                    raise  # an error of ours
                _LOG.info("image %d was removed while it was read ahead", image)
                return None

        def done(found: Pixels | None) -> None:
            self._reading = None
            if found is not None and project is self._project:
                self._kept[image] = found
                while len(self._kept) > 2:
                    del self._kept[next(iter(self._kept))]

        def failed(error: Exception) -> None:
            self._reading = None
            raise error

        self._jobs.run(work, done, failed)


def _stamp(project: Project, image: int) -> _Stamp:
    """What changes with the files of an image."""
    record = project.record(image)
    try:
        status = project.path_of(record).stat()
    except OSError:
        return (object(),)  # equal to no other: reading it says what is wrong
    return status.st_mtime_ns, status.st_size, status.st_ino, record.content_key, project.kept_predictions.stamp(record)
