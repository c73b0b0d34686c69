"""Whatever happens to a file's bytes, readers answer with a picture, a mask, or an error that names the file."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import ImageReadError, MaskFormatError
from deeplab_core.images import read_image
from deeplab_core.masks.read import read_mask

# Decoders may grumble about metadata; the outcome is what is tested.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def sample(kind: str) -> bytes:
    labels = np.random.default_rng(0).integers(0, 21, (24, 30), dtype=np.uint8)
    buffer = io.BytesIO()
    if kind == "npy":
        np.save(buffer, labels)
    else:
        picture = Image.fromarray(labels)
        if kind == "PNG":
            picture.putpalette(get_catalog("voc21").palette().tobytes())
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.save(buffer, kind, **({"exif": exif} if kind in ("PNG", "JPEG", "TIFF", "WEBP") else {}))
    return buffer.getvalue()


def damaged(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 3, 12))):
        changed[dice.randrange(min(len(changed), dice.choice((64, 400, len(changed)))))] = dice.randrange(256)
    return bytes(changed[: dice.randrange(1, len(changed))] if dice.random() < 0.2 else changed)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "PPM", "npy"])
def test_damage_is_answered_by_name(tmp_path: Path, kind: str) -> None:
    dice = random.Random(kind)
    whole = sample(kind)
    path = tmp_path / "file.png"
    errors: list[ImageReadError | MaskFormatError] = []
    for _ in range(30):
        path.write_bytes(damaged(whole, dice))
        try:
            assert read_image(path).rgb.shape[2] == 3
        except ImageReadError as error:
            errors.append(error)
        try:
            assert read_mask(path, get_catalog("voc21")).ndim == 2
        except MaskFormatError as error:
            errors.append(error)
    assert errors
    assert all(error.path == path and error.remedy for error in errors)


def test_a_long_message_of_a_decoder_is_cut(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 5), np.uint8))
    data = bytearray((tmp_path / "a.npy").read_bytes())
    data[8:10] = struct.pack("<H", 60_000)  # the length of the header, which NumPy quotes
    (tmp_path / "a.npy").write_bytes(bytes(data) + b" " * 61_000)
    with pytest.raises(MaskFormatError, match="damaged") as caught:
        read_mask(tmp_path / "a.npy", get_catalog("voc21"))
    assert len(str(caught.value)) < 1000
