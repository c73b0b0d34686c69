"""Decoding: any supported image file to an oriented RGB array, and to thumbnails without the whole work."""

from __future__ import annotations

import io
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deeplab_core.errors import ImageReadError, MessageText, message, plural_message
from deeplab_core.images.channels import NOTHING_DECLARED, Declared, bgr_to_rgb, grey_to_rgb, scale_to_uint8, scaled_from
from deeplab_core.images.guard import COPY_AGAIN, decoder_guard
from deeplab_core.images.identity import key_of
from deeplab_core.images.jpeg import END, jpeg_state, missing_share
from deeplab_core.images.limits import LARGE, check_memory
from deeplab_core.images.orientation import to_oriented
from deeplab_core.images.pillow import Image, pillow_pixels
from deeplab_core.images.png import PngHeader, deep_samples, read_png_header
from deeplab_core.images.png_strips import PngLayout, png_layout, png_reduced, png_rgb, png_samples
from deeplab_core.images.pnm import SIGNATURES, read_pnm
from deeplab_core.images.probe import ImageInfo, probe_bytes, read_file
from deeplab_core.images.tiff import decode_tiff, load_tiff
from deeplab_core.notes import Note, frames_note, note_text

#: Formats that OpenCV decodes fastest and without applying the orientation itself (its WebP and TIFF readers do).
_OPENCV_FORMATS = frozenset({"JPEG", "MPO", "PNG", "BMP"})

#: Of the pictures that an MPO file holds besides the first, only these are pictures to look at: no thumbnails, no gain maps.
_MPO_PICTURES = "Multi-Frame Image"

#: Start of a JPEG 2000 code stream and of the segment that declares sizes.
_JPEG2000_SIZE = b"\xff\x4f\xff\x51"

_ONE_LARGE = threading.Lock()

_RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageData:
    """One decoded image.

    Attributes:
        rgb: (H, W, 3) uint8, 0..255 sRGB as stored in the file, oriented, C-contiguous.
        info: header facts; ``info.width`` and ``info.height`` are the sides of ``rgb``.
        key: content key of the file (see :func:`content_key`).
        notes: what was scaled or left out; none for ordinary photographs.
        four: (H, W, 4) uint8: the colours and the file's fourth channel (alpha, near infrared), scaled together, where
            ``fourth`` asked for it; None otherwise.
    """

    rgb: NDArray[np.uint8]
    info: ImageInfo
    key: str
    notes: tuple[Note, ...] = ()
    four: NDArray[np.uint8] | None = None

    def pixels(self, channels: int = 3) -> NDArray[np.uint8]:
        """What a network of so many input channels is given: ``rgb``, or ``four`` for four.

        Raises:
            ImageReadError: the network takes four channels and the image has three.
        """
        if channels != 4:
            return self.rgb
        if self.four is None:
            raise too_few_channels(self.info.path)
        return self.four

    @property
    def note(self) -> str:
        """The notes in one line; empty for ordinary photographs."""
        return note_text(self.notes)


def too_few_channels(path: Path | None = None) -> ImageReadError:
    """The error of a network of four channels that is given an image of three."""
    return ImageReadError(
        message("this network takes 4 channels; this image has 3"),
        why=message(
            "its fourth channel (alpha or near infrared) must be in the file: a PNG or WebP with alpha, a TIFF of four bands"
        ),
        remedy=message("Choose images of four channels, or a network of three"),
        path=path,
    )


def read_image(path: str | Path, *, fourth: bool = False) -> ImageData:
    """Decode an image file; EXIF orientation applied, the file only ever read.

    Grey becomes three equal channels; alpha is dropped (the colours under it are shown); palettes are expanded; CMYK is
    converted; pixels of more than 8 bits are scaled as :func:`deeplab_core.images.channels.scale_to_uint8` says, whatever the
    format. Of several frames or pages the first is read, and a note says how many there are. A JPEG that lacks only its end
    marker, or in which the decoder filled missing data with grey, is read with a note. Colour profiles are not applied: networks
    are trained on the stored values.

    Args:
        fourth: also keep the fourth channel of a file of four, for a network that takes it.

    Raises:
        ImageReadError: missing, truncated, damaged, no image, or larger than ``MAX_PIXELS``.
    """
    path = Path(path)
    return decode_image(read_file(path), path, fourth=fourth)


