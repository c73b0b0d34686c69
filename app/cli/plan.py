"""Which images a command works on, and where each result goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click


@dataclass(frozen=True, slots=True)
class Task:
    """One image and its result.

    Attributes:
        image: the file to read.
        name: what a person reads: the path below its INPUT, with forward slashes.
        output: the mask to write.
    """

    image: Path
    name: str
    output: Path


def output_names(out: Path, tasks: Sequence[Task]) -> dict[str, None]:
    """What the marker of ``out`` lists: the results below it. How much of them users set is nothing that a command knows."""
    return {task.output.relative_to(out).as_posix(): None for task in tasks}


def plan_outputs(inputs: Sequence[Path], out: Path, suffix: str = ".png") -> list[Task]:
    """List the images of ``inputs`` (files and folders) with their results below ``out``.

    A folder is walked recursively, and paths below it are kept: ``IN/a/b.jpg`` becomes ``OUT/a/b.png``. Files that lie in
    ``out`` are earlier results, not images.

    Raises:
        click.UsageError: where no image is found, or two images would write the same file; names both.
    """
    from deeplab_core.images import find_images

    tasks: dict[Path, Task] = {}
    target = out.resolve()
    for given in inputs:
        pairs = (
            [(given / relative, Path(relative)) for relative in find_images(given)]
            if given.is_dir()
            else [(given, Path(given.name))]
        )
        for image, relative in pairs:
            if given.is_dir() and target != given.resolve() and image.resolve().is_relative_to(target):
                continue
            output = out / relative.with_suffix(suffix)
            if output.resolve() == image.resolve():
                raise click.UsageError(f"the mask of {image} would replace the image itself; choose another folder with -o")
            other = tasks.get(output)
            if other is not None and other.image.resolve() != image.resolve():
                raise click.UsageError(
                    f"{other.image} and {image} would both be written to {output}; predict them into different folders"
                )
            tasks[output] = Task(image, relative.as_posix(), output)
    if not tasks:
        raise click.UsageError(f"no image found in {', '.join(map(str, inputs))}; give image files or folders that hold some")
    return list(tasks.values())
