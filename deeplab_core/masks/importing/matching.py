"""Which image of a folder the labels of a source belong to."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

from deeplab_core.images.file_names import bare_stem, name_key, split_name
from deeplab_core.masks.importing.records import Entry, ImportItem, Unread

#: What servers put before the name of an uploaded file.
_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")


class ImageNames:
    """Finds images by the names that label files give them.

    Four rules, the first that fits decides: the path below the folder; the longest end of the path; the file name; the stem,
    without the additions that masks and data sets make (``_gtFine_labelIds``, ``_leftImg8bit``, ``_mask``). Of several images
    with an equally long end, the one in exactly the folder of the name is meant: ``a.png`` is of ``a.jpg``, not of
    ``sub/a.jpg``. A name that fits none of them is tried again as an address: ``my%20photo.jpg?version=2`` is ``my photo.jpg``.

    Args:
        names: paths of the images below their folder, with ``/``.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._paths: dict[str, str] = {}
        self._files: dict[str, list[str]] = defaultdict(list)
        self._stems: dict[str, list[str]] = defaultdict(list)
        for name in names:
            key = name_key(name)
            path = PurePosixPath(key)
            self._paths[key] = name
            self._files[path.name].append(name)
            self._stems[bare_stem(path.stem)].append(name)

    def find(self, wanted: str) -> tuple[str, ...]:
        """Images that a name fits: none, the one, or several where it does not tell them apart."""
        found = self._find(wanted)
        plain = unquote(wanted.split("?d=")[-1].partition("?")[0], errors="surrogateescape")
        return found or (self._find(plain) if plain != wanted else ())

    def _find(self, wanted: str) -> tuple[str, ...]:
        key = name_key(wanted).split("?d=")[-1].lstrip("/")
        while key.startswith("./"):
            key = key[2:]
        exact = self._paths.get(key)
        if exact is not None:
            return (exact,)
        path = PurePosixPath(key)
        for name in dict.fromkeys((path.name, _UPLOAD.sub("", path.name))):
            found = self._files.get(name) or self._by_stem(name)
            if found:
                return self._nearest(path, found)
        return ()

    def _by_stem(self, name: str) -> list[str]:
        stem, ending = split_name(name)
        # A dot within a stem is not an ending: 'a.5' names a.5.jpg.
        candidates = (bare_stem(stem), bare_stem(name)) if ending else (bare_stem(name),)
        return next((self._stems[one] for one in candidates if one in self._stems), [])

    @staticmethod
    def _nearest(path: PurePosixPath, found: Sequence[str]) -> tuple[str, ...]:
        if len(found) == 1:
            return (found[0],)
        wanted = path.parent.parts[::-1]
        folders = {name: PurePosixPath(name_key(name)).parent.parts[::-1] for name in found}
        shared = {name: (_common(wanted, folder), folder == wanted) for name, folder in folders.items()}
        most = max(shared.values())
        return tuple(name for name in found if shared[name] == most)


def match(entries: Sequence[Entry], names: Sequence[str]) -> tuple[list[ImportItem], list[Unread], list[str]]:
    """Bring labels and images together.

    Returns:
        the labels of an image each, labels that have none with the reason, images without labels. Where two label files name one
        image, neither is taken.
    """
    images = ImageNames(names)
    owners: dict[str, list[Entry]] = defaultdict(list)
    left: list[Unread] = []
    for entry in entries:
        # A later name may tell apart what an earlier one does not: the folder of a layout is in no path of an image.
        several = [hits for hits in map(images.find, entry.names) if hits]
        found = next((hits for hits in several if len(hits) == 1), several[0] if several else ())
        if len(found) == 1:
            owners[found[0]].append(entry)
        elif found:
            why = f"Several images have this name: {', '.join(found[:3])}"
            left.append(Unread(_shown(entry), why, damaged=True))
        else:
            left.append(Unread(_shown(entry), "No image has this name"))
    items = []
    for name in names:
        own = owners.get(name, [])
        if len(own) == 1:
            items.append(ImportItem(name, own[0]))
        rivals = own if len(own) > 1 else []
        left += [
            Unread(_shown(entry), f"Several label files belong to {name}: import one of them", damaged=True) for entry in rivals
        ]
    missing = [name for name in names if name not in owners]
    return items, left, missing


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count


def _shown(entry: Entry) -> str:
    name = entry.names[0] if entry.names else ""
    return name if not entry.file or entry.file == name else f"{name} ({entry.file})" if name else entry.file
