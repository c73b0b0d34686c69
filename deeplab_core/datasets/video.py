"""Frames of a video as photographs in a folder of their own.

OpenCV decodes the video from its beginning to its end: jumping would be quicker, and gives other frames in videos with a
variable frame rate or with damage. A frame is named after the video and its number, ``clip_000120.png``, so that frames of one
video sort by time and keep their names whatever else is taken. What is there already is never written again: a run that was
stopped goes on, and a finer choice adds the frames between.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from deeplab_core import __version__
from deeplab_core.atomic import atomic_write, make_folder
from deeplab_core.errors import AtrousError, ImageReadError, StorageError, message
from deeplab_core.images.limits import check_size
from deeplab_core.parallel import IsCancelled
from deeplab_core.reading import VALUE_ERRORS, expecting, read_json
from deeplab_core.wording import count, name_some

if TYPE_CHECKING:
    import cv2

FrameFormat = Literal["png", "jpg"]

#: Endings of videos, for file dialogs and to tell a video from a folder; the content decides what is read.
VIDEO_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".ogv",
)  # fmt: skip
#: What a folder of frames keeps about itself.
RECORD_NAME = ".atrous-frames.json"
_RECORD_FORMAT = "atrous-frames/1"
#: JPEG quality of frames: no visible difference to the video's own artefacts.
_QUALITY = 95
#: PNG compression: 3 takes half of the time of the library's own choice, for some per cent more bytes.
_COMPRESSION = 3
#: Bytes of both ends of a video that tell it from others.
_ENDS = 1 << 20
#: Frames between two writes of the record, so that a killed run knows its times.
_KEEP_EVERY = 200
#: Most frame numbers that a summary names.
_NAMED = 20
#: Rates beyond these are not rates.
_RATES = (0.01, 1000.0)
#: Share of the free disk that frames may fill.
_FILL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoInfo:
    """What a video says about itself.

    Attributes:
        path: the file.
        width, height: of a frame as it is displayed, in px.
        rotation: degrees by which a player turns its frames (phones), clockwise: 0, 90, 180 or 270.
        declared: number of frames by its header; 0 where the header does not tell.
        rate: mean frames per second; 0 where unknown.
    """

    path: Path
    width: int
    height: int
    rotation: int
    declared: int
    rate: float

    @property
    def seconds(self) -> float:
        """Length in seconds as the header has it; 0 where unknown."""
        return self.declared / self.rate if self.rate else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameChoice:
    """Which frames are taken: every n-th, or the first one of every so many seconds.

    Attributes:
        every: n, counted from the first frame; None where ``seconds`` is given.
        seconds: by the frames' own times.
        start, end: seconds into the video; None for ``end`` is its end.
        kind: ``"png"`` keeps the decoded pixels, ``"jpg"`` takes a tenth of the disk.
    """

    every: int | None = 10
    seconds: float | None = None
    start: float = 0.0
    end: float | None = None
    kind: FrameFormat = "png"

    def __post_init__(self) -> None:
        if (self.every is None) == (self.seconds is None):
            raise ValueError("either every or seconds")
        if self.every is not None and self.every < 1:
            raise ValueError("every is below 1")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise ValueError("seconds is not above 0")
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise ValueError("the end is not behind the start")

    def expected(self, info: VideoInfo) -> int:
        """About how many frames that will be; 0 where the video does not tell."""
        if not info.declared:
            return 0
        end = info.seconds if self.end is None or not info.rate else min(self.end, info.seconds)
        span = max(end - self.start, 0.0)
        if self.seconds is not None:
            return math.ceil(span / self.seconds) if info.rate else 0
        frames = span * info.rate if info.rate else info.declared
        return math.ceil(frames / (self.every or 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePlan:
    """What taking frames needs, before anything is written.

    Attributes:
        info: the video.
        folder: where the frames go.
        frames: about how many; 0 where the video does not tell.
        nbytes: about how much disk they take, by the first frame; 0 where the number is unknown.
        free: bytes that are free there.
        there: frames of this video that the folder holds already.
    """

    info: VideoInfo
    folder: Path
    frames: int
    nbytes: int
    free: int
    there: int = 0

    @property
    def fits(self) -> bool:
        """Whether the disk has room for them."""
        return self.nbytes <= self.free * _FILL


@dataclass(slots=True)
class FrameSummary:
    """What became of a video.

    Attributes:
        written, kept: frames that are new, and that were there already.
        read: frames that were decoded or passed over.
        failed: numbers of chosen frames that could not be decoded.
        problems: what was unusual about the video, in words: an early end, times that run backwards.
        cancelled: whether the run was stopped; another one goes on.
    """

    written: int = 0
    kept: int = 0
    read: int = 0
    failed: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    cancelled: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "written": self.written, "kept": self.kept, "read": self.read, "failed": self.failed,
            "problems": list(self.problems), "cancelled": self.cancelled,
        }  # fmt: skip


def is_video(path: str | Path) -> bool:
    """Whether a file is called as a video is."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def frames_folder(video: str | Path) -> Path:
    """The folder beside a video that its frames go to: ``clip_frames`` for ``clip.mp4``."""
    video = Path(video)
    return video.with_name(f"{video.stem}_frames")


