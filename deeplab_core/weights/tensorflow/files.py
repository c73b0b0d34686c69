"""Which of a release's files holds the weights, and reading it: frozen graph, checkpoint, or the packed release itself.

A release unpacks to ``frozen_inference_graph.pb``, ``model.ckpt-N.index`` and ``model.ckpt-N.data-00000-of-00001``. Any of
these, the folder, the bare prefix ``model.ckpt-N`` (as TensorFlow's own tools take it) and the ``.tar.gz`` may be chosen.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from pathlib import Path
from typing import Any

from deeplab_core.errors import WeightsError, message
from deeplab_core.model_files import GRAPH_NAME
from deeplab_core.protobuf import Malformed
from deeplab_core.weights.tensorflow.bundle import looks_like_index, read_bundle
from deeplab_core.weights.tensorflow.graph import looks_like_graph, read_graph

#: A protocol buffer cannot be larger.
LARGEST_GRAPH = 2 * 2**30
#: Bytes that a packed release may unpack to while its graph is looked for; the largest official one has 0.9 GB.
LARGEST_RELEASE = 4 * 2**30

_DAMAGED = message("Download or copy the file again")


def is_tensorflow(head: bytes, tail: bytes) -> bool:
    """Whether a file with these first and last bytes is one of TensorFlow's (or packed with gzip, as its releases are)."""
    return looks_like_index(tail) or looks_like_graph(head) or head.startswith((b"\x1f\x8b", b"\x08\x01\x12"))


def read_tensorflow(path: Path, head: bytes, tail: bytes) -> dict[str, Any]:
    """Variables of a frozen graph, a checkpoint's index or a packed release, with what is stored beside them.

    Returns:
        Tensors by variable name in torch's layout; ``"tensorflow"``: facts of the graph (see ``graph.read_graph``), for a
        checkpoint ``{"beside": number of counters and optimiser slots}``.

    Raises:
        WeightsError: damaged, not frozen, or nothing of a network in it.
    """
    try:
        if looks_like_index(tail):
            bundle = read_bundle(path)
            return {**bundle.tensors, "tensorflow": {"beside": len(bundle.beside)}}
        if head.startswith(b"\x1f\x8b"):
            return read_graph(memoryview(_graph_of_release(path)))
        if head.startswith(b"\x08\x01\x12"):
            raise WeightsError(
                message("a SavedModel holds the graph without its weights"),
                why=message("they are in its folder 'variables'"),
                remedy=message("Choose variables/variables.index"),
                path=path,
            )
        if path.stat().st_size > LARGEST_GRAPH:
            raise Malformed("a graph cannot have more than 2 GiB")
        return read_graph(memoryview(path.read_bytes()))
    except Malformed as error:
        raise WeightsError(
            message("the TensorFlow file cannot be used"),
            why=str(error),
            remedy=message(
                "Choose frozen_inference_graph.pb or the .index file of an official release; if it is one, copy it again"
            ),
            path=path,
        ) from error
    except OSError as error:
        raise WeightsError(message("the TensorFlow file cannot be read"), why=str(error), remedy=_DAMAGED, path=path) from error


class _Bounded(io.RawIOBase):
    """Decompressed bytes of a stream, no more than a limit: an archive may claim without end."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream, self._left = stream, limit

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        # One byte more than is allowed tells a stream that ends there from one that goes on.
        most = self._left + 1
        data = self._stream.read(most if size < 0 else min(size, most))
        self._left -= len(data)
        if self._left < 0:
            raise Malformed("the archive unpacks to far more than a release")
        return data


def _graph_of_release(path: Path) -> bytes:
    """The frozen graph out of a ``.tar.gz``, in memory: nothing is written, so no name in the archive can point anywhere."""
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=_Bounded(stream, LARGEST_RELEASE), mode="r|") as archive:
            for member in archive:
                if Path(member.name).name == GRAPH_NAME and member.isreg() and not member.issparse():
                    if member.size > LARGEST_GRAPH:
                        raise Malformed("a graph cannot have more than 2 GiB")
                    content = archive.extractfile(member)
                    if content is not None:
                        return content.read()
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise WeightsError(
            message("compressed with gzip, and damaged or no packed release"), why=str(error), remedy=_DAMAGED, path=path
        ) from error
    raise WeightsError(
        message("compressed with gzip, without a frozen graph inside"),
        why=message("{file} is not among its files", file=GRAPH_NAME),
        remedy=message("Unpack it and choose the file that ends in .index"),
        path=path,
    )
