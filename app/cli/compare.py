"""``atrous compare``: what got better and what got worse between two evaluations."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.console import ReportFile, ReportingCommand, overwrite_option, write_json
from app.cli.terminal import say
from deeplab_core.wording import count

if TYPE_CHECKING:
    from deeplab_core.analysis.compare import Change, Comparison

_SIGNS = {"better": "+", "worse": "-", "unclear": " ", "too few images": "?", "not the same ground truth": " "}


@click.command(cls=ReportingCommand)
@click.argument("before", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("after", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--resamples",
    metavar="N",
    type=click.IntRange(100, 1_000_000),
    default=10_000,
    show_default=True,
    help="Draws of images for intervals and p-values.",
)
@click.option("--seed", metavar="N", type=click.IntRange(0), default=0, show_default=True, help="Of the draws.")
@click.option("--json", "json_file", metavar="FILE", type=ReportFile("JSON"), help="Write every figure.")
@overwrite_option
def compare(before: Path, after: Path, resamples: int, seed: int, json_file: Path | None) -> None:
    """Say what got better (+) and worse (-) from one 'evaluate --json' file to another of the same images.

    Means run over the classes of the ground truth on both sides. Both are pooled over the same random draws of images (paired
    bootstrap). A difference counts where chance explains it in fewer than 5 % of the draws, corrected for the number of overall
    rows and for the number of classes. A class in fewer than six images gets no verdict (?). Reports of different classes are
    compared over the common ones; then, and where the ground truth differs, nothing is marked.
    """
    from deeplab_core.analysis.compare import compare_reports

    result = compare_reports(before, after, resamples=resamples, seed=seed)
    truths = {side: _ground_truth(report) for side, report in (("before", before), ("after", after))}
    write_json(json_file, {**result.to_dict(), "ground_truth": truths})
    say(table(result))
    for report, truth in ((before, truths["before"]), (after, truths["after"])):
        written = truth.get("written_by_atrous")
        rows = written if isinstance(written, list) else []
        if any(isinstance(row, dict) and row.get("kind") in ("prediction", "refined") for row in rows):
            say(f"atrous: the ground truth of {report} holds masks that Atrous predicted", err=True)
    for names, report in ((result.only_before, before), (result.only_after, after)):
        if names:
            verb, were = ("is", "was") if len(names) == 1 else ("are", "were")
            say(f"atrous: {count(len(names), 'image')} {verb} in {report} only and {were} left out, e.g. {names[0]}", err=True)


def _ground_truth(report: Path) -> dict[str, Any]:
    """What a report records about its ground truth; empty for one of an older version, or made in Python."""
    from deeplab_core.analysis.report.reading import read_figures

    found = read_figures(report).get("ground_truth")
    return found if isinstance(found, dict) else {}


def table(result: Comparison) -> str:
    """One line per score: verdict, before, after, the difference with its interval, p, and the images behind it."""
    head = f"  {'':>20}  before   after   change   95 % interval       p       classes  images"
    lines = [head, *(_line(change) for change in result.overall), "", *(_line(change) for change in result.classes), ""]
    lines += result.notes
    number = len(result.class_set)
    classes = count(number, "class", "classes")
    lines.append(f"Means are over the {classes} of the ground truth; inside a band, over those found there.")
    if result.same_truth:
        lines.append(result.families)
        measured = [str(change.verdict) for change in result.classes if not math.isnan(change.difference)]
        better, worse = measured.count("better"), measured.count("worse")
        unclear = len(measured) - better - worse
        lines.append(f"{count(better, 'class', 'classes')} better, {worse} worse, {unclear} without a clear change")
    return "\n".join(lines)


def _line(change: Change) -> str:
    count = "" if change.classes is None else str(change.classes)
    if math.isnan(change.difference):
        scores = f"{_score(change.before)}  {_score(change.after)}       -"
        return f"  {change.name:>20}  {scores}  {'not measured':<28}  {count:>7}  {change.images:>6}"
    interval = "" if math.isnan(change.low) else f"[{change.low:+.4f}, {change.high:+.4f}]"
    p = "" if math.isnan(change.p) else f"{change.p:.4f}"
    scores = f"{_score(change.before)}  {_score(change.after)}  {change.difference:+.4f}"
    return f"{_SIGNS[change.verdict]} {change.name:>20}  {scores}  {interval:<20}  {p:<6}  {count:>7}  {change.images:>6}"


def _score(value: float) -> str:
    return "     -" if math.isnan(value) else f"{value:.4f}"