def decode_image(data: bytes, path: Path, *, fourth: bool = False) -> ImageData:
    """As :func:`read_image`, for a file that is in memory already; ``path`` is what errors name."""
    info = probe_bytes(data, path)
    with _turn_of(info):
        stored, notes = _decode_stored(data, info)
        four = _four_channels(data, info) if fourth else None
        return ImageData(
            rgb=to_oriented(stored, info.orientation), info=info, key=key_of(data), notes=tuple(notes),
            four=None if four is None else to_oriented(four, info.orientation),
        )  # fmt: skip


def _turn_of(info: ImageInfo) -> AbstractContextManager[object]:
    """Large pictures wait for each other: their memory is bounded one by one, and threads would add it up."""
    return _ONE_LARGE if info.width * info.height >= LARGE else nullcontext()


def _check_jpeg(data: bytes, info: ImageInfo, picture_bytes: int) -> None:
    """Raise ImageReadError for a large JPEG that takes too much memory; ``picture_bytes`` are those of a pixel as decoded."""
    pixels = info.width * info.height
    if pixels < LARGE:
        return
    state = jpeg_state(data)
    needed = len(data) + int(pixels * max(state.decoder_bytes + picture_bytes, 2 * picture_bytes))
    kind = f"{state.samples:g} samples of 8 bits{', progressive' if state.progressive else ''}"
    check_memory(needed, kind, info.path, message("Save it without progressive coding, or cut it into smaller pictures"))


def _decode_stored(data: bytes, info: ImageInfo) -> tuple[NDArray[np.uint8], list[Note]]:
    """(H, W, 3) uint8 RGB in the stored frame."""
    path = info.path
    if info.format == "TIFF":
        stored, notes = decode_tiff(data, path)
    elif info.format in ("JPEG", "MPO"):
        stored, notes = _decode_jpeg(data, info)
    elif info.format == "PNG":
        stored, notes = _decode_png(data, info)
    elif info.format == "PPM":
        stored, notes = _decode_pnm(data, info)
    elif info.format == "JPEG2000":
        stored, notes = _decode_jpeg2000(data, info)
    elif info.format in _OPENCV_FORMATS:
        stored, notes = _decode_with_opencv(data, info)
    else:
        stored, notes = _decode_with_pillow(data, info)
    return stored, notes


def _four_channels(data: bytes, info: ImageInfo) -> NDArray[np.uint8] | None:
    """(H, W, 4) of a file of four channels (of more the first four), as stored; None for fewer, and for inks (CMYK)."""
    values, declared = None, NOTHING_DECLARED
    if info.format == "TIFF":
        found = load_tiff(data, info.path)
        if found.palette is None and found.pixels.shape[2] >= 4 and found.photometric != "SEPARATED":
            values, declared = found.pixels[..., :4], found.declared
    elif info.format == "PNG" and (header := read_png_header(data)) is not None and header.depth == 16:
        with decoder_guard(ImageReadError, "the image file is damaged", info.path):
            samples = deep_samples(data, header.kind)
        if samples is not None and samples.ndim == 3 and samples.shape[2] == 4:
            values, declared = samples, Declared(bits=header.significant)
    else:
        with decoder_guard(ImageReadError, "the image file is damaged", info.path), Image.open(io.BytesIO(data)) as picture:
            if picture.mode == "RGBA":
                check_memory(len(data) + info.width * info.height * 11, "four channels beside the picture", info.path)
                values = pillow_pixels(picture, "RGBA")
    return None if values is None else np.ascontiguousarray(scale_to_uint8(values, declared)[0])