def probe_video(path: str | Path) -> VideoInfo:
    """Look at the header of a video. Raises ImageReadError."""
    path = Path(path)
    with _opened(path) as capture:
        return _info(path, capture)


def plan_frames(video: str | Path, choice: FrameChoice, folder: str | Path | None = None) -> FramePlan:
    """Say what frames of a video take, by decoding its first one. Writes nothing.

    Raises:
        ImageReadError: the video cannot be read.
        StorageError: the folder holds other files, or frames of another video.
    """
    video = Path(video)
    target = frames_folder(video) if folder is None else Path(folder)
    record = _record_of(target, video)
    with _opened(video) as capture:
        info = _info(video, capture)
        if not capture.grab():
            raise _unreadable(video, message("Not even its first frame can be decoded"))
        picture = _decoded(capture)
        if picture is None:
            raise _unreadable(video, message("Not even its first frame can be decoded"))
    size = len(_encoded(picture, choice.kind))
    expected = choice.expected(info)
    place = next(place for place in (target, *target.absolute().parents) if place.is_dir())
    there = len(record["frames"]) if record is not None else 0
    missing = max(expected - there, 0) if there else expected
    return FramePlan(
        info=info, folder=target, frames=expected, nbytes=missing * size, free=shutil.disk_usage(place).free, there=there
    )


def take_frames(
    plan: FramePlan,
    choice: FrameChoice,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancel: IsCancelled | None = None,
) -> FrameSummary:
    """Write the chosen frames of a video into the folder of the plan; a frame that is there already stays as it is.

    Args:
        progress: called with (frames read, frames declared) after every chosen frame.
        cancel: asked before every frame; True stops, and another call goes on.

    Raises:
        ImageReadError: the video cannot be read at all, or has no times and ``choice.seconds`` asks for them.
        StorageError: too little room on the disk, or a file cannot be written; the frames that are written are whole.
    """
    if not plan.fits:
        raise StorageError(
            message(
                "the frames take about {needed:.1f} GB, and {free:.1f} GB are free",
                needed=plan.nbytes / 1e9, free=plan.free / 1e9,
            ),
            remedy=message("Take fewer frames, write them as jpg, or choose another folder"), path=plan.folder,
        )  # fmt: skip
    record = _record_of(plan.folder, plan.info.path) or _new_record(plan.info.path)
    make_folder(plan.folder)
    summary = FrameSummary()
    try:
        with _opened(plan.info.path) as capture:
            _Taking(plan, choice, record, summary).run(capture, progress, cancel)
    finally:
        _write_record(plan.folder, record)
    return summary


