"""Features of images that ``atrous similar`` keeps between calls, in the cache folder of this computer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from app.services.folders import feature_folder
from deeplab_core.analysis.similarity import from_bytes, to_bytes
from deeplab_core.atomic import atomic_write, make_folder
from deeplab_core.errors import StorageError

if TYPE_CHECKING:
    from deeplab_core.analysis.similarity import Vectors
    from deeplab_core.records import ModelCard

#: A new number where features mean something else than before; bytes of all that are kept.
_VERSION, MOST_BYTES = 1, 512_000_000


class KeptFeatures:
    """Features by the content of the weights and of the image's file; names and folders do not matter.

    Args:
        card: of the model. Without a hash of its weights nothing is kept.
        folder: None takes that of this computer.
    """

    def __init__(self, card: ModelCard, folder: Path | None = None, most_bytes: int = MOST_BYTES) -> None:
        self._folder, self._most = feature_folder() if folder is None else folder, most_bytes
        self._model = f"{card.id} {card.sha256}" if card.sha256 else ""

    def path_of(self, image: Path) -> Path | None:
        """Where the features of an image are kept, whether they are there or not; None where they are not kept."""
        if not self._model:
            return None
        try:
            with image.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            return None  # whoever reads the image says why
        name = hashlib.sha256(f"{_VERSION} {self._model} {content}".encode("utf-8", "surrogateescape")).hexdigest()
        return self._folder / name[:2] / f"{name[2:]}.features"

    def get(self, path: Path) -> Vectors | None:
        """Kept features; None without, and for a damaged file."""
        try:
            found = from_bytes(path.read_bytes())
            path.touch()  # those that were used last stay
        except OSError:
            return None
        return found

    def put(self, path: Path, vectors: Vectors) -> None:
        """Keep features; a full disk is no reason to stop."""
        try:
            make_folder(path.parent)
            atomic_write(path, to_bytes(vectors))
        except StorageError:
            return

    def trim(self) -> None:
        """Remove those that were not used for longest, down to the bound."""
        found = []
        for path in self._folder.rglob("*.features"):
            try:
                stat = path.stat()
            except OSError:
                continue
            found.append((stat.st_mtime, stat.st_size, path))
        left = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if left <= self._most:
                return
            path.unlink(missing_ok=True)
            left -= size