def read_thumbnail(path: str | Path, side: int) -> NDArray[np.uint8]:
    """A small oriented picture, at most ``side`` px on its long side and never enlarged.

    JPEG files are decoded at 1/2, 1/4 or 1/8 of their size, whichever still covers the thumbnail; large PNG files are made
    smaller strip by strip.

    Returns:
        (h, w, 3) uint8 RGB, C-contiguous.

    Raises:
        ImageReadError: as :func:`read_image`.
    """
    path = Path(path)
    data = read_file(path)
    info = probe_bytes(data, path)
    long_side = max(info.size)
    factor = next((factor for factor in (8, 4, 2) if long_side // factor >= side), 1)
    if factor > 1 and info.format in ("JPEG", "MPO"):
        with _turn_of(info):
            _check_jpeg(data, info, 0)
            reduced = cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED[factor] | cv2.IMREAD_IGNORE_ORIENTATION)
        if reduced is not None:
            # The reduced flags know no RGB variant; turning a small picture costs nothing.
            return to_oriented(_shrink(bgr_to_rgb(np.asarray(reduced, dtype=np.uint8)), side), info.orientation)
    layout = _strips_of(data, info, whole=False) if long_side >= 2 * side else None
    if layout is not None:
        with decoder_guard(ImageReadError, "the image file is damaged", path):
            small = png_reduced(data, layout, long_side // (2 * side))
        rgb = _deep_rgb(small, read_png_header(data))[0] if layout.depth == 16 else small
        return to_oriented(_shrink(rgb, side), info.orientation)
    return _shrink(decode_image(data, path).rgb, side)


def _shrink(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return rgb
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(rgb, target, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _decode_jpeg(data: bytes, info: ImageInfo) -> tuple[NDArray[np.uint8], list[Note]]:
    _check_jpeg(data, info, 3)
    state = jpeg_state(data)
    if state.ended:
        stored, notes = _decode_with_opencv(data, info)
        missing = missing_share(stored)
        if missing:
            text = message(
                "data are missing: about {percent} of the picture, at its end, is filled with grey", percent=_percent(missing)
            )
            notes.append(Note("incomplete", text, _too_early(), warning=True))
    else:
        # With an end marker the decoders give what there is; without one they give nothing.
        stored, notes = _decode_with_opencv(data + END, info)
        missing = missing_share(stored)
        if missing:
            raise ImageReadError(
                message("the image file is damaged"),
                why=message("The file ends too early: about {percent} of the picture is missing", percent=_percent(missing)),
                remedy=COPY_AGAIN,
                path=info.path,
            )
        text = message("the file has no end marker; the picture is all there")
        notes.append(Note("incomplete", text, plural_message("has no end marker", "have no end marker", 1)))
    if not state.detailed:
        text = message("the file ends too early: the fine detail of the picture is missing")
        notes.append(Note("incomplete", text, _too_early(), warning=True))
    return stored, notes


def _too_early() -> MessageText:
    return plural_message("ends too early", "end too early", 1)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "1 %"


def _decode_png(data: bytes, info: ImageInfo) -> tuple[NDArray[np.uint8], list[Note]]:
    header = read_png_header(data)
    notes = [] if header is None or header.frames < 2 else [frames_note(header.frames)]
    if header is None or header.depth != 16:
        layout = _strips_of(data, info)
        if layout is not None:
            with decoder_guard(ImageReadError, "the image file is damaged", info.path):
                return png_rgb(data, layout), notes
        stored, more = _decode_with_opencv(data, info)
        return stored, more + notes
    layout = _strips_of(data, info)
    with decoder_guard(ImageReadError, "the image file is damaged", info.path):
        samples = deep_samples(data, header.kind) if layout is None else png_samples(data, layout, min(layout.samples, 3))
    width, height = info.stored_size
    if samples is None or samples.shape[:2] != (height, width):
        stored, more = _decode_with_pillow(data, info)
        return stored, more + notes
    stored, more = _deep_rgb(samples, header)
    return stored, more + notes


def _deep_rgb(samples: NDArray[Any], header: PngHeader | None) -> tuple[NDArray[np.uint8], list[Note]]:
    """RGB of the samples of a 16-bit PNG; alpha is dropped."""
    colors = samples if samples.ndim == 2 else samples[..., :3] if samples.shape[2] > 2 else samples[..., 0]
    scaled, notes = scale_to_uint8(colors, Declared(bits=header.significant if header is not None else None))
    return (grey_to_rgb(scaled) if scaled.ndim == 2 else np.ascontiguousarray(scaled)), notes


def _strips_of(data: bytes, info: ImageInfo, *, whole: bool = True) -> PngLayout | None:
    """The layout of a large PNG, which is then read in strips; None for every other file.

    Args:
        data: the file.
        info: its header.
        whole: whether the whole picture is held; a smaller one takes no memory to speak of.

    Raises:
        ImageReadError: damaged before its pixels, or it takes more memory than one picture may.
    """
    if info.format != "PNG" or info.width * info.height < LARGE:
        return None
    with decoder_guard(ImageReadError, "the image file is damaged", info.path):
        layout = png_layout(data)
    if layout is None:
        return None
    pixels, samples = info.width * info.height, min(layout.samples, 3)
    kind = f"{layout.samples} sample{'s' if layout.samples > 1 else ''} of {layout.depth} bits"
    if layout.interlaced:
        # The decoders hold all passes beside the picture.
        remedy = message("Save it without interlacing, or cut it into smaller pictures")
        needed = len(data) + pixels * (layout.samples * max(1, layout.depth // 8) + 6)
        check_memory(needed, f"{kind}, interlaced", info.path, remedy)
        return None
    needed = pixels * (3 if info.orientation == 1 else 6)
    if layout.depth == 16:
        needed = pixels * (2 * samples + samples + (3 if samples < 3 else 0))
    if whole:
        check_memory(
            len(data) + needed, kind, info.path, message("Save it with 8 bits a sample, or cut it into smaller pictures")
        )
    return layout


def _decode_pnm(data: bytes, info: ImageInfo) -> tuple[NDArray[np.uint8], list[Note]]:
    if data.startswith(SIGNATURES):
        values, largest = read_pnm(data, info.path)
        if largest > 255:
            scaled, notes = scale_to_uint8(values, Declared(low=0, high=largest))
            return (grey_to_rgb(scaled) if scaled.ndim == 2 else scaled), notes
    return _decode_with_pillow(data, info)


def _decode_jpeg2000(data: bytes, info: ImageInfo) -> tuple[NDArray[np.uint8], list[Note]]:
    bits = _jpeg2000_bits(data)
    if bits <= 8 or info.mode.startswith("I"):
        return _decode_with_pillow(data, info)
    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), _RGB | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        values = None
    width, height = info.stored_size
    if values is None or values.shape != (height, width, 3) or values.dtype != np.uint16:
        stored, notes = _decode_with_pillow(data, info)
        return stored, [*notes, Note("scaled", message("{bits}-bit values, the high bytes shown", bits=bits), scaled_from(bits))]
    return scale_to_uint8(np.asarray(values), Declared(bits=bits))


def _jpeg2000_bits(data: bytes) -> int:
    """Bits of a sample from the SIZ segment of the code stream (ITU-T T.800, annex A.5.1); 8 without one."""
    place = data.find(_JPEG2000_SIZE)
    depth = place + len(_JPEG2000_SIZE) + 38
    return (data[depth] & 0x7F) + 1 if place >= 0 and depth < len(data) else 8


def _decode_with_opencv(data: bytes, info: ImageInfo) -> tuple[NDArray[np.uint8], list[Note]]:
    try:
        stored = cv2.imdecode(np.frombuffer(data, np.uint8), _RGB)
    except cv2.error:
        stored = None
    width, height = info.stored_size
    if stored is None or stored.shape != (height, width, 3):
        # Pillow reads a few files that OpenCV refuses, and says why it refuses the others.
        return _decode_with_pillow(data, info)
    notes = []
    if info.format == "MPO":
        with decoder_guard(ImageReadError, "the image file is damaged", info.path), Image.open(io.BytesIO(data)) as picture:
            notes = _further_pictures(picture)
    return np.asarray(stored, dtype=np.uint8), notes


def _decode_with_pillow(data: bytes, info: ImageInfo) -> tuple[NDArray[np.uint8], list[Note]]:
    with decoder_guard(ImageReadError, "the image file is damaged", info.path), Image.open(io.BytesIO(data)) as picture:
        notes = _further_pictures(picture)
        picture.seek(0)
        # Pillow holds 4 bytes of a pixel (8 of some kinds of JPEG 2000), and the result has 3.
        check_memory(len(data) + info.width * info.height * 7, f"the kind {picture.mode}", info.path)
        picture.load()
        if picture.mode.startswith(("I", "F")):
            stored = np.asarray(picture)
            if picture.mode == "I" and stored.min() >= 0 and stored.max() <= 65535:
                stored = stored.astype(np.uint16)  # 16-bit samples, for which Pillow has a type of 32 bits
            values, scaled = scale_to_uint8(stored)
            return grey_to_rgb(values), scaled + notes
        return pillow_pixels(picture, "RGB"), notes


def _further_pictures(picture: Image.Image) -> list[Note]:
    """A note where a file holds more frames than the one that is read."""
    frames = int(getattr(picture, "n_frames", 1))
    if picture.format == "MPO":
        entries = (getattr(picture, "mpinfo", None) or {}).get(0xB002, ())
        kinds = [str(entry.get("Attribute", {}).get("MPType", "")) for entry in entries[1:]]
        frames = 1 + sum(kind.startswith(_MPO_PICTURES) for kind in kinds)
    return [frames_note(frames)] if frames > 1 else []
