"""Which images a command works on, and where each result goes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from app.services.allocator import collection_paused
from deeplab_core.atomic import protect_images, refuse_photograph
from deeplab_core.errors import AtrousError, ProtectedFile
from deeplab_core.images.file_names import name_key


@dataclass(frozen=True, slots=True)
class Task:
    """One image and its result.

    Attributes:
        image: the file to read.
        name: as shown: the path below its INPUT, with forward slashes.
        output: the mask to write.
    """

    image: Path
    name: str
    output: Path


def output_names(out: Path, tasks: Sequence[Task]) -> dict[str, None]:
    """What the marker of ``out`` lists: the results below it. How much of them users set is nothing that a command knows."""
    start = f"{out}{os.sep}"
    return {
        output[len(start) :].replace(os.sep, "/") if output.startswith(start) else task.output.relative_to(out).as_posix(): None
        for task in tasks
        for output in (str(task.output),)
    }


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """Result of :func:`plan_outputs`.

    Attributes:
        tasks: what can be done, in the order of the inputs.
        refused: what cannot, each with its reason: another image has the same output, or a photograph or a link is there.
        left_out: what else the folders hold and why it is not worked on, in sentences.
    """

    tasks: tuple[Task, ...]
    refused: tuple[tuple[Task, AtrousError], ...] = ()
    left_out: tuple[str, ...] = ()


def keep_suffix_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--keep-suffix``, the remedy for two images with names that differ only in their endings."""
    return click.option(
        "--keep-suffix",
        is_flag=True,
        help="Keep the image's suffix: a.jpg gives a.jpg.png, so that a.jpg and a.png of one folder both get a mask.",
    )(command)


def plan_outputs(inputs: Sequence[Path], out: Path, suffix: str = ".png", *, keep_suffix: bool = False) -> OutputPlan:
    """List the images of ``inputs`` (files and folders) with their results below ``out``.

    A folder is walked recursively, and paths below it are kept: ``IN/a/b.jpg`` becomes ``OUT/a/b.png``, or with ``keep_suffix``
    ``OUT/a/b.jpg.png``. Files in ``out`` are earlier results, not images. From here on none of the images is replaced.

    Raises:
        click.UsageError: no image is found, or none can be worked on.
    """
    with collection_paused():
        return _planned(inputs, out, suffix, keep_suffix)


def _planned(inputs: Sequence[Path], out: Path, suffix: str, keep_suffix: bool) -> OutputPlan:
    # Paths are texts until a task has them: a hundred thousand Path objects, each resolved, take half a minute.
    folders, base = _Folders(), str(out).rstrip(os.sep)
    listed, left_out = _listed(inputs, out, folders)
    groups: dict[str, list[Task]] = defaultdict(list)
    for image, name in listed:
        output = f"{base}{os.sep}{_native(name if keep_suffix else _without_suffix(name))}{suffix}"
        group = groups[name_key(output)]
        if all(folders.real(str(other.image)) != folders.real(image) for other in group):
            group.append(Task(Path(image), name, Path(output)))
    if not groups:
        why = f" ({'; '.join(left_out)})" if left_out else ""
        raise click.UsageError(
            f"no image found in {', '.join(map(str, inputs))}{why}; give image files or folders that hold some"
        )
    tasks: list[Task] = []
    refused: list[tuple[Task, AtrousError]] = []
    for group in groups.values():
        for task in group:
            error = _refusal(task, group, folders, kept=keep_suffix)
            if error is None:
                tasks.append(task)
            else:
                refused.append((task, error))
    if not tasks:
        raise click.UsageError(str(refused[0][1]))
    return OutputPlan(tuple(tasks), tuple(refused), left_out)


def report_refused(plan: OutputPlan, note: Callable[[str], None]) -> None:
    """Say what is left out and what cannot be done, one line each."""
    for sentence in plan.left_out:
        note(f"note: {sentence}")
    for _task, error in plan.refused:
        note(f"failed: {error}")


