"""Which images a command works on, and where each result goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

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
    return {task.output.relative_to(out).as_posix(): None for task in tasks}


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
    listed, left_out = _listed(inputs, out)
    groups: dict[str, list[Task]] = defaultdict(list)
    for image, relative in listed:
        output = out / (relative.with_name(relative.name + suffix) if keep_suffix else relative.with_suffix(suffix))
        group = groups[name_key(str(output))]
        if all(other.image.resolve() != image.resolve() for other in group):
            group.append(Task(image, relative.as_posix(), output))
    if not groups:
        why = f" ({'; '.join(left_out)})" if left_out else ""
        raise click.UsageError(
            f"no image found in {', '.join(map(str, inputs))}{why}; give image files or folders that hold some"
        )
    tasks: list[Task] = []
    refused: list[tuple[Task, AtrousError]] = []
    for group in groups.values():
        for task in group:
            error = _refusal(task, group, kept=keep_suffix)
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


def _listed(inputs: Sequence[Path], out: Path) -> tuple[list[tuple[Path, Path]], tuple[str, ...]]:
    """(image, path below its input) of all inputs, and what they hold besides."""
    from deeplab_core.datasets.find import scan_folder

    found: list[tuple[Path, Path]] = []
    left_out: list[str] = []
    single: dict[Path, list[str]] = defaultdict(list)
    target = out.resolve()
    for given in inputs:
        if not given.is_dir():
            found.append((given, Path(given.name)))
            single[given.parent].append(given.name)
            continue
        scan = scan_folder(given)
        left_out += scan.left_out()
        names = list(scan.images)
        if target != given.resolve():
            names = [name for name in names if not (given / name).resolve().is_relative_to(target)]
        protect_images(given, names)
        found += [(given / name, Path(name)) for name in names]
    for folder, names in single.items():
        if not any(given.is_dir() and given.resolve() == folder.resolve() for given in inputs):
            protect_images(folder, names)
    return found, tuple(left_out)


def _refusal(task: Task, group: Sequence[Task], *, kept: bool) -> AtrousError | None:
    from deeplab_core.masks.export.plan import equal_names_error

    if len(group) > 1:
        others = [other for other in group if other is not task]
        error = equal_names_error(str(task.image), [str(other.image) for other in others], kept=kept)
        if any(other.name == task.name for other in others):  # of two inputs
            error.why, error.remedy = "", "Give each folder an output folder of its own"
        return error
    if task.output.resolve() == task.image.resolve():
        return ProtectedFile(f"the mask of {task.image} would replace the image itself", remedy="Choose another folder with -o")
    try:
        refuse_photograph(task.output)
    except ProtectedFile as error:
        return error
    return None
