"""Parts of a data set: by lists, or by shares that keep classes balanced and groups and duplicates together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from deeplab_core.errors import ExportError, message
from deeplab_core.images.split_list import read_split
from deeplab_core.wording import count, name_some

#: What splits are called besides the user's own words.
_NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """Which image goes to which part.

    Attributes:
        parts: image -> split; images in no list are left out.
        groups: number of groups that were kept together, duplicates counted as one.
        duplicates: sets of images with the same content, each sorted; all of a set are in one split.
        left_out: images that no list names.
        missing: lines of the lists that name no exported image.
    """

    parts: Mapping[str, str]
    groups: int = 0
    duplicates: tuple[tuple[str, ...], ...] = ()
    left_out: tuple[str, ...] = field(default=())
    missing: tuple[str, ...] = ()


def parse_shares(texts: Sequence[str]) -> dict[str, float]:
    """``["train=0.8", "val=20%"]`` as split -> share; shares are scaled to a sum of 1. Raises ExportError for another form."""
    found: dict[str, float] = {}
    for text in texts:
        name, equals, share = (part.strip() for part in text.partition("="))
        try:
            value = float(share.removesuffix("%"))
        except ValueError:
            value = -1.0
        if not equals or not _NAME.fullmatch(name) or not 0 < value < float("inf"):
            raise ExportError(
                message("'{text}' is not a share of a split", text=text),
                remedy=message("Write NAME=SHARE, as in train=0.8 and val=0.2"),
            )
        if name in found:
            raise ExportError(message("the split '{name}' is named twice", name=name), remedy=message("Name each split once"))
        found[name] = value
    total = sum(found.values())
    whole = (
        100 if all(text.strip().endswith("%") for text in texts) else 1 if all(value < 1 for value in found.values()) else total
    )
    if total > whole * (1 + 1e-9):
        raise ExportError(
            message("the shares add up to {total:g}", total=total),
            remedy=message("Make them add up to {whole:g}, or less", whole=whole),
        )
    return {name: value / total for name, value in found.items()}


def group_of(pattern: str | None) -> Callable[[str], str] | None:
    """How images are grouped: ``"parent"`` by their folder, a regular expression by what it finds in the path; None: not at all.

    A regular expression gives its first group, or all of what it matches; images that it does not match are groups of their own.

    Raises:
        ExportError: the pattern is not a regular expression.
    """
    if not pattern:
        return None
    if pattern == "parent":
        return lambda name: str(PurePosixPath(name).parent)
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ExportError(
            message("'{pattern}' is not a regular expression", pattern=pattern),
            why=str(error),
            remedy=message("Correct it, or say parent"),
        ) from error

    def group(name: str) -> str:
        match = compiled.search(name)
        if match is None:
            return f"\0{name}"
        return match.group(1) or "" if compiled.groups else match.group()

    return group


def share_splits(
    images: Sequence[str],
    shares: Mapping[str, float],
    *,
    seed: int = 0,
    classes: Mapping[str, Sequence[int]] | None = None,
    group: Callable[[str], str] | None = None,
    keys: Mapping[str, str] | None = None,
) -> SplitPlan:
    """Share images out to splits.

    Images with the same content, and images of one group, are never parted. Groups with rare classes are dealt first, each to
    the split that still lacks most images of its rarest class (iterative stratification, Sechidis et al. 2011, over groups);
    ties, and groups without classes, go by the number of images that a split still lacks. The seed decides what is equal then.

    Args:
        images: names, each once.
        shares: split -> share, in sum 1.
        seed: the same seed, images and shares give the same splits.
        classes: image -> class ids that it holds; None does not balance classes.
        group: image -> name of its group, see :func:`group_of`.
        keys: image -> key of its content; equal keys are duplicates.

    Raises:
        ExportError: fewer groups than splits.
    """
    members, duplicates = _bound(images, group, keys or {})
    if len(members) < len(shares):
        raise ExportError(
            message(
                "{images} in {groups} cannot be shared out to {count} splits",
                images=count(len(images), "image"),
                groups=count(len(members), "group"),
                count=len(shares),
            ),
            why=message("Images of one group, and duplicates, stay together"),
            remedy=message("Choose a finer grouping, or fewer splits"),
        )
    names = list(shares)
    rng = np.random.default_rng(seed)
    order = [members[int(number)] for number in rng.permutation(len(members))]
    held = {image: set(found) for image, found in (classes or {}).items()}
    counts = [_class_counts(own, held) for own in order]
    share = np.array([shares[name] for name in names])
    wanted = share * len(images)
    lacking = {number: share * sum(found.get(number, 0) for found in counts) for number in {n for c in counts for n in c}}
    totals = {number: float(need.sum()) for number, need in lacking.items()}
    parts: dict[str, str] = {}
    filled = np.zeros(len(names))
    for number in _dealing_order(order, counts, totals):
        own, found = order[number], counts[number]
        split = _neediest(found, lacking, totals, wanted)
        for image in own:
            parts[image] = names[split]
        wanted[split] -= len(own)
        filled[split] += len(own)
        for class_id, images_with in found.items():
            lacking[class_id][split] -= images_with
    _fill_empty(parts, order, names, filled)
    return SplitPlan({image: parts[image] for image in images}, len(members), duplicates)


def _class_counts(own: Sequence[str], held: Mapping[str, set[int]]) -> dict[int, int]:
    found: dict[int, int] = defaultdict(int)
    for image in own:
        for class_id in held.get(image, ()):
            found[class_id] += 1
    return dict(found)


def _dealing_order(order: Sequence[Sequence[str]], counts: Sequence[dict[int, int]], totals: Mapping[int, float]) -> list[int]:
    """Groups with the rarest classes first, then large groups before small ones."""
    rarest = [min((totals[number] for number in found), default=float("inf")) for found in counts]
    return sorted(range(len(order)), key=lambda number: (rarest[number], -len(order[number])))


def _neediest(found: dict[int, int], lacking: Mapping[int, np.ndarray], totals: Mapping[int, float], wanted: np.ndarray) -> int:
    """The split that lacks most images of the group's rarest class; where several do, most images."""
    best = wanted
    if found:
        rarest = min(found, key=lambda number: (totals[number], number))
        need = lacking[rarest]
        best = np.where(need >= need.max() - 1e-9, wanted, -np.inf)
    return int(np.argmax(best))


