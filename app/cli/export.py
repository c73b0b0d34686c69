"""``atrous export``: corrected masks of a project, in the form that a training or another program reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from app.cli.console import emit, progress, say_failures
from app.cli.options import Decimal, json_lines_option, project_option
from app.cli.plan import keep_suffix_option
from app.cli.terminal import say
from app.cli.train_projects import say_repairs
from deeplab_core.masks.export.formats import FORMATS
from deeplab_core.wording import count, name_some

if TYPE_CHECKING:
    from app.state.project import ImageRecord, Project
    from deeplab_core.masks.export import Exporter, ExportItem, ExportSetup, ExportSummary, SplitPlan


def _format_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that only some formats have."""
    for option in (
        click.option(
            "--images", type=click.Choice(["copy", "link", "none"]),
            help="Data sets: copy the photographs, link them, or leave them out [default: copy].",
        ),
        click.option("--shapes", type=click.Choice(["polygon", "mask"]), help="labelme, COCO instances, CVAT XML."),
        click.option("--unit", type=click.Choice(["class", "component"]), help="COCO: an entry per class, or per region."),
        click.option(
            "--tolerance", metavar="PX", type=Decimal(0, 100),
            help="Polygons may deviate from the outline by this many px; changed pixels are counted [default: 0, exact].",
        ),
        click.option(
            "--min-pixels", metavar="N", type=click.IntRange(0),
            help="Shapes: leave out regions of fewer pixels; they are counted [default: 0].",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def _split_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options about the parts of the data set."""
    for option in (
        click.option(
            "--split", "shares", metavar="NAME=SHARE", multiple=True,
            help="Split the images, as in --split train=0.8 --split val=0.2. Copies of an image stay together.",
        ),
        click.option("--split-list", "lists", metavar="NAME=FILE", multiple=True, help="Images of a split, one name per line."),
        click.option("--seed", metavar="N", type=click.IntRange(0), default=0, show_default=True, help="Seed of --split."),
        click.option(
            "--group", metavar="parent|REGEX", default="",
            help="Keep images of one folder together, or of what a pattern finds in their paths, such as frames of a sequence.",
        ),
        click.option(
            "--stratify/--no-stratify", "stratified", default=True, show_default=True, help="Balance the classes between splits."
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def _class_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options about the classes of the files."""
    for option in (
        click.option(
            "--map", "class_map", metavar="OLD=NEW", multiple=True,
            help="Write a class as another one, as a new name, or as void; several may become one. May be repeated.",
        ),
        click.option("--catalog", metavar="NAME|FILE", help="Classes of the files: cityscapes19, ... [default: the project's]."),
        click.option("--unmatched-to-void", is_flag=True, help="Write classes without a match as void, and count them."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o",
    "--output",
    "out",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Target [default: FOLDER_export beside FOLDER].",
)
@project_option()
@click.option("--format", "kind", type=click.Choice(list(FORMATS)), default="indexed", show_default=True)
@click.option(
    "--scope",
    type=click.Choice(["reviewed", "touched", "all"]),
    default="reviewed",
    show_default=True,
    help="Which images: marked as reviewed, worked on (reviewed ones too), or every one that has a mask or a prediction.",
)
@click.option(
    "--rejected",
    type=click.Choice(["leave-out", "keep"]),
    default="leave-out",
    show_default=True,
    help="Labels of rejected images: leave them out, or export them too. They are counted either way.",
)
@click.option(
    "--frame",
    type=click.Choice(["stored", "oriented"]),
    default="stored",
    show_default=True,
    help="Frame of the masks: the stored pixels, or the image as displayed (EXIF).",
)
@click.option(
    "--existing",
    type=click.Choice(["error", "skip", "replace"]),
    default="error",
    show_default=True,
    help="What to do with existing files.",
)
@keep_suffix_option
@_class_options
@_split_options
@_format_options
@click.option("--provenance", is_flag=True, help="Also write who set each pixel; an import reads it again.")
@click.option("--measure", is_flag=True, help="Write nothing; count what the format cannot carry.")
@json_lines_option("One JSON line per problem and one summary, on stdout.")
def export(
    folder: Path,
    out: Path | None,
    *,
    project_dir: Path | None,
    kind: str,
    scope: str,
    rejected: str,
    frame: Literal["stored", "oriented"],
    existing: Literal["error", "skip", "replace"],
    keep_suffix: bool,
    provenance: bool,
    measure: bool,
    as_json: bool,
    **more: Any,
) -> int:
    """Export the corrected masks of a project. Every file is read back and compared before it is put in place."""
    from app.state.project import Project
    from deeplab_core.masks.export import export_masks

    if out is None:
        own = folder.resolve()
        out = own.parent / f"{own.name}_export"
    setup = _setup(kind, **more)
    exporter = setup.exporter()
    with Project.open(folder, project_dir, read_only=True) as project:
        say_repairs(project)
        records, left_out = _records(project, folder, scope, keep_rejected=rejected == "keep")
        items, plan = _items(project, records, setup, keep_suffix=keep_suffix)
        among = RejectedCount(left_out, sum(record.rejected for record in records))
        if measure:
            return _measure(items, setup, frame, as_json=as_json)
        _warn_among_photographs(items, exporter, out)
        names = iter([item.name for item in items])
        with progress("export", len(items)) as bar:
            summary = export_masks(
                items,
                exporter,
                out,
                on_existing=existing,
                frame=frame,
                progress=lambda _done, _total: bar.advance(next(names)),
                provenance=provenance,
            )
    _report(summary, plan, items, kind, out, rejected=among, as_json=as_json)
    nothing = not summary.written and all(reason == "no mask" for _, reason in summary.skipped)
    if nothing and not summary.failed:
        say("atrous: nothing was exported, because no image of this scope has a mask; label some, or run a model", err=True)
    return 1 if summary.failed or summary.not_reached or nothing else 0


def _warn_among_photographs(items: list[ExportItem], exporter: Exporter, out: Path) -> None:
    from deeplab_core.masks.export.plan import folder_among_photographs

    folder = folder_among_photographs(items, exporter, out)
    if folder is not None:
        say(
            f"atrous: warning: {folder} holds photographs of the project; the files are written among them, and pictures may be "
            "listed as images later",
            err=True,
        )


def _setup(
    kind: str,
    *,
    class_map: tuple[str, ...],
    catalog: str | None,
    unmatched_to_void: bool,
    shares: tuple[str, ...],
    lists: tuple[str, ...],
    seed: int,
    group: str,
    stratified: bool,
    **options: object,
) -> ExportSetup:
    from deeplab_core.catalogs import get_catalog
    from deeplab_core.masks.export import ExportSetup, parse_class_map
    from deeplab_core.masks.export.splits import parse_lists, parse_shares

    if group and not shares:
        raise click.UsageError("--group keeps images of --split together; give --split, too")
    return ExportSetup(
        format=kind,
        options={name: value for name, value in options.items() if value is not None},
        class_map=parse_class_map(class_map),
        catalog=None if catalog is None else get_catalog(catalog),
        unmatched_to_void=unmatched_to_void,
        shares=parse_shares(shares),
        lists=parse_lists(lists),
        seed=seed,
        group=group,
        stratified=stratified,
    )


class RejectedCount(NamedTuple):
    """How many images of an export's scope are rejected: left out of it, and exported all the same."""

    left_out: int
    kept: int

    def line(self) -> str:
        """Both in words; empty for none."""
        if self.left_out:
            return f"{count(self.left_out, 'rejected image')} left out (--rejected keep exports them, too)"
        return f"{count(self.kept, 'rejected image')} among them (--rejected leave-out leaves them out)" if self.kept else ""


def _records(project: Project, folder: Path, scope: str, *, keep_rejected: bool) -> tuple[list[ImageRecord], int]:
    """The images of a scope, and how many rejected ones are left out of it."""
    from app.state.image_record import ImageStatus
    from app.state.reviews import to_export

    least = {"reviewed": ImageStatus.REVIEWED, "touched": ImageStatus.TOUCHED, "all": ImageStatus.NEW}[scope]
    wanted, left_out = to_export(project, least, rejected=keep_rejected)
    if not wanted:
        also = f" ({count(left_out, 'rejected image')} left out)" if left_out else ""
        raise click.UsageError(f"no image of {folder} is {scope}{also}; label some in the window, or choose another --scope")
    return wanted, left_out


def _items(
    project: Project, records: list[ImageRecord], setup: ExportSetup, *, keep_suffix: bool
) -> tuple[list[ExportItem], SplitPlan | None]:
    from app.state.class_keys import exported_catalog
    from app.state.samples import ExportSource

    catalog = exported_catalog(project)
    items = [ExportSource(project, record.id, keep_suffix=keep_suffix, catalog=catalog).item() for record in records]
    if not setup.shares or not setup.stratified:
        return setup.prepare(items)
    with progress("splits", len(items)) as bar:
        return setup.prepare(items, bar.advance)


def _measure(items: list[ExportItem], setup: ExportSetup, frame: Literal["stored", "oriented"], *, as_json: bool) -> int:
    from deeplab_core.masks.export import Loss, measure_losses

    with progress("measure", len(items)) as bar:
        found = measure_losses(
            items, setup.exporter(), frame=frame, progress=lambda done, _total: bar.advance(items[done - 1].name)
        )
    losses = {name: loss for name, loss in found.items() if isinstance(loss, Loss)}
    errors = {name: error for name, error in found.items() if not isinstance(error, Loss)}
    lossy = {name: loss for name, loss in losses.items() if loss}
    total = sum(lossy.values(), Loss())
    for name, error in errors.items() if as_json else ():
        emit("failed", image=name, error=error.to_dict())
    say_failures("cannot be exported", errors.items())
    if as_json:
        named = {name: loss.to_dict() for name, loss in lossy.items()}
        emit("losses", format=setup.format, measured=len(losses), images=named, total=total.to_dict(), failed=len(errors))
    elif not losses:
        say(f"nothing was measured: no image can be exported as {setup.format}")
    elif lossy:
        say(f"{setup.format} would not carry, in {len(lossy):,} of {count(len(losses), 'image')}: {total.text()}")
    else:
        say(f"{setup.format} carries every pixel of {count(len(losses), 'image')}")
    return 1 if errors else 0


def _report(
    summary: ExportSummary,
    plan: SplitPlan | None,
    items: list[ExportItem],
    kind: str,
    out: Path,
    *,
    rejected: RejectedCount,
    as_json: bool,
) -> None:
    from collections import Counter

    parts = Counter(item.split for item in items if item.split)
    for name, error in summary.failed if as_json else ():
        emit("failed", image=name, error=error.to_dict())
    say_failures("not exported", summary.failed)
    if as_json:
        emit(
            "summary",
            output=out,
            format=kind,
            written=len(summary.written),
            skipped=len(summary.skipped),
            failed=len(summary.failed),
            not_reached=summary.not_reached,
            pixels=summary.class_pixels,
            notes=summary.notes.to_list(),
            loss=summary.loss.to_dict(),
            lossy={name: loss.to_dict() for name, loss in summary.losses.items()},
            splits=dict(parts),
            left_out=0 if plan is None else len(plan.left_out),
            not_exported=[] if plan is None else list(plan.missing),
            rejected=rejected._asdict(),
        )
        return
    say(f"{summary.text()} in {out}")
    if rejected.line():
        say(rejected.line())
    if plan is not None:
        shares = ", ".join(f"{name} {number:,}" for name, number in parts.items())
        same = f"; {count(len(plan.duplicates), 'set')} of equal images kept together" if plan.duplicates else ""
        left = f"; {count(len(plan.left_out), 'image')} in no list" if plan.left_out else ""
        say(f"splits: {shares}{same}{left}")
        if plan.missing:
            say(f"{count(len(plan.missing), 'line')} of the lists name no image that is exported: {name_some(plan.missing, 5)}")
    for name, pixels in sorted(summary.class_pixels.items(), key=lambda pair: -pair[1]):
        say(f"{name:>16}  {pixels:,} px")
