"""Files that belong to a mask by name: its photograph, its list of objects, its ambiguous marks, its confidence."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path, PurePosixPath

from deeplab_core.errors import MaskFormatError
from deeplab_core.images.label_names import bare_stem, is_passed_over, name_key


class Companions:
    """Files below one folder, found by the name of a mask below another.

    First comes a file of the mask's own path without its ending (``a.jpg`` or ``a.jpg.confidence.png`` for ``a.jpg.png``). Then
    an equal path below the folders, then an equal stem, if only one file has it: the usual additions to mask names (``_mask``,
    ``_gtFine_labelIds``, ...) and the photograph's own ending do not count there. The Unicode form of a name never counts.
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
        self._exact: dict[str, list[Path]] = defaultdict(list)
        self._by_path: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for root, folders, files in os.walk(folder):
            folders[:] = sorted(name for name in folders if not is_passed_over(name))
            for name in sorted(files):
                ending = next((suffix for suffix in suffixes if name.lower().endswith(suffix)), None)
                if ending is None or is_passed_over(name):
                    continue
                path = Path(root, name)
                bare = PurePosixPath(path.relative_to(folder).as_posix()).with_name(name[: len(name) - len(ending)])
                for exact in {name_key(str(bare)), name_key(str(bare.with_name(name)))}:
                    self._exact[exact].append(path)
                self._by_path[_path_key(bare)].append(path)
                self._by_stem[bare_stem(bare.name)].append(path)

    def of(self, name: str) -> Path | None:
        """The file that goes with a mask (its path below its folder); None where there is none, or more than one."""
        bare = PurePosixPath(name).with_suffix("")
        exact = self._exact.get(name_key(str(bare)))
        for found in (exact, self._by_path.get(_path_key(bare)), self._by_stem.get(bare_stem(bare.name))):
            if found:
                return found[0] if len(found) == 1 else None
        return None


def _path_key(bare: PurePosixPath) -> str:
    return name_key(str(bare.with_name(bare_stem(bare.name))))
