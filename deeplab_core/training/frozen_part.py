"""The beginning of a network that does not learn: its features are computed once for each view and kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as from_bytes
from safetensors.numpy import save as to_bytes
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from deeplab_core.atomic import make_folder
from deeplab_core.errors import AtrousError, message
from deeplab_core.nn import SegmentationModel
from deeplab_core.nn.base import Encoder
from deeplab_core.training.dataset import Batch

#: Kept features of another version of the program are not read.
_VERSION = 1
_PROBE_SIDE = 65
_LARGEST_HALF = 65504.0


class ReadLevels(Sequence[Tensor]):
    """Levels of an encoder that note which ones are looked at."""

    def __init__(self, levels: Sequence[Tensor]) -> None:
        self._levels = levels
        self.read: set[int] = set()

    def __len__(self) -> int:
        return len(self._levels)

    @overload
    def __getitem__(self, place: int) -> Tensor: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Tensor]: ...
    def __getitem__(self, place: int | slice) -> Tensor | Sequence[Tensor]:
        self.read.update(range(*place.indices(len(self))) if isinstance(place, slice) else (place % len(self),))
        return self._levels[place]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[place] for place in range(len(self)))


class FrozenPart:
    """The longest beginning of a network's encoder without a parameter that learns.

    Attributes:
        names: modules that belong to it.
    """

    def __init__(self, model: SegmentationModel, run: Callable[[Tensor], object]) -> None:
        """Find it.

        Args:
            model: with ``requires_grad`` and modes set as in training; norms that keep their statistics are in eval mode.
            run: runs the network as training does, to see which levels of the encoder it reads.

        Raises:
            AtrousError: the network has no such beginning.
        """
        encoder = getattr(model, "encoder", None)
        if not isinstance(encoder, Encoder):
            raise self._refusal(message("The network has no encoder of its own"))
        self._model, self._encoder = model, encoder

        def still(name: str) -> bool:
            module = encoder.get_submodule(name)
            return not any(p.requires_grad for p in module.parameters()) and not any(
                part.training for part in module.modules() if isinstance(part, _BatchNorm)
            )

        chain = encoder.chain
        count = 0
        while count < len(chain) and all(still(name) for name in chain[count]):
            count += 1
        #: Parts of the chain that are frozen; None for the whole encoder.
        self._parts: int | None = count
        if still("") and (not chain or count == len(chain)):
            self._parts = None
        elif not count:
            begins = message("The encoder begins with {chain}, which learns", chain=", ".join(chain[0])) if chain else ""
            raise self._refusal(begins or message("This encoder can only be frozen whole"))
        self.names: tuple[str, ...] = ("",) if self._parts is None else tuple(n for part in chain[:count] for n in part)
        self._needed = self._levels_read(run)

    @staticmethod
    def _refusal(why: str) -> AtrousError:
        return AtrousError(
            message("training recipe: cache_features finds no frozen layers at the beginning of the network"), why=why,
            remedy=message('Set freeze to the encoder or its first modules, e.g. ["encoder.stem", "encoder.blocks.?"]'),
        )  # fmt: skip

    def _levels_read(self, run: Callable[[Tensor], object]) -> tuple[int, ...]:
        side = max(_PROBE_SIDE, self._model.minimum_side)
        parameter = next(self._model.parameters())
        probe = torch.zeros(2, self._model.in_channels, side, side, device=parameter.device)
        modes = {module: module.training for module in self._model.modules()}
        with torch.no_grad():
            self._model.eval()
            levels = ReadLevels(self._encoder.levels(probe))
            with self._given(lambda: levels):
                run(probe)
            for module, training in modes.items():
                module.training = training
            if self._parts is None:
                return tuple(sorted(levels.read))
            _, found = self._encoder.run_chain(probe, stop=self._parts)
        self._found = len(found)
        return tuple(sorted(place for place in levels.read if place < self._found))

    def encode(self, x: Tensor) -> tuple[Tensor, ...]:
        """What the rest of the network needs of (n, 3, H, W) inputs: (n, C, h, w) each; without gradients."""
        with torch.no_grad():
            if self._parts is None:
                whole = self._encoder.levels(x)
                return tuple(whole[place] for place in self._needed)
            out, levels = self._encoder.run_chain(x, stop=self._parts)
            return (out, *(levels[place] for place in self._needed))

    @contextmanager
    def replay(self, features: tuple[Tensor, ...]) -> Iterator[None]:
        """Within it the network goes on from features of :meth:`encode`; of its input only the size matters."""

        def levels() -> Sequence[Tensor]:
            count = len(self._encoder.level_channels) if self._parts is None else self._found
            kept = features if self._parts is None else features[1:]
            filled = [features[0]] * count  # in the places of levels that nothing reads
            for place, level in zip(self._needed, kept, strict=True):
                filled[place] = level
            if self._parts is None:
                return filled
            return self._encoder.run_chain(features[0], tuple(filled), first=self._parts)[1]

        with self._given(levels):
            yield

    @contextmanager
    def _given(self, levels: Callable[[], Sequence[Tensor]]) -> Iterator[None]:
        """Within it the encoder gives these levels, whatever its input."""
        self._encoder.__dict__["levels"] = lambda _x: levels()
        try:
            yield
        finally:
            del self._encoder.__dict__["levels"]

    def digest(self) -> str:
        """sha256 of everything that decides the features beside the input: weights, layers, stride."""
        parts = {
            "version": _VERSION, "encoder": type(self._encoder).__name__, "parts": self._parts, "needed": self._needed,
            "stride": self._model.output_stride, "backbone": self._model.architecture["backbone"],
            "options": self._model.architecture["backbone_options"],
        }  # fmt: skip
        found = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        for name in self.names:
            for key, tensor in self._encoder.get_submodule(name).state_dict().items():
                found.update(f"{name}.{key}{tuple(tensor.shape)}".encode())
                found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()


class FeatureCache:
    """Features of a frozen part on disk, in half precision, one file for each view.

    A file's name is the digest of the pixels that the network sees, so image, scale, crop, colour and mirroring decide it; its
    folder's name is the digest of the weights. What is not there is computed, rounded alike and kept, so that a run does not
    depend on what was kept before.
    """

    def __init__(
        self, part: FrozenPart, folder: Path, limit: int, *, views: int = 0, say: Callable[[str], None] = lambda _text: None
    ) -> None:
        """Nothing is read or written before :meth:`open`.

        Args:
            folder: holds a folder for each set of weights.
            limit: bytes that all of them may take.
            views: how many there are, for an estimate of their size.
            say: hears once that the cache is full.
        """
        self.part, self.root, self.limit = part, folder, limit
        self._views, self._say = views, say
        self.full = False
        self.computed = self.read = 0

    def open(self) -> None:
        """Find or create the folder of the weights as they are now, and see how much room is taken.

        Raises:
            StorageError: the folder cannot be created.
        """
        self.folder = self.root / self.part.digest()[:16]
        make_folder(self.folder)
        sizes = dict(_sizes(self.root))
        self.used = sum(sizes.values())
        self._others = sum(size for path, size in sizes.items() if path.parent != self.folder)

    def features(self, batch: Batch, device: torch.device) -> tuple[Tensor, ...]:
        """(n, C, h, w) float32 features of a batch, read or computed."""
        rows = [self._one(batch, place, device) for place in range(len(batch.names))]
        return tuple(
            torch.from_numpy(np.stack(level)).to(device).float().contiguous(memory_format=torch.channels_last)
            for level in zip(*rows, strict=True)
        )

    def _one(self, batch: Batch, place: int, device: torch.device) -> list[NDArray[np.float16]]:
        path = self.folder / f"{_key(batch, place)}.safetensors"
        kept = _read(path)
        if kept is not None:
            self.read += 1
            return kept
        self.computed += 1
        x = batch.input(place).to(device).contiguous(memory_format=torch.channels_last)
        found = [
            np.ascontiguousarray(level[0].float().clamp(-_LARGEST_HALF, _LARGEST_HALF).half().cpu().numpy())
            for level in self.part.encode(x)
        ]
        self._keep(path, found)
        return found

    def _keep(self, path: Path, levels: list[NDArray[np.float16]]) -> None:
        if self.full:
            return
        data = _packed(levels)
        if self.used + len(data) > self.limit:
            self._fill(f"it holds {_gb(self.used)} of {_gb(self.limit)}")
            return
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(data)
            part.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            self._fill(error.strerror or str(error))
            return
        self.used += len(data)
        if self.computed == 1 and self._views:
            self._say(f"features of {self._views} views are kept in {self.folder}: about {_gb(self._views * len(data))}")

    def _fill(self, why: str) -> None:
        self.full = True
        others = f"; {_gb(self._others)} of it belong to other weights; their folders may be deleted" if self._others else ""
        self._say(
            f"note: the feature cache {self.root} is full ({why}{others}). Further features are computed in every epoch, which "
            "takes longer and changes nothing else; --feature-gb gives more room, --feature-cache another folder"
        )


def _key(batch: Batch, place: int) -> str:
    pixels, how = batch.pixels[place], batch.preprocessing
    found = hashlib.sha256(repr((pixels.shape, how.channel_order, how.mean, how.std)).encode())
    found.update(np.ascontiguousarray(pixels).data)
    return found.hexdigest()[:40]


def _packed(levels: Sequence[NDArray[np.float16]]) -> bytes:
    arrays = {str(place): level for place, level in enumerate(levels)}
    return to_bytes({**arrays, "crc": np.array([_crc(levels)], np.uint32)})


def _read(path: Path) -> list[NDArray[np.float16]] | None:
    """What was kept, or None if it is not kept in full."""
    try:
        arrays = from_bytes(path.read_bytes())
        crc = int(arrays.pop("crc")[0])
        levels = [arrays[str(place)] for place in range(len(arrays))]
    except (OSError, SafetensorError, ValueError, KeyError, IndexError):
        return None
    sound = all(level.dtype == np.float16 and level.ndim == 3 for level in levels)
    return levels if levels and sound and _crc(levels) == crc else None


def _crc(levels: Sequence[NDArray[np.float16]]) -> int:
    found = 0
    for level in levels:
        found = zlib.crc32(level.tobytes(), found)
    return found


def _sizes(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in folder.glob("*/*.safetensors"):
        with contextlib.suppress(OSError):
            yield path, path.stat().st_size


def _gb(size: int) -> str:
    unit, name = next((unit, name) for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if size >= unit or unit == 1e3)
    return f"{size / unit:.1f} {name}"