class _Taking:
    """One pass over a video."""

    def __init__(self, plan: FramePlan, choice: FrameChoice, record: dict[str, Any], summary: FrameSummary) -> None:
        self._plan, self._choice, self._record, self._summary = plan, choice, record, summary
        self._due = choice.start
        self._last = -math.inf
        self._backwards = 0

    def run(self, capture: cv2.VideoCapture, progress: Callable[[int, int], None] | None, cancel: IsCancelled | None) -> None:
        info, summary = self._plan.info, self._summary
        number = -1
        while not (cancel is not None and cancel()):
            if not capture.grab():
                break
            number, summary.read = number + 1, summary.read + 1
            time = self._time(capture, number)
            if self._choice.end is not None and time >= self._choice.end:
                number = info.declared  # the rest was not asked for
                break
            if not self._wanted(number, time):
                continue
            self._take(capture, number, time)
            if progress is not None:
                progress(number + 1, info.declared)
        else:
            summary.cancelled = True
            return
        if not summary.read:
            raise _unreadable(info.path, message("Not even its first frame can be decoded"))
        if number + 1 < info.declared:
            summary.problems.append(f"It ends after {number + 1:,} of {info.declared:,} frames: the rest is damaged or missing.")
        if self._backwards:
            summary.problems.append(f"The times of {self._backwards:,} frames run backwards; they were counted on.")

    def _time(self, capture: cv2.VideoCapture, number: int) -> float:
        """Seconds of a frame: its own time, else by the mean rate."""
        import cv2

        rate = self._plan.info.rate
        time = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        if not math.isfinite(time) or (number and time <= 0):
            if not rate and (self._choice.seconds is not None or self._choice.start or self._choice.end is not None):
                raise _unreadable(self._plan.info.path, message("Its frames have no times; choose every n-th frame instead"))
            time = number / rate if rate else float(number)
        self._backwards += time < self._last
        self._last = max(time, self._last)
        return self._last

    def _wanted(self, number: int, time: float) -> bool:
        if time < self._choice.start:
            return False
        if self._choice.every is not None:
            return number % self._choice.every == 0
        assert self._choice.seconds is not None
        if time + 1e-6 < self._due:
            return False
        steps = math.floor((time + 1e-6 - self._choice.start) / self._choice.seconds) + 1
        self._due = self._choice.start + steps * self._choice.seconds
        return True

    def _take(self, capture: cv2.VideoCapture, number: int, time: float) -> None:
        stem = f"{self._plan.info.path.stem}_{number:06d}"
        frames = self._record["frames"]
        for kind in ("png", "jpg"):
            if os.path.lexists(self._plan.folder / f"{stem}.{kind}"):
                frames.setdefault(f"{stem}.{kind}", round(time, 6))
                self._summary.kept += 1
                return
        picture = _decoded(capture)
        if picture is None:
            self._summary.failed.append(number)
            return
        name = f"{stem}.{self._choice.kind}"
        atomic_write(self._plan.folder / name, _encoded(picture, self._choice.kind))
        frames[name] = round(time, 6)
        self._summary.written += 1
        if self._summary.written % _KEEP_EVERY == 1:
            _write_record(self._plan.folder, self._record)


# -- decoding --------------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A capture of OpenCV. Raises ImageReadError for what is not a video, whatever its name."""
    import cv2

    try:
        with path.open("rb") as stream:
            head = stream.read(400)
    except OSError as error:
        raise ImageReadError(
            message("the video cannot be read"), why=error.strerror or str(error), remedy=message("Check the file"), path=path
        ) from error
    if not _is_container(head):
        # A playlist would make the decoder open other files and addresses.
        raise _unreadable(path, message("Its content is that of no known video"))
    try:
        name = os.fsencode(path.absolute()).decode("utf-8")
    except UnicodeDecodeError as error:  # names of other systems; the decoder takes text only
        raise ImageReadError(
            message("the name of the video is not text"), why=message("It was written with another encoding"),
            remedy=message("Rename the file or its folder"), path=path,
        ) from error  # fmt: skip
    # Only FFmpeg: other readers take a name with % for a row of pictures. It turns frames as a player does.
    capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    try:
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        if not capture.isOpened():
            raise _unreadable(path, message("The decoder does not know its format, or the file is damaged"))
        yield capture
    finally:
        capture.release()


def _is_container(head: bytes) -> bool:
    """Whether a file begins as MP4/MOV, Matroska/WebM, AVI, MPEG, Ogg, FLV or ASF/WMV."""
    starts = (b"\x1aE\xdf\xa3", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"OggS", b"FLV\x01", b"0&\xb2u\x8ef\xcf\x11")
    boxes = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
    transport = any(
        len(head) > first + size and head[first] == head[first + size] == 0x47 for first, size in ((0, 188), (4, 192))
    )
    return head.startswith(starts) or head[4:8] in boxes or (head[:4] == b"RIFF" and head[8:11] == b"AVI") or transport


