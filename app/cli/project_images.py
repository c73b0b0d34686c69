"""``atrous project images``: the images of a project with status, reasons, notes, scores, time and actions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.console import ReportingCommand, overwrite_option, progress, say_failures, write_json
from app.cli.options import csv_option, json_option, project_option
from app.cli.terminal import say
from app.cli.train_projects import say_repairs
from deeplab_core.wording import count

if TYPE_CHECKING:
    from app.state.project import Project
    from app.state.project_analysis import ImageScore
    from app.viewmodels.project.image_list import ImageRow
    from app.viewmodels.project.review_table import ReviewedImage
    from deeplab_core.errors import AtrousError


@click.command(cls=ReportingCommand)
@click.argument("folder", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@project_option(existing=True)
@click.option(
    "--filter",
    "wanted",
    metavar="WORDS",
    default="",
    help="As in the window's list: rejected, note, class:chair, note:glare, iou<50, minutes:2..5, -reviewed; all must hold.",
)
@click.option("--no-scores", is_flag=True, help="Leave scores and classes out instead of measuring those that are not known.")
@csv_option("csv", "Write a line for each listed image.")
@csv_option("days", "Write a line for each day: images, reviewed, rejected, actions, active minutes.")
@json_option("Write the listed images, with the places of their notes, and the days.")
@overwrite_option
def images(
    folder: Path,
    *,
    project_dir: Path | None,
    wanted: str,
    no_scores: bool,
    csv_file: Path | None,
    days_file: Path | None,
    json_file: Path | None,
) -> int:
    """List the images of a project with their status, and write what was reviewed, noted and done, and how long it took.

    Time is active time: pauses of more than 60 seconds do not count. It is stored as UTC and shown in the time zone of this
    computer. Actions are steps of the undo history, and each undo and redo. Nothing in the project changes.
    """
    from app.state.activity import by_day
    from app.state.project import Project
    from app.viewmodels.project.image_list import Wanted
    from app.viewmodels.project.review_table import DAY_COLUMNS, day_values, days_csv, images_csv

    with Project.open(folder, project_dir, read_only=True) as project:
        say_repairs(project)
        scores, failures = _scores(project, measure=not no_scores)
        everything = _reviewed(project, scores)
        asked = Wanted(wanted)
        found = [each for each in everything if asked.matches(each.row)]
        days = by_day(project.activity.all())
    for each in found:
        say(_line(each.row))
    say_failures("not scored", failures)
    say(f"{len(found):,} of {count(len(everything), 'image')}", err=True)
    if csv_file is not None:
        _write(csv_file, images_csv(found))
    if days_file is not None:
        _write(days_file, days_csv(days))
    if json_file is not None:
        rows = [dict(zip(DAY_COLUMNS, day_values(day), strict=True)) for day in days]
        write_json(json_file, {"images": [each.to_dict() for each in found], "days": rows})
    return 1 if failures else 0


def _scores(project: Project, *, measure: bool) -> tuple[dict[int, ImageScore], list[tuple[str, AtrousError]]]:
    """Score and classes of each image: as the window has kept them, or measured now; and what could not be read."""
    from app.state.data_choices import settle
    from app.state.measurement import SCORE_KIND, KeptModels, Measurement, Part, due_images, read_score
    from app.state.project_analysis import ImageScore
    from deeplab_core.errors import AtrousError
    from deeplab_core.records import TrimapBand

    if not measure:
        return {}, []
    settle(project)  # the ground truth that the window takes
    kept = project.results(SCORE_KIND)
    due = due_images(project, {image: stamp for image, (stamp, _) in kept.items()})
    known = {image: read_score(data, project.catalog) for image, (_, data) in kept.items()}
    stale = [image for image in known if known[image] is None or image in set(due.stale)]
    wanted = sorted({*due.stale, *stale} - set(due.gone))
    scores = {image: ImageScore.of(found) for image, found in known.items() if image not in {*wanted, *due.gone}}
    failures: list[tuple[str, AtrousError]] = []
    models = KeptModels(project)
    with progress("scores", len(wanted)) as bar:
        for image in wanted:
            name = project.record(image).relative_path
            try:
                measured = Measurement(project, image, Part.SCORE, TrimapBand(), lambda: None, models).run()
                scores[image] = ImageScore.of(measured.score)
            except AtrousError as error:
                failures.append((name, error))
            bar.advance(name)
    return scores, failures


def _reviewed(project: Project, scores: Mapping[int, ImageScore]) -> list[ReviewedImage]:
    from app.state.image_record import twins
    from app.state.project_analysis import ImageScore
    from app.viewmodels.project.image_list import image_row
    from app.viewmodels.project.review_table import ReviewedImage

    alike = twins(project.images)
    return [
        ReviewedImage(
            image_row(
                project, record, place, scores.get(record.id, ImageScore()),
                has_truth=project.ground_truth.get(record.relative_path) is not None, has_twin=record.id in alike,
            ),
            project.reviews.of(record.id),
            project.activity.of(record.id),
        )
        for place, record in enumerate(project.images)
    ]  # fmt: skip


def _line(row: ImageRow) -> str:
    """Status, score, notes and name of one image; with the reason if it is rejected."""
    score = "" if row.iou is None else f"{row.iou:.3f}"
    notes = count(len(row.notes), "note") if row.notes else ""
    why = f"  ({row.why})" if row.why else ""
    return f"{row.status_title:>9}  {score:>5}  {notes:>8}  {row.record.relative_path}{why}"


def _write(path: Path, data: bytes) -> None:
    from deeplab_core.atomic import atomic_write, make_folder

    make_folder(path.parent)
    atomic_write(path, data)
