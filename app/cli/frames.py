"""Frames of a video: the options, what they need, and what became of them. Shared by ``project frames`` and ``open VIDEO``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.console import emit, progress
from app.cli.options import Decimal
from app.cli.terminal import say
from app.cli.transfer import megabytes

if TYPE_CHECKING:
    from deeplab_core.datasets.video import FrameChoice, FramePlan, FrameSummary


def frame_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--every``, ``--seconds``, ``--start``, ``--end`` and ``--frame-format``."""
    for option in (
        click.option(
            "--frame-format", "frame_kind", type=click.Choice(["png", "jpg"]), default="png", show_default=True,
            help="png keeps the decoded pixels, jpg takes a tenth of the disk.",
        ),
        click.option("--end", metavar="S", type=Decimal(min=0), help="Stop at this second of the video."),
        click.option("--start", metavar="S", type=Decimal(min=0), default=0.0, help="Begin at this second of the video."),
        click.option("--seconds", metavar="S", type=Decimal(min=0.001), help="Take one frame every S seconds, by their times."),
        click.option("--every", metavar="N", type=click.IntRange(1), help="Take every N-th frame [default: 10]."),
    ):  # fmt: skip
        command = option(command)
    return command


def frame_choice(every: int | None, seconds: float | None, start: float, end: float | None, kind: str) -> FrameChoice:
    """What the options ask for. Raises UsageError for options that contradict each other."""
    from deeplab_core.datasets.video import FrameChoice

    if every is not None and seconds is not None:
        raise click.UsageError("--every and --seconds are two ways to choose frames; give one of them")
    if end is not None and end <= start:
        raise click.UsageError("--end is not behind --start")
    by_number = None if seconds is not None else every or 10
    return FrameChoice(every=by_number, seconds=seconds, start=start, end=end, kind="jpg" if kind == "jpg" else "png")


def extract(
    video: Path, folder: Path | None, choice: FrameChoice, *, dry_run: bool = False, as_json: bool = False
) -> tuple[FramePlan, FrameSummary | None]:
    """State what the frames need, then write them; None instead of a summary with ``dry_run``."""
    from deeplab_core.datasets.video import plan_frames, summary_text, take_frames

    plan = plan_frames(video, choice, folder)
    _tell_plan(plan, as_json=as_json)
    if dry_run:
        return plan, None
    with progress("frames", plan.frames) as bar:
        # The header's number may be wrong: the bar counts frames that are taken.
        summary = take_frames(plan, choice, progress=lambda done, _total: bar.advance(f"frame {done - 1}"))
    if as_json:
        emit("summary", folder=plan.folder, **summary.to_dict())
    else:
        for line in summary_text(plan, summary):
            say(line)
    return plan, summary


def _tell_plan(plan: FramePlan, *, as_json: bool) -> None:
    info = plan.info
    if as_json:
        emit(
            "plan", video=info.path, folder=plan.folder, width=info.width, height=info.height, rotation=info.rotation,
            declared_frames=info.declared, rate=info.rate, frames=plan.frames, bytes=plan.nbytes, free=plan.free,
            there=plan.there,
        )  # fmt: skip
        return
    length = (
        f"{info.declared:,} frames" + (f", {info.seconds:,.1f} s" if info.rate else "") if info.declared else "unknown length"
    )
    turned = f", turned by {info.rotation} degrees" if info.rotation else ""
    say(f"{info.path.name}: {info.width} x {info.height} px{turned}, {length}", err=True)
    need = f"about {plan.frames:,} frames, {megabytes(plan.nbytes)}" if plan.frames else "an unknown number of frames"
    there = f"; {plan.there:,} are there already" if plan.there else ""
    say(f"{need} in {plan.folder} ({megabytes(plan.free)} free){there}", err=True)