def _info(path: Path, capture: cv2.VideoCapture) -> VideoInfo:
    import cv2

    width, height = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    check_size(width, height, path)
    rotation = int(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360
    rate, declared = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    rate = rate if math.isfinite(rate) and _RATES[0] <= rate <= _RATES[1] else 0.0
    declared = int(declared) if math.isfinite(declared) and 0 < declared < 1e9 else 0
    return VideoInfo(path=path, width=width, height=height, rotation=rotation, declared=declared, rate=rate)


def _decoded(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    """(H, W, 3) uint8 BGR of the frame that was grabbed last, as it is displayed; None if it cannot be decoded."""
    import cv2

    try:
        done, picture = capture.retrieve()
    except cv2.error:
        return None
    known = done and picture is not None and picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8
    return np.asarray(picture) if known else None


def _encoded(picture: NDArray[np.uint8], kind: FrameFormat) -> bytes:
    import cv2

    options = [cv2.IMWRITE_PNG_COMPRESSION, _COMPRESSION] if kind == "png" else [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    done, data = cv2.imencode(f".{kind}", picture, options)
    if not done:
        raise StorageError(message("a frame cannot be encoded as {kind}", kind=kind), remedy=message("Choose another format"))
    return bytes(data)


def _unreadable(path: Path, why: str) -> ImageReadError:
    return ImageReadError(
        message("the video cannot be decoded"), why=why, remedy=message("Convert it to MP4 with another program"), path=path
    )


# -- the record of a folder ------------------------------------------------------------------------------------------------


def _new_record(video: Path) -> dict[str, Any]:
    return {"format": _RECORD_FORMAT, "program": __version__, "video": video.name, "key": _key(video), "frames": {}}


def _record_of(folder: Path, video: Path) -> dict[str, Any] | None:
    """What an earlier run left in a folder; None for a new or empty one.

    Raises:
        StorageError: it holds other files, or frames of another video.
    """
    path = folder / RECORD_NAME
    other = message("Choose another folder for the frames")
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise StorageError(message("the folder of the frames holds other files"), remedy=other, path=folder)
        if os.path.lexists(folder) and not folder.is_dir():
            raise StorageError(message("the folder of the frames is a file"), remedy=other, path=folder)
        return None
    with expecting("not a record of frames", path=path, remedy=other, error=StorageError):
        record = read_json(path, limit=256 << 20, what="the record of the frames", remedy=other, error=StorageError)
        frames = {str(name): float(time) for name, time in record["frames"].items()}
        key, name = str(record["key"]), str(record["video"])
    if key != _key(video):
        raise StorageError(message("the folder holds frames of another video, {name}", name=name), remedy=other, path=folder)
    return {**_new_record(video), "frames": frames}


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    data = {**record, "frames": dict(sorted(record["frames"].items()))}
    atomic_write(folder / RECORD_NAME, (json.dumps(data, indent=1) + "\n").encode())


def frame_times(folder: str | Path) -> dict[str, float]:
    """Seconds of the frames in a folder by their names; empty for a folder that no video was taken into."""
    try:
        record = read_json(Path(folder) / RECORD_NAME, limit=256 << 20, what="the record of the frames")
        return {str(name): float(time) for name, time in record["frames"].items()}
    except _STRANGE:
        return {}


_STRANGE: tuple[type[Exception], ...] = (AtrousError, *VALUE_ERRORS, OSError)


def _key(video: Path) -> str:
    """Tells a video from others: its size and both ends. Raises ImageReadError."""
    try:
        size = video.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        with video.open("rb") as stream:
            digest.update(stream.read(_ENDS))
            stream.seek(max(size - _ENDS, 0))
            digest.update(stream.read(_ENDS))
    except OSError as error:
        raise ImageReadError(
            message("the video cannot be read"), why=error.strerror or str(error), remedy=message("Check the file"), path=video
        ) from error
    return digest.hexdigest()


def summary_text(plan: FramePlan, summary: FrameSummary) -> list[str]:
    """What became of a video, one sentence a line."""
    there = f", {summary.kept:,} {'was' if summary.kept == 1 else 'were'} there." if summary.kept else "."
    said = [f"{count(summary.written, 'frame')} written to {plan.folder}{there}"]
    if summary.failed:
        numbers = name_some([str(number) for number in summary.failed], _NAMED)
        said.append(f"{count(len(summary.failed), 'frame')} could not be decoded: {numbers}.")
    said += summary.problems
    if summary.cancelled:
        said.append("It was stopped; the same command goes on.")
    return said