def _fill_empty(parts: dict[str, str], order: Sequence[Sequence[str]], names: Sequence[str], filled: np.ndarray) -> None:
    """Give a split that got nothing the smallest group of the fullest split that has more than one."""
    for split in np.flatnonzero(filled == 0):
        owners = defaultdict(list)
        for own in order:
            owners[parts[own[0]]].append(own)
        giver = max((name for name in owners if len(owners[name]) > 1), key=lambda name: sum(map(len, owners[name])))
        for image in min(owners[giver], key=len):
            parts[image] = names[int(split)]


def _bound(
    images: Sequence[str], group: Callable[[str], str] | None, keys: Mapping[str, str]
) -> tuple[list[list[str]], tuple[tuple[str, ...], ...]]:
    """Images that stay together, and the sets of duplicates."""
    parent = {image: image for image in images}

    def root(image: str) -> str:
        while parent[image] != image:
            parent[image] = parent[parent[image]]
            image = parent[image]
        return image

    same: dict[tuple[str, str], list[str]] = defaultdict(list)
    for image in images:
        if group is not None:
            same["group", group(image)].append(image)
        if image in keys:
            same["content", keys[image]].append(image)
    for together in same.values():
        for image in together[1:]:
            parent[root(image)] = root(together[0])
    members: dict[str, list[str]] = defaultdict(list)
    for image in images:
        members[root(image)].append(image)
    duplicates = (tuple(sorted(found)) for (kind, _), found in same.items() if kind == "content" and len(found) > 1)
    return list(members.values()), tuple(sorted(duplicates))


def read_splits(images: Sequence[str], lists: Mapping[str, Path], *, keys: Mapping[str, str] | None = None) -> SplitPlan:
    """Splits from lists of names, one a line, as :func:`deeplab_core.images.split_list.read_split` reads them.

    A list may name images that are not exported, because they are not reviewed yet: the plan counts them.

    Args:
        images: names relative to the folder.
        lists: split -> text file.
        keys: image -> key of its content; equal keys are duplicates.

    Raises:
        ExportError: a list cannot be read or names no exported image, a line names several images, two lists name one image, or
            duplicates would be parted.
    """
    parts: dict[str, str] = {}
    missing: list[str] = []
    for split, listed in lists.items():
        found = read_split(listed, images, error=ExportError)
        if found.ambiguous:
            line, several = found.ambiguous[0]
            raise ExportError(
                message("'{line}' names several images: {images}", line=line, images=name_some(several, 3)),
                remedy=message("Correct the list; name images by their whole paths"),
                path=listed,
            )
        if not found.images:
            raise ExportError(
                message("the list names no image that is exported"),
                why=message("Its first line is '{line}'", line=found.missing[0]),
                remedy=message("Correct the list, or export more images"),
                path=listed,
            )
        missing += found.missing
        for image in found.images:
            if parts.setdefault(image, split) != split:
                raise ExportError(
                    message("'{image}' is in the lists of '{one}' and '{split}'", image=image, one=parts[image], split=split),
                    remedy=message("Name each image once"),
                    path=listed,
                )
    _, duplicates = _bound(images, None, keys or {})
    for same in duplicates:
        owners = {parts[image]: image for image in same if image in parts}
        if len(owners) > 1:
            (one, first), (other, second), *_ = owners.items()
            raise ExportError(
                message(
                    "'{first}' in '{one}' and '{second}' in '{other}' have the same content",
                    first=first,
                    one=one,
                    second=second,
                    other=other,
                ),
                why=message("A copy of a training image in another split makes its figures too good"),
                remedy=message("Name them in one list, or leave one of them out"),
            )
    return SplitPlan(parts, len(parts), duplicates, tuple(image for image in images if image not in parts), tuple(missing))


def parse_lists(texts: Sequence[str]) -> dict[str, Path]:
    """``["train=train.txt"]`` as split -> file. Raises ExportError for another form."""
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not _NAME.fullmatch(name.strip()) or not path.strip():
            raise ExportError(
                message("'{text}' is not a list of a split", text=text), remedy=message("Write NAME=FILE, as in train=train.txt")
            )
        if name.strip() in found:
            raise ExportError(
                message("the split '{name}' is named twice", name=name.strip()), remedy=message("Name each split once")
            )
        found[name.strip()] = Path(path.strip())
    return found
