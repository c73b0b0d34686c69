"""Which file holds the weights, and our own safetensors files read without torch."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core import model_cards as cards
from deeplab_core.errors import WeightsError, message
from deeplab_core.flavour import require_torch
from deeplab_core.model_files import index_of, model_in_folder, tensorflow_file
from deeplab_core.records import CARD_KEY, ModelCard


def weights_file(path: Path) -> Path:
    """The file itself; the index of weights in several parts, for one part of them; the weights inside a ``save_pretrained`` or
    TensorFlow release folder; a checkpoint's index.
    """
    if path.is_dir():
        found = model_in_folder(path) or tensorflow_file(path)
        if found is None:
            why = message("neither model.safetensors (or its index) nor pytorch_model.bin is in it")
            raise WeightsError(message("the folder holds no weights"), why=why, remedy=message("Choose a file"), path=path)
        return found
    found = index_of(path) or tensorflow_file(path) or path
    try:
        ordinary = stat.S_ISREG(found.stat().st_mode)
    except OSError as error:
        raise WeightsError(
            message("the weights file cannot be read"), why=str(error), remedy=message("Check the path and its rights"), path=path
        ) from error
    if not ordinary:  # opening a pipe would wait for its writer
        raise WeightsError(
            message("not a file of network weights"),
            why=message("It is a pipe or a device"),
            remedy=message("Choose a file"),
            path=path,
        )
    return found


@dataclass(frozen=True, slots=True)
class OwnWeights:
    """One of our files.

    Attributes:
        path: of the file.
        card: the card inside it.
    """

    path: Path
    card: ModelCard

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Its tensors by name; counters of training are left out.

        Raises:
            WeightsError: values are not finite, or the file cannot be read any more.
            MissingPackage: values of a type that only torch reads.
        """
        from safetensors import SafetensorError, deserialize

        found: dict[str, NDArray[np.float32]] = {}
        try:
            rows = deserialize(self.path.read_bytes())  # type: ignore[no-untyped-call]
        except (SafetensorError, OSError, ValueError) as error:
            raise _damaged(self.path, error) from error
        for key, row in rows:
            values = _floats(row["data"], row["dtype"])
            if values is not None:
                found[key] = np.ascontiguousarray(values.reshape(row["shape"]), np.float32)
        bad = [key for key, values in found.items() if not np.isfinite(values).all()]
        if bad:
            raise WeightsError(
                message(
                    "{count} tensors hold values that are not numbers: {tensors}", count=len(bad), tensors=", ".join(bad[:4])
                ),
                why=message("the training that wrote the file diverged, or the file is damaged"),
                remedy=message("Use an earlier checkpoint"),
                path=self.path,
            )
        return found


def _floats(data: bytes, kind: str) -> NDArray[Any] | None:
    """Numbers of a tensor; None for whole numbers. numpy knows no bfloat16: it is the upper half of a float32."""
    if kind == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    if kind in ("F16", "F32", "F64"):
        return np.frombuffer(data, f"<f{int(kind[1:]) // 8}")
    if not kind.startswith(("I", "U", "BOOL")):
        require_torch(message("Reading this checkpoint"))
    return None


def _damaged(path: Path, error: Exception) -> WeightsError:
    return WeightsError(
        message("the safetensors file is damaged"), why=str(error), remedy=message("Download or copy the file again"), path=path
    )


def read_own_weights(path: Path) -> OwnWeights:
    """One of our safetensors files, by its header.

    Raises:
        MissingPackage: the file is of another kind, which only torch reads.
        WeightsError: it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if path.name.lower().endswith(".safetensors"):
        try:
            with safe_open(str(path), framework="numpy") as file:
                text = (file.metadata() or {}).get(CARD_KEY)
        except (SafetensorError, OSError, ValueError) as error:
            raise _damaged(path, error) from error
        if text is not None:
            return OwnWeights(path, cards.card_from_metadata(text, path))
    require_torch(message("Reading this checkpoint"))
    raise WeightsError(message("not a file of this program"), remedy=message("Open it with load_model"), path=path)
