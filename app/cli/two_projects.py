"""``atrous project merge`` and ``atrous project agreement``: the labels of two people for the same images."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.console import ReportFile, ReportingCommand, emit, overwrite_option, progress, write_json
from app.cli.import_labels import parse_choices
from app.cli.options import json_option
from app.cli.terminal import say
from app.cli.train_projects import say_repairs
from app.text import counted
from deeplab_core.errors import DataFileError, ProjectLocked, message
from deeplab_core.printable import one_line

if TYPE_CHECKING:
    from app.state.two_projects import ImageMerge, MergeTotals, Side, SidesTaken, TwoProjects

_FORMAT = "atrous-conflicts/1"
#: Lines of a list that the terminal shows.
_SHOWN = 20
#: Pairs of classes that a line names.
_PAIRS = 3


def _sides(command: Callable[..., Any]) -> Callable[..., Any]:
    """The two projects and how the classes of the second one map."""
    kind = click.Path(exists=True, file_okay=False, path_type=Path)
    mapping = click.option(
        "--map", "pairs", metavar="OLD=NEW", multiple=True,
        help="Class of A that a class of B is, or void; may be repeated. Equal names and common synonyms map themselves.",
    )  # fmt: skip
    return click.argument("one", metavar="A", type=kind)(click.argument("other", metavar="B", type=kind)(mapping(command)))


@click.command(cls=ReportingCommand)
@_sides
@click.option(
    "--prefer", type=click.Choice(["a", "b"]), help="The project that wins conflicts [default: such images stay as they are]."
)
@click.option(
    "--solve", "solve_file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Decisions by image or by place: a list of --conflicts with \"take\": \"a\" or \"b\" filled in.",
)  # fmt: skip
@click.option(
    "--conflicts", "conflict_file", metavar="FILE", type=ReportFile("JSON"),
    help="Write the images with conflicts and their classes, to be filled in and given to --solve.",
)  # fmt: skip
@overwrite_option
@click.option("--dry-run", is_flag=True, help="Print what would be merged, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines on stdout: every image, what failed, a summary.")
def merge(
    one: Path, other: Path, *, pairs: tuple[str, ...], prefer: Side | None, solve_file: Path | None,
    conflict_file: Path | None, dry_run: bool, as_json: bool,
) -> int:  # fmt: skip
    """Merge the labels of project B into project A; B stays as it is.

    A and B are folders of the same images that were opened, or the directories of their projects. Pixels that only one user set
    get that user's label. Pixels that both set differently are a conflict: the image stays as it is until --prefer or --solve
    decides. Every image is one step that can be undone in the window. Exit status 1: images are open or failed.
    """
    solved = _decisions(solve_file) if solve_file is not None else {}
    with ExitStack() as stack:
        both = _opened(stack, one, other, pairs, write=not dry_run)
        strangers = sorted(set(solved) - {pair.name for pair in both.pairs})
        if strangers:
            raise DataFileError(
                message("the list names an image that is not in both projects: {name}", name=strangers[0]),
                remedy=message("Correct the list"), path=solve_file,
            )  # fmt: skip
        found: list[ImageMerge] = []
        with progress("merge", len(both.pairs)) as bar:

            def follow(image: ImageMerge | None, name: str) -> None:
                if image is not None and image.conflicts:
                    found.append(image)
                if image is not None and as_json:
                    emit("image", **image.to_dict())
                bar.advance(name)

            totals = both.merge(prefer=prefer, solved=solved, write=not dry_run, progress=follow)
        if conflict_file is not None:
            _write_conflicts(conflict_file, both, totals.open)
        _tell_merge(both, totals, conflict_file, dry_run=dry_run, as_json=as_json)
    return 1 if totals.open or totals.failures or both.strangers else 0


@click.command(cls=ReportingCommand)
@_sides
@click.option(
    "--scope", type=click.Choice(["reviewed", "touched", "all"]), default="touched", show_default=True,
    help="Images that both users have brought to this status.",
)  # fmt: skip
@json_option("Write every figure, by class and by image.")
@overwrite_option
def agreement(one: Path, other: Path, *, pairs: tuple[str, ...], scope: str, json_file: Path | None) -> int:
    """Measure how well the labels of A and B agree: IoU of each class, Cohen's kappa, boundaries, and the images to look at.

    A and B are folders of the same images that were opened, or the directories of their projects. Pixels that either side leaves
    void are left out. No figure depends on which project is named first.
    """
    from app.state.image_record import ImageStatus

    least = {"reviewed": ImageStatus.REVIEWED, "touched": ImageStatus.TOUCHED, "all": ImageStatus.NEW}[scope]
    with ExitStack() as stack:
        both = _opened(stack, one, other, pairs, write=False)
        wanted = both.compared(least)
        if not wanted:
            raise click.UsageError(f"no image of both projects is {scope}; label some, or choose another --scope")
        with progress("agreement", len(wanted)) as bar:
            found, failures = both.agreement(least=least, progress=bar.advance)
    if json_file is not None:
        write_json(json_file, {**found.to_dict(), "a": str(one), "b": str(other), "scope": scope,
                               "failed": [{"image": name, "error": error.to_dict()} for name, error in failures]})  # fmt: skip
    for name, error in failures:
        say(f"atrous: not compared: {one_line(name)}: {error}", err=True)
    say(f"{counted(len(found.images), 'image')} of both projects, {int(found.matrix.counts.sum()):,} px that both label")
    say(f"{'':>24}  {'IoU':>7}  {'boundary IoU':>12}  {'A':>14}  {'B':>14}")
    rows = zip(found.catalog.names, found.iou(), found.boundary_iou(), *found.pixels(), strict=True)
    for title, iou, near, first, second in rows:
        if first or second:
            say(f"{title:>24}  {_figure(iou):>7}  {_figure(near):>12}  {first:>11,} px  {second:>11,} px")
    say(f"{'pixels that agree':>24}  {_figure(found.share):>7}")
    say(f"{'Cohen kappa':>24}  {_figure(found.kappa):>7}")
    for one_class, other_class, count in found.disagreements()[:_PAIRS]:
        say(f"A {one_class}, B {other_class}: {count:,} px")
    say("least agreement first:")
    for image in found.worst_first()[:_SHOWN]:
        say(f"{_figure(image.share):>7}  kappa {_figure(image.kappa):>7}  {one_line(image.name)}")
    return 1 if failures else 0


def _figure(value: float) -> str:
    return "-" if value != value else f"{value:.4f}"


def _opened(stack: ExitStack, one: Path, other: Path, pairs: tuple[str, ...], *, write: bool) -> TwoProjects:
    from app.state.project import Project
    from app.state.two_projects import TwoProjects, project_at

    places = [project_at(path) for path in (one, other)]
    if len({(folder.resolve(), directory and directory.resolve()) for folder, directory in places}) == 1:
        raise click.UsageError("A and B are one project")
    first = stack.enter_context(Project.open(*places[0], read_only=not write))
    second = stack.enter_context(Project.open(*places[1], read_only=True))
    say_repairs(first)
    say_repairs(second)
    if write and first.read_only_reason is not None:
        raise ProjectLocked(
            message("the project cannot be changed"), why=first.read_only_reason,
            remedy=message("Close the window that has it open"), path=first.folder,
        )  # fmt: skip
    return TwoProjects(first, second, parse_choices(pairs))


def _tell_merge(both: TwoProjects, totals: MergeTotals, conflicts: Path | None, *, dry_run: bool, as_json: bool) -> None:
    for name, error in totals.failures:
        if as_json:
            emit("failed", image=name, error=error.to_dict())
        say(f"atrous: not merged: {one_line(name)}: {error}", err=True)
    for name, why in both.strangers[:_SHOWN]:
        say(f"atrous: not merged: {one_line(name)}: {why}.", err=True)
    if len(both.strangers) > _SHOWN:
        say(f"atrous: not merged: {len(both.strangers) - _SHOWN:,} more without a partner", err=True)
    if as_json:
        emit(
            "summary", dry_run=dry_run, merged=totals.merged, same=totals.same, solved=totals.solved, open=len(totals.open),
            changed_px=totals.changed_px, failed=len(totals.failures),
            without_partner=[{"image": name, "why": why} for name, why in both.strangers],
        )  # fmt: skip
        return
    verb = "would take" if dry_run else "took"
    say(f"{counted(totals.merged, 'image')} {verb} labels of B: {totals.changed_px:,} px. {totals.same:,} stay as they are.")
    if totals.solved:
        say(f"{counted(totals.solved, 'image')} with conflicts {'was' if totals.solved == 1 else 'were'} decided.")
    for image in totals.open[:_SHOWN]:
        listed = [f"{one} / {other} {count:,} px" for (one, other), count in list(image.conflicts.items())[:_PAIRS]]
        more = f", {len(image.conflicts) - _PAIRS} more pairs" if len(image.conflicts) > _PAIRS else ""
        say(f"conflict: {one_line(image.name)}: A / B: {', '.join(listed)}{more}")
    if len(totals.open) > _SHOWN:
        say(f"conflict: {len(totals.open) - _SHOWN:,} more images")
    if totals.open:
        way = f"fill in {conflicts} and give it to --solve" if conflicts is not None else "list them with --conflicts FILE"
        count = counted(len(totals.open), "image")
        say(f"{count} with conflicts {'was' if len(totals.open) == 1 else 'were'} not merged: give --prefer a or b, or {way}.")


def _write_conflicts(path: Path, both: TwoProjects, images: list[ImageMerge]) -> None:
    from deeplab_core.atomic import atomic_write

    data = {
        "format": _FORMAT, "a": str(both.one.directory), "b": str(both.other.directory),
        "images": [image.to_dict() for image in images],
    }  # fmt: skip
    atomic_write(path, (json.dumps(data, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "surrogateescape"))


def _decisions(path: Path) -> dict[str, SidesTaken]:
    """The project that images, or places of them, get their labels from, by a list that was filled in. Raises DataFileError."""
    from app.state.two_projects import SidesTaken
    from deeplab_core.reading import expecting, read_json

    data = read_json(path, what="the list of conflicts")
    found: dict[str, SidesTaken] = {}
    remedy = 'Each entry of "images", and of its "places", has a "take": "a", "b" or null'
    with expecting("not a list of conflicts", path=path, remedy=remedy, error=DataFileError):
        for row in data["images"]:
            decided = [
                ((int(place["x"]), int(place["y"])), side, (str(place["a"]), str(place["b"])))
                for place in row.get("places", ())
                if (side := _side_of(place, row)) is not None
            ]
            places = {at: side for at, side, _ in decided}
            rest = _side_of(row, row)
            if rest is not None or places:
                found[str(row["image"])] = SidesTaken(rest, places, {at: classes for at, _, classes in decided})
    return found


def _side_of(entry: Any, row: Any) -> Side | None:
    take: Side | None = entry["take"]
    if take not in ("a", "b", None):
        raise ValueError(f"'take' of {row['image']} is {take!r}")
    return take
