"""Files that belong to a mask by name: its photograph, its list of objects, its ambiguous marks, its confidence."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path, PurePosixPath

from deeplab_core.errors import MaskFormatError
from deeplab_core.images.label_names import mask_stem, photo_stem


class Companions:
    """Files below one folder, found by the name of a mask below another.

    An equal path below the folders comes first (file endings aside), then an equal stem if only one file has it; the usual
    additions to mask names (``_mask``, ``_gtFine_labelIds``, ...) do not count.
    """

    def __init__(self, folder: Path, suffixes: tuple[str, ...]) -> None:
        """List the files of ``folder`` whose names end with one of the lower-case ``suffixes``; hidden ones are passed over.

        Raises:
            MaskFormatError: there is no such folder.
        """
        if not folder.is_dir():
            raise MaskFormatError(
                "there is no such folder", remedy="Name the folder of the files that go with the masks", path=folder
            )
        self._by_path: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for root, folders, files in os.walk(folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                ending = next((suffix for suffix in suffixes if name.lower().endswith(suffix)), None)
                if ending is None or name.startswith("."):
                    continue
                path = Path(root, name)
                bare = PurePosixPath(path.relative_to(folder).as_posix()).with_name(name[: len(name) - len(ending)])
                self._by_path[str(bare.with_name(_plain(bare.name)))].append(path)
                self._by_stem[_plain(bare.name)].append(path)

    def of(self, name: str) -> Path | None:
        """The file that goes with a mask (its path below its folder); None where there is none, or more than one."""
        bare = PurePosixPath(name).with_suffix("")
        for found in (self._by_path.get(str(bare.with_name(_plain(bare.name)))), self._by_stem.get(_plain(bare.name))):
            if found:
                return found[0] if len(found) == 1 else None
        return None


def _plain(stem: str) -> str:
    return photo_stem(mask_stem(stem))
