"""``atrous project runs``: the runs that a project keeps under a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.compared_errors import error_lines
from app.cli.console import ReportingCommand, overwrite_option, progress, say_failures, write_json
from app.cli.options import draws_options, json_option, project_option
from app.cli.terminal import say
from deeplab_core.wording import count

if TYPE_CHECKING:
    from app.state.kept_runs import KeptRun, KeptRuns, LostRun
    from app.state.project import Project
    from deeplab_core.analysis.error_comparison import ErrorComparison
    from deeplab_core.errors import AtrousError


@click.command(cls=ReportingCommand)
@click.argument("folder", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@project_option(existing=True)
@click.option("--keep", metavar="NAME", help="Keep the labels of the project as they are now, as a run of this name.")
@click.option(
    "--compare", "compared", nargs=2, metavar="BEFORE AFTER",
    help="Which errors the second run fixed and which it made; names or numbers of runs, or 'now' for the labels as they are.",
)  # fmt: skip
@click.option("--rename", nargs=2, metavar="RUN NAME", help="Give a run another name.")
@click.option(
    "--take-in", nargs=2, metavar="NUMBER NAME",
    help="Keep a run again whose name and figures were lost (damaged database, older backup); its labels are scored again.",
)  # fmt: skip
@click.option("--remove", metavar="RUN", help="Remove a run and delete its labels.")
@click.option("--top", type=click.IntRange(0, 1000), default=10, show_default=True, help="Rows and errors to list.")
@draws_options(default=10_000, least=100, most=1_000_000, text="Random draws of images for intervals and p-values.")
@json_option("Write the runs, or the comparison.")
@overwrite_option
def runs(
    folder: Path,
    *,
    project_dir: Path | None,
    keep: str | None,
    compared: tuple[str, str] | None,
    rename: tuple[str, str] | None,
    take_in: tuple[str, str] | None,
    remove: str | None,
    top: int,
    resamples: int,
    seed: int,
    json_file: Path | None,
) -> int:
    """List the runs that a project keeps: name, date, model, settings, figures and the hash of their ground truth.

    A run has the labels of its moment in files of its own, so later work does not change it. The window keeps runs of models
    and of masks (Evaluation panel, Runs).
    """
    from app.state.data_choices import settle
    from app.state.kept_runs import KeptRuns
    from app.state.project import Project
    from app.state.samples import load_sample

    if sum(choice is not None for choice in (keep, compared, rename, take_in, remove)) > 1:
        raise click.UsageError("--keep, --compare, --rename, --take-in and --remove go one at a time")
    writes = any(choice is not None for choice in (keep, rename, take_in, remove))
    with Project.open(folder, project_dir, read_only=not writes) as project:
        settle(project)  # the ground truth that the window takes
        kept = KeptRuns(project)
        failures: list[tuple[str, AtrousError]] = []
        if compared is not None:
            found, failures = _compare(project, kept, compared, resamples, seed)
            say(error_lines(found, top))
            if json_file is not None:
                write_json(json_file, found.to_dict())
            say_failures("not compared", failures)
            return 1 if failures else 0
        if keep is not None:
            failures = _keep(project, kept, keep)
        if rename is not None:
            kept.give_name(kept.named(rename[0]), rename[1])
        if take_in is not None:
            kept.take_in(_lost(kept, take_in[0]), take_in[1], lambda image: load_sample(project, image, labels="none").scored)
        if remove is not None and any(str(run.number) == remove for run in kept.lost()):
            kept.remove_lost(_lost(kept, remove))
        elif remove is not None:
            kept.remove(kept.named(remove))
        listed = kept.all()
        _list(kept, listed)
        if json_file is not None:
            write_json(json_file, {"runs": [asdict(run) | {"labels": str(kept.folder(run))} for run in listed]})
    say_failures("not kept", failures)
    return 1 if failures else 0


def _list(kept: KeptRuns, runs: Sequence[KeptRun]) -> None:
    from app.viewmodels.evaluate.run_changes import run_facts

    for run in runs:
        say(f"{run.number:>4}  {run_facts(run)}")
        say(f"      {kept.folder(run)}")
    for lost in kept.lost():
        what = f"{lost.number:>4}  name and figures are lost; {count(lost.images, 'image')}"
        say(f"{what}; 'atrous project runs --take-in {lost.number} NAME' keeps it again")
    say(count(len(runs), "run"), err=True)


def _lost(kept: KeptRuns, number: str) -> LostRun:
    found = next((run for run in kept.lost() if str(run.number) == number), None)
    if found is None:
        raise click.UsageError(f"no run {number} has lost its name and figures")
    return found


def _keep(project: Project, kept: KeptRuns, name: str) -> list[tuple[str, AtrousError]]:
    from app.paths import whole_setting
    from app.state.samples import load_sample
    from deeplab_core.errors import AtrousError

    recorder = kept.begin(name, "Masks of the project", most_bytes=whole_setting("work.runs_megabytes") * 1_000_000)
    failures: list[tuple[str, AtrousError]] = []
    images = [record for record in project.images if not record.missing]
    with progress("keep", len(images)) as bar:
        for record in images:
            try:
                sample = load_sample(project, record.id)
                if sample.labels is not None:
                    recorder.add(record.id, sample.labels, sample.scored)
            except AtrousError as error:
                failures.append((record.relative_path, error))
            bar.advance(record.relative_path)
            if recorder.outgrown:
                break
    recorder.finish()
    return failures


def _compare(
    project: Project, kept: KeptRuns, names: tuple[str, str], resamples: int, seed: int
) -> tuple[ErrorComparison, list[tuple[str, AtrousError]]]:
    from app.state.project_analysis import ObjectLists
    from app.state.run_sides import RunSide, change_of
    from deeplab_core.analysis.difference import RunDifference
    from deeplab_core.analysis.error_comparison import ErrorComparison
    from deeplab_core.errors import AtrousError

    sides = [RunSide(name) if name == "now" else RunSide(name, kept=kept.named(name)) for name in names]
    found, failures = RunDifference(project.catalog), list[tuple[str, AtrousError]]()
    images = [record for record in project.images if not record.missing]
    objects = ObjectLists(project.ground_truth.index)  # as the window, so that kinds that rest on them are the same
    with progress("compare errors", len(images)) as bar:
        for record in images:
            try:
                change = change_of(project, record.id, sides, objects=objects.of(record.relative_path))
                if change is not None:
                    found.add(record.relative_path, change)
            except AtrousError as error:
                failures.append((record.relative_path, error))
            bar.advance(record.relative_path)
    return ErrorComparison.of(found, resamples=resamples, seed=seed), failures