class _Folders:
    """What folders hold and where they really lie; each is looked at once, however many of its files are asked for."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, frozenset[str], frozenset[str] | None]] = {}

    def real(self, path: str) -> str:
        """The path of a file without links, as :func:`os.path.realpath` gives it."""
        folder, _, name = path.rpartition(os.sep)
        where, links, names = self._look(folder if folder or not path.startswith(os.sep) else os.sep)
        if name in ("", ".", "..") or names is None or _folded(name) in links:
            return os.path.realpath(path)
        return f"{where}{os.sep}{name}"

    def holds(self, path: str) -> bool:
        """Whether a file, a folder or a link of this name is there."""
        folder, _, name = path.rpartition(os.sep)
        names = self._look(folder if folder or not path.startswith(os.sep) else os.sep)[2]
        # Some file systems find a name that is written otherwise; they are asked.
        return (names is None or _folded(name) in names) and os.path.lexists(path)

    def _look(self, folder: str) -> tuple[str, frozenset[str], frozenset[str] | None]:
        """Where a folder really lies, and the names of its links and of everything; None if it cannot be listed."""
        found = self._known.get(folder)
        if found is None:
            links, names = set(), set()
            listed = True
            try:
                with os.scandir(folder or ".") as entries:
                    for entry in entries:
                        names.add(_folded(entry.name))
                        if entry.is_symlink():
                            links.add(_folded(entry.name))
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError:
                listed = False
            known = os.path.realpath(folder).rstrip(os.sep), frozenset(links), frozenset(names) if listed else None
            found = self._known[folder] = known
        return found


def _native(name: str) -> str:
    return name if os.sep == "/" else name.replace("/", os.sep)


def _folded(name: str) -> str:
    return name_key(name).casefold()


def _without_suffix(name: str) -> str:
    """A relative path without the ending of its last part, as ``Path.with_suffix`` sees it."""
    last = name.rpartition("/")[2]
    dot = last.rfind(".")
    return name[: len(name) - len(last) + dot] if 0 < dot < len(last) - 1 else name


def _listed(inputs: Sequence[Path], out: Path, folders: _Folders) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """(image, path below its input with ``/``) of all inputs, and what they hold besides."""
    from deeplab_core.datasets.find import scan_folder

    found: list[tuple[str, str]] = []
    left_out: list[str] = []
    single: dict[Path, list[str]] = defaultdict(list)
    target = os.path.realpath(out)
    for given in inputs:
        if not given.is_dir():
            found.append((str(given), given.name))
            single[given.parent].append(given.name)
            continue
        scan = scan_folder(given)
        left_out += scan.left_out()
        start = str(given).rstrip(os.sep) + os.sep
        listed = [(start + _native(name), name) for name in scan.images]
        if target != os.path.realpath(given):
            inside = target.rstrip(os.sep) + os.sep
            listed = [(image, name) for image, name in listed if not folders.real(image).startswith(inside)]
        protect_images(given, [name for _, name in listed])
        found += listed
    for folder, names in single.items():
        if not any(given.is_dir() and given.resolve() == folder.resolve() for given in inputs):
            protect_images(folder, names)
    return found, tuple(left_out)


def _refusal(task: Task, group: Sequence[Task], folders: _Folders, *, kept: bool) -> AtrousError | None:
    if len(group) > 1:
        from deeplab_core.masks.export.plan import equal_names_error

        others = [other for other in group if other is not task]
        error = equal_names_error(str(task.image), [str(other.image) for other in others], kept=kept)
        if any(other.name == task.name for other in others):  # of two inputs
            error.why, error.remedy = "", "Give each folder an output folder of its own"
        return error
    if not folders.holds(str(task.output)):
        return None  # a free name may always be taken
    if folders.real(str(task.output)) == folders.real(str(task.image)):
        return ProtectedFile(f"the mask of {task.image} would replace the image itself", remedy="Choose another folder with -o")
    try:
        refuse_photograph(task.output)
    except ProtectedFile as error:
        return error
    return None
