"""Click networks from ONNX files: which files belong together, opened and recognised."""

from __future__ import annotations

import mmap
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deeplab_core.backends.onnx_file import looks_like_onnx, read_onnx_file
from deeplab_core.backends.onnx_session import OnnxSession
from deeplab_core.backends.signature import TensorSpec
from deeplab_core.correction.clicks import ClickEngine, click_engine, role_of
from deeplab_core.errors import WeightsError, message
from deeplab_core.networks import ComputeDevice
from deeplab_core.parallel import IsCancelled

#: Words by which the two files of a pair differ: as samexporter, X-AnyLabeling, osam, optimum and the authors name them.
_HALVES = re.compile(r"[._ -]*(?:image|mask|prompt|vision)?[._ -]*(?:encoder|decoder|preprocess)", re.IGNORECASE)


class OnnxGraph:
    """An ONNX file as :class:`deeplab_core.correction.clicks.Graph`.

    Args:
        path: of the file.
        device: CPU or CUDA, as far as the installed ONNX Runtime has it.

    Raises:
        WeightsError: no ONNX file, truncated, a part of it missing, ONNX Runtime missing, or it cannot open the file.
        UnsafeCheckpoint: it points at files outside of its folder.
    """

    def __init__(self, path: Path, device: ComputeDevice | None = None) -> None:
        _check_onnx(path)
        read_onnx_file(path)
        self.path = path
        self._session = OnnxSession(path, device=device)
        self.title, self.device, self.notes = self._session.title, self._session.device, self._session.notes

    @property
    def inputs(self) -> Sequence[TensorSpec]:
        return self._session.inputs

    @property
    def outputs(self) -> Sequence[TensorSpec]:
        return self._session.outputs

    def holds(self, values: Sequence[float]) -> bool:
        """See the protocol; weights in other files are too large for such numbers and are not looked at."""
        with self.path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return any(content.find(np.array(values, kind).tobytes()) >= 0 for kind in ("<f4", "<f2"))

    def run(
        self,
        feeds: Mapping[str, NDArray[Any]],
        outputs: Sequence[str],
        *,
        remedy: str,
        cancel: IsCancelled | None = None,
    ) -> list[NDArray[Any]]:
        return self._session.run(feeds, outputs, remedy=remedy, cancel=cancel)


def load_click_model(paths: Path | Sequence[Path], device: str = "cpu") -> ClickEngine:
    """A click network for ``Corrector(..., click_model=...)``.

    Args:
        paths: one file, or the encoder and the decoder of a pair. Of a pair one file is enough if the other one is beside it
            under the same name (:func:`find_partner`).
        device: ``"cpu"`` or ``"cuda"``.

    Raises:
        WeightsError: ONNX Runtime is not installed; a file is damaged or no ONNX file; no known signature; the partner is
            missing, or several fit. The error names the file.
        UnsafeCheckpoint: a file points at others outside of its folder.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    if not 1 <= len(files) <= 2:
        raise WeightsError(message("a click network has one or two files, not {count}", count=len(files)))
    where = ComputeDevice.parse(device)
    graphs = [OnnxGraph(path, where) for path in files]
    if len(graphs) == 1 and role_of(graphs[0]) in ("encoder", "decoder"):
        partner = find_partner(files[0])
        if partner is not None:
            graphs.append(OnnxGraph(partner, where))
    engine = click_engine(graphs)
    engine.notes = (*engine.notes, *dict.fromkeys(note for graph in graphs for note in graph.notes))
    return engine


def find_partner(path: Path) -> Path | None:
    """The other file of a pair: the only ``.onnx`` file beside it with a name that differs in "encoder", "decoder", "preprocess".

    Raises:
        WeightsError: several such files.
    """
    own = _HALVES.sub("", path.stem)
    found = [
        other for other in sorted(path.parent.glob("*.onnx")) if other.name != path.name and _HALVES.sub("", other.stem) == own
    ]  # fmt: skip
    if len(found) > 1:
        raise WeightsError(
            message("several files may be the other half of this click network"),
            why=", ".join(other.name for other in found),
            remedy=message("Choose both files"),
            path=path,
        )
    return found[0] if found else None


def _check_onnx(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
    except OSError as error:
        raise WeightsError(message("the file of the click network cannot be read"), why=str(error), path=path) from error
    if not looks_like_onnx(head):
        raise WeightsError(
            message("click networks are ONNX files, and this is none"),
            remedy=message("Export the network to ONNX, as docs/correcting.md describes"),
            path=path,
        )
