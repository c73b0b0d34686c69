"""Opening a stranger's file without running anything in it.

Formats are told by content, never by the file's name: safetensors, torch's zip archives, torch's older pickles, TensorFlow's
frozen graphs and checkpoints. Pickles go through torch's restricted unpickler only, with a short list of further harmless types
that peers' training scripts save.
"""

from __future__ import annotations

import pickle
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deeplab_core.errors import UnsafeCheckpoint, WeightsError
from deeplab_core.weights.tensorflow import is_tensorflow, read_tensorflow, tensorflow_file

#: A checkpoint that claims more than this is no segmentation network: the largest known (DeconvNet) has 1 GB.
LARGEST_FILE = 16 * 2**30

_REMEDY_BROKEN = "Download or copy the file again"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a file holds, before anybody knows whose it is.

    Attributes:
        path: the file.
        tensors: the network's tensors by key; dtypes as stored, on the CPU.
        extras: plain values beside the tensors (epoch, architecture name, class list).
        metadata: a safetensors file's own strings.
        wrapper: path of keys under which the tensors were found, e.g. ``"model_state"``; empty for a bare state dict.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    extras: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    wrapper: str = ""


def read_file(path: Path) -> tuple[Any, Mapping[str, str]]:
    """Read a checkpoint file safely.

    Args:
        path: a file, or a folder of ``save_pretrained`` form that holds ``model.safetensors`` (or ``pytorch_model.bin``).

    Returns:
        What it holds (a mapping with tensors somewhere inside) and the safetensors metadata.

    Raises:
        WeightsError: missing, empty, truncated or of no known format.
        UnsafeCheckpoint: a pickle that names code, or an archive with path tricks.
    """
    path = weights_file(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(512)
            stream.seek(max(0, size - 8))
            tail = stream.read(8)
    except OSError as error:
        raise WeightsError(
            "the weights file cannot be read", why=str(error), remedy="Check the path and its rights", path=path
        ) from error
    if size == 0:
        raise WeightsError("the weights file is empty", remedy=_REMEDY_BROKEN, path=path)
    if size > LARGEST_FILE:
        raise WeightsError(
            f"the file has {size / 2**30:.0f} GiB, far more than a segmentation network",
            remedy="Choose the checkpoint, not an archive of data",
            path=path,
        )
    if _is_safetensors(head, size):
        return _read_safetensors(path)
    if head.startswith(b"PK"):
        _inspect_archive(path)
        return _read_torch(path), {}
    if head.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")) or head[257:262] == b"ustar":
        return _read_torch(path), {}
    if is_tensorflow(head, tail):
        return read_tensorflow(path, head, tail), {}
    raise WeightsError(
        "not a file of network weights",
        why="it is neither safetensors nor written by torch.save or TensorFlow" + _looks_like(head),
        remedy="Choose a .safetensors, .pth, .pt or .ckpt file, a frozen graph (.pb) or a TensorFlow checkpoint's .index",
        path=path,
    )


def weights_file(path: Path) -> Path:
    """The file itself, the weights inside a ``save_pretrained`` or TensorFlow release folder, or a checkpoint's index."""
    if path.is_dir():
        for name in ("model.safetensors", "pytorch_model.bin"):
            if (path / name).is_file():
                return path / name
    tensorflow = tensorflow_file(path)
    if tensorflow is not None:
        return tensorflow
    if path.is_dir():
        raise WeightsError("the folder holds no weights", why="model.safetensors is not in it", remedy="Choose a file", path=path)
    return path


def _is_safetensors(head: bytes, size: int) -> bool:
    if len(head) < 9:
        return False
    (length,) = struct.unpack("<Q", head[:8])
    return head[8:9] == b"{" and length <= size


def _looks_like(head: bytes) -> str:
    if head[:1] in (b"<", b"\xef"):
        return "; it looks like a web page, perhaps a failed download"
    if head.startswith(b"version https://git-lfs"):
        return "; it is a Git LFS pointer, not the file itself"
    return ""


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as stream:
            # The keys view does not iterate by itself in every version of the library.
            keys = list(stream.keys())
            return {key: stream.get_tensor(key) for key in keys}, dict(stream.metadata() or {})
    except (SafetensorError, OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise WeightsError("the safetensors file is damaged", why=str(error), remedy=_REMEDY_BROKEN, path=path) from error


def _inspect_archive(path: Path) -> None:
    """Refuse archives that no ``torch.save`` writes: paths outside the archive, links, compressed bombs."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise WeightsError("the archive is truncated or damaged", why=str(error), remedy=_REMEDY_BROKEN, path=path) from error
    for entry in entries:
        # ZipInfo cuts names at a null byte and turns backslashes; the original spelling is what a careless reader would use.
        name = entry.orig_filename
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or ".." in parts or ":" in name or "\0" in name or "\\" in name:
            raise UnsafeCheckpoint(
                "the archive hides files outside itself",
                why=f"it has an entry named {name!r}",
                remedy="Do not use this file; get it from its authors again",
                path=path,
            )
        if (entry.external_attr >> 16) & 0o170000 == 0o120000:
            raise UnsafeCheckpoint("the archive holds a link", why=f"entry {name!r}", remedy="Do not use this file", path=path)
        if entry.file_size > LARGEST_FILE or (entry.file_size > 2**20 and entry.file_size > 100 * max(1, entry.compress_size)):
            raise UnsafeCheckpoint(
                "the archive unpacks to far more than it holds",
                why=f"entry {name!r} claims {entry.file_size} bytes from {entry.compress_size}",
                remedy="Do not use this file",
                path=path,
            )
    if not any(entry.filename.endswith("data.pkl") for entry in entries):
        inner = sorted({entry.filename for entry in entries})[:3]
        raise WeightsError(
            "a zip archive, but not one that torch.save wrote",
            why=f"it holds {', '.join(inner) or 'nothing'}",
            remedy="If the checkpoint is packed inside, unpack it and choose the file",
            path=path,
        )
    if any("/code/" in entry.filename or entry.filename.startswith("code/") for entry in entries):
        raise UnsafeCheckpoint(
            "a TorchScript program, not plain weights",
            why="TorchScript archives hold code",
            remedy="Save the model's state_dict() instead",
            path=path,
        )


def _harmless() -> list[Any]:
    """Types that peers' training scripts save beside the tensors: numpy scalars (best score) and argument lists."""
    import argparse

    dtypes = [type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")]
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    return [(scalar, "numpy.core.multiarray.scalar"), scalar, np.dtype, *dtypes, argparse.Namespace]


def _read_torch(path: Path) -> Any:
    try:
        # What torch has to say about a stranger's file (sparse tensors, old storages) helps nobody here.
        with torch.serialization.safe_globals(_harmless()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        text = str(error)
        if "GLOBAL" in text or "Unsupported" in text or "class" in text:
            raise UnsafeCheckpoint(
                "the file asks to run code; it was not opened",
                why=_first_sentence(text),
                remedy="If you trust its authors, open it in their program and save only model.state_dict()",
                path=path,
            ) from error
        raise WeightsError(
            "the file is truncated or damaged", why=_first_sentence(text), remedy=_REMEDY_BROKEN, path=path
        ) from error
    except MemoryError as error:
        raise WeightsError(
            "the file asks for more memory than there is", remedy="Choose a smaller checkpoint", path=path
        ) from error
    except Exception as error:
        # A damaged pickle fails in every way an interpreter can: nothing of it has been used yet, so one answer fits all.
        raise WeightsError(
            "the file is truncated or damaged",
            why=f"{type(error).__name__}: {_first_sentence(str(error))}",
            remedy=_REMEDY_BROKEN,
            path=path,
        ) from error


def _first_sentence(text: str) -> str:
    for line in text.splitlines():
        if "GLOBAL" in line or "Unsupported" in line:
            return line.strip()[:240]
    return (text.splitlines() or [""])[0].strip()[:240]


def check_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that no network holds.

    Raises:
        WeightsError: sparse, quantised or complex tensors.
        UnsafeCheckpoint: a tensor that claims more values than the file stores (expands without end when used).
    """
    for key, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            raise WeightsError(
                f"'{key}' is not a plain tensor",
                why=f"{tensor.dtype}, {tensor.layout}",
                remedy="Save float weights: quantised networks run through their own engine",
                path=path,
            )
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise UnsafeCheckpoint(
                f"'{key}' claims {tensor.numel()} values, more than the file stores",
                remedy="Do not use this file",
                path=path,
            )


def walk(value: Any, depth: int = 4) -> Iterator[tuple[str, Any]]:
    """Every mapping inside ``value`` with its path of keys, outermost first."""
    if isinstance(value, Mapping) and depth:
        yield "", value
        for key, part in value.items():
            for path, inner in walk(part, depth - 1):
                yield (f"{key}.{path}" if path else str(key)), inner
