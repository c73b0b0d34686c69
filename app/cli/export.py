"""``atrous export``: corrected masks of a project, in the form that a training reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from app.cli.console import emit, progress
from app.cli.plan import keep_suffix_option
from app.cli.terminal import say
from app.cli.train_projects import say_repairs
from deeplab_core.masks.export.formats import FORMATS

if TYPE_CHECKING:
    from app.state.project import ImageRecord


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
@click.option(
    "--project",
    "project_dir",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the project's data lies, if not in FOLDER/.atrous.",
)
@click.option("--format", "kind", type=click.Choice(list(FORMATS)), default="indexed", show_default=True)
@click.option(
    "--scope",
    type=click.Choice(["reviewed", "touched", "all"]),
    default="reviewed",
    show_default=True,
    help="Which images: marked as reviewed, worked on (reviewed ones too), or every one that has a mask or a prediction.",
)
@click.option(
    "--frame",
    type=click.Choice(["stored", "oriented"]),
    default="stored",
    show_default=True,
    help="Masks fit the file's raw pixels, or the picture as its EXIF tag turns it.",
)
@click.option(
    "--existing",
    type=click.Choice(["error", "skip", "replace"]),
    default="error",
    show_default=True,
    help="What to do where files are already there.",
)
@keep_suffix_option
@click.option("--unmatched-to-void", is_flag=True, help="Cityscapes formats: write classes without a partner as void.")
@click.option("--json", "as_json", is_flag=True, help="One JSON line per problem and one summary, on stdout.")
def export(
    folder: Path,
    out: Path | None,
    *,
    project_dir: Path | None,
    kind: str,
    scope: str,
    frame: Literal["stored", "oriented"],
    existing: Literal["error", "skip", "replace"],
    unmatched_to_void: bool,
    keep_suffix: bool,
    as_json: bool,
) -> int:
    """Write the corrected masks of a project; each is read back and compared before it takes its place."""
    from app.state.project import Project
    from app.state.samples import ExportSource
    from deeplab_core.masks.export import export_masks, get_exporter

    if out is None:
        own = folder.resolve()
        out = own.parent / f"{own.name}_export"
    options: dict[str, Any] = {"unmatched_to_void": True} if unmatched_to_void and kind.startswith("cityscapes") else {}
    exporter = get_exporter(kind, **options)
    with Project.open(folder, project_dir, read_only=True) as project:
        say_repairs(project)
        wanted = [record for record in project.images if _in_scope(scope)(record) and not record.missing]
        if not wanted:
            raise click.UsageError(f"no image of {folder} is {scope}; label some in the window, or choose another --scope")
        items = [ExportSource(project, record.id, keep_suffix=keep_suffix).item() for record in wanted]
        names = iter([record.relative_path for record in wanted])
        with progress("export", len(items)) as bar:
            summary = export_masks(
                items,
                exporter,
                out,
                on_existing=existing,
                frame=frame,
                progress=lambda _done, _total: bar.advance(next(names)),
            )
    for name, error in summary.failed:
        if as_json:
            emit("failed", image=name, error=error.to_dict())
        say(f"atrous: not exported: {name}: {error}", err=True)
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
        )
    else:
        say(f"{summary.text()} in {out}")
        for name, pixels in summary.class_pixels.items():
            say(f"{name:>16}  {pixels:,} px")
    return 1 if summary.failed or summary.not_reached else 0


def _in_scope(scope: str) -> Callable[[ImageRecord], bool]:
    from app.state.image_record import ImageStatus

    least = {"reviewed": ImageStatus.REVIEWED, "touched": ImageStatus.TOUCHED, "all": ImageStatus.NEW}[scope]
    return lambda record: record.status >= least
