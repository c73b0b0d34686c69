"""``atrous import``: labels of other programs become the masks of a project."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.console import emit, progress, say_failures
from app.cli.options import json_lines_option, project_option
from app.cli.terminal import say
from app.cli.train_projects import say_repairs
from deeplab_core.printable import one_line
from deeplab_core.wording import count as counted

if TYPE_CHECKING:
    from app.state.class_edits import ClassEdits
    from app.state.label_import import ImportTotals
    from app.state.project import Project
    from deeplab_core.catalogs.catalog import ClassCatalog
    from deeplab_core.masks.frames import Frame
    from deeplab_core.masks.importing import ImportPlan
    from deeplab_core.masks.importing.records import Unread

#: Keys of the formats, in the order of the table in :mod:`deeplab_core.masks.importing.formats`, which a test compares.
FORMATS = (
    "labelme", "xanylabeling", "isat", "coco", "coco_panoptic", "yolo", "cvat", "cvat_masks", "voc", "cityscapes", "kitti",
    "ade20k", "ade20k_full", "supervisely", "labelstudio", "numpy", "parquet", "binary", "masks", "datumaro",
)  # fmt: skip
#: Why a class becomes another one, as the list of the classes has it.
_HOW = {
    "synonym": " (synonym)", "chosen": " (--map)", "format": " (by the format)", "id": " (id)",
    "edit": " (by an edit of the classes)",
}  # fmt: skip
#: Lines of a list that the terminal shows.
_SHOWN = 20


@click.command("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--images",
    metavar="FOLDER",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the images that the labels belong to.",
)
@project_option()
@click.option("--format", "format_key", type=click.Choice(FORMATS), help="Format of SOURCE [default: recognised].")
@click.option(
    "--catalog",
    "catalog_name",
    metavar="NAME_OR_FILE",
    help="Classes of a new project [default: those of SOURCE]; an existing project keeps its own.",
)
@click.option(
    "--map",
    "pairs",
    metavar="OLD=NEW",
    multiple=True,
    help="Class of the project that a class of SOURCE becomes, or void; may be repeated. Equal names and common synonyms map "
    "themselves.",
)
@click.option(
    "--unlabelled",
    metavar="CLASS",
    help="Class of pixels without any label, or void [default: the background class; without one, void].",
)
@click.option(
    "--mask-classes",
    "mask_classes_name",
    metavar="NAME_OR_FILE",
    help="Classes that plain masks are made in [default: recognised, else the project's].",
)
@click.option(
    "--mask-frame",
    type=click.Choice(["stored", "displayed"]),
    help="Labels that fit an image in both ways are for the stored pixels, or for the displayed image (EXIF).",
)
@click.option("--extract-images", is_flag=True, help="First write images that SOURCE holds into FOLDER; none is replaced.")
@click.option(
    "--overwrite", is_flag=True, help="Also replace pixels that you painted and masks that you reviewed; undo restores them."
)
@click.option("--dry-run", is_flag=True, help="Read everything, print what would be imported, and change nothing.")
@json_lines_option("JSON lines on stdout: the plan, every image, what failed, a summary.")
def import_labels(
    source: Path,
    *,
    images: Path,
    project_dir: Path | None,
    format_key: str | None,
    catalog_name: str | None,
    pairs: tuple[str, ...],
    unlabelled: str | None,
    mask_classes_name: str | None,
    mask_frame: str | None,
    extract_images: bool,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Import labels of other programs as masks of a project.

    SOURCE is a folder, a zip file or a label file: labelme, X-AnyLabeling, ISAT, COCO, YOLO, CVAT, PASCAL VOC, Cityscapes,
    KITTI, ADE20K, Supervisely, Label Studio, NumPy, parquet or plain masks; docs/formats.md lists what each can hold. Pixels
    that you painted and masks that you reviewed stay as they are. Every image is one step that can be undone in the window.
    """
    from app.state.label_import import map_labels, new_classes, plan_labels
    from deeplab_core.catalogs import get_catalog
    from deeplab_core.datasets import find_images

    choices = parse_choices(pairs)
    existing, edits = _existing_classes(images, project_dir)
    chosen = get_catalog(catalog_name) if catalog_name is not None else None
    if chosen is not None and existing is not None and chosen.names != existing.names:
        raise click.UsageError(f"the project has the classes '{existing.name}' already; leave --catalog out, or use --map")
    mask_classes = get_catalog(mask_classes_name) if mask_classes_name is not None else None

    def look() -> tuple[ImportPlan, str]:
        return plan_labels(
            source, images, find_images(images), format_key=format_key, mask_classes=mask_classes,
            project_classes=existing or chosen, edits=edits,
        )  # fmt: skip

    plan, reason = look()
    failed = False
    if extract_images:
        failed = _extract(plan, dry_run=dry_run, as_json=as_json)
        plan, reason = look()
    catalog = existing or chosen or new_classes(plan)
    frames: dict[str | None, Frame] = {None: "auto", "stored": "stored", "displayed": "oriented"}
    plan = map_labels(plan, catalog, choices, edits)
    if plan.uncounted:
        with progress("look", len(plan.items)) as bar:
            plan = plan.settled(frame=frames[mask_frame], progress=bar.advance)
    _tell_plan(plan, reason, new=existing is None, as_json=as_json)
    if plan.mapping is not None:
        plan.mapping.check()
        plan.rest_name(unlabelled)
    if not plan.items:
        more = "; the labels hold images: --extract-images writes them there" if plan.holds_images and not extract_images else ""
        raise click.UsageError(
            f"no image of {images} has labels in {source}; names are compared with and without their folders{more}"
        )
    options: dict[str, Any] = {"rest": unlabelled, "frame": frames[mask_frame]}
    totals = (
        _read_only(plan, project_dir, options, new=existing is None, overwrite=overwrite, as_json=as_json)
        if dry_run
        else _store(plan, catalog, project_dir, options, overwrite=overwrite, as_json=as_json)
    )
    _tell_totals(plan, totals, unlabelled, dry_run=dry_run, as_json=as_json)
    return 1 if failed or totals.incomplete or any(part.damaged for part in (*plan.unread, *plan.without_image)) else 0


def parse_choices(pairs: Sequence[str]) -> dict[str, str]:
    """``--map`` as class -> class. Raises BadParameter for other forms and contradictions."""
    found: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = (part.strip() for part in pair.rpartition("="))
        if not equals or not old or not new:
            raise click.BadParameter(f"'{pair}' is not OLD=NEW.", param_hint="--map")
        if found.get(old, new) != new:
            raise click.BadParameter(f"'{old}' is mapped to '{found[old]}' and to '{new}'.", param_hint="--map")
        found[old] = new
    return found


def _existing_classes(images: Path, project_dir: Path | None) -> tuple[ClassCatalog | None, ClassEdits | None]:
    """Classes of the project of a folder and their edits, None if there is no project yet."""
    from app.state.opening import DATABASE, DIRECTORY_NAME
    from app.state.project import Project

    directory = images / DIRECTORY_NAME if project_dir is None else project_dir
    if not (directory / DATABASE).is_file():
        return None, None
    with Project.open(images, project_dir, read_only=True) as project:
        return project.catalog, project.class_edits


def _extract(plan: ImportPlan, *, dry_run: bool, as_json: bool) -> bool:
    """Write the images that the source holds. Returns whether one could not be written."""
    if dry_run:
        raise click.UsageError("--extract-images writes files; leave --dry-run out")
    written, failed = 0, False
    for name, problem in plan.extract():
        if problem is None:
            written += 1
            continue
        failed = True
        if as_json:
            emit("not_extracted", image=name, error=problem.to_dict())
        say(f"atrous: not extracted: {name}: {problem}", err=True)
    say(f"{counted(written, 'image')} written into {plan.images}", err=True)
    return failed


def _tell_plan(plan: ImportPlan, reason: str, *, new: bool, as_json: bool) -> None:
    assert plan.mapping is not None
    named = {info.id: info.name for info in plan.mapping.catalog.classes}
    rows = []
    for pair in plan.mapping.pairs:
        becomes = None if pair.how in ("open", "absent") else "void" if pair.target is None else named[pair.target]
        rows.append((pair.source.name, pair.source.regions, becomes, pair.how))
    if as_json:
        emit(
            "plan", source=plan.source, format=plan.format.key, catalog=plan.mapping.catalog.name, new_classes=new, reason=reason,
            images=len(plan.items), images_without_labels=len(plan.without_labels),
            classes=[{"name": name, "regions": regions, "becomes": becomes, "how": how} for name, regions, becomes, how in rows],
            without_image=[part.to_dict() for part in plan.without_image], not_read=[part.to_dict() for part in plan.unread],
        )  # fmt: skip
        return
    say(f"{plan.format.title}: labels for {len(plan.items):,} of {counted(plan.total, 'image')}")
    say(f"{'Classes of the new project' if new else 'Classes of the project'}: {plan.mapping.catalog.title}")
    if reason:
        say(f"Classes of the masks: {reason}")
    empty = sum(regions == 0 for _, regions, _, _ in rows)
    for name, regions, becomes, how in rows:
        count = "" if regions is None else counted(regions, "region")
        if how == "absent" or (regions == 0 and how != "chosen"):
            continue  # nothing of it comes in
        target = "?" if becomes is None else becomes
        why = _HOW.get(how, "")
        if becomes != name or how != "name":
            say(f"{name:>24}  {count:>16}  ->  {target}{why}")
        elif regions is not None:
            say(f"{name:>24}  {count:>16}")
    for name, spellings in plan.mapping.spellings.items():
        say(f"{counted(len(spellings), 'spelling')} of one class, '{name}': {', '.join(repr(one) for one in spellings)}.")
    if empty:
        say(f"{counted(empty, 'class', 'classes')} of the source {'has' if empty == 1 else 'have'} no region.")
    _list_unread("labels without an image", [f"{part.name}: {part.why}" for part in plan.without_image])
    _list_unread("not read", [_unread_line(part) for part in plan.unread])


def _unread_line(part: Unread) -> str:
    name, why = part.name, part.why
    if not part.image:
        return f"{name}: {why}" if part.count == 1 else f"{part.count:,} times {name}: {why}"
    return f"{part.image}: {name}: {why}" if part.count == 1 else f"{part.count:,} times {name}: {why}; first in {part.image}"


def _list_unread(title: str, lines: Sequence[str]) -> None:
    for line in lines[:_SHOWN]:
        say(f"atrous: {title}: {one_line(line)}", err=True)
    if len(lines) > _SHOWN:
        say(f"atrous: {title}: {len(lines) - _SHOWN:,} more", err=True)


def _read_only(
    plan: ImportPlan, project_dir: Path | None, options: dict[str, Any], *, new: bool, overwrite: bool, as_json: bool
) -> ImportTotals:
    """Read all labels and store nothing."""
    from app.state.label_import import ImportTotals, import_items
    from app.state.project import Project

    totals = ImportTotals()
    with ExitStack() as stack, progress("read", len(plan.items)) as bar:
        project = None if new else stack.enter_context(Project.open(plan.images, project_dir, read_only=True))
        ids = {} if project is None else {record.relative_path: record.id for record in project.images}
        # An image that is new since the project was opened last is none of a read-only one yet.
        for item, found in import_items(project, ids, plan, totals, overwrite=overwrite, **options):
            if found is not None and as_json:
                emit("image", **found.to_dict())
            bar.advance(item.name)
    return totals


def _store(
    plan: ImportPlan,
    catalog: ClassCatalog,
    project_dir: Path | None,
    options: dict[str, Any],
    *,
    overwrite: bool,
    as_json: bool,
) -> ImportTotals:
    from app.state.label_import import ImportTotals, import_items
    from app.state.project import Project

    totals = ImportTotals()
    with Project.open(plan.images, project_dir, catalog=catalog) as project:
        say_repairs(project)
        _check_writable(project)
        ids = {record.relative_path: record.id for record in project.images}
        with progress("import", len(plan.items)) as bar:
            for item, found in import_items(project, ids, plan, totals, overwrite=overwrite, **options):
                if found is not None and as_json:
                    emit("image", **found.to_dict())
                bar.advance(item.name)
        project.sync()
    return totals


def _check_writable(project: Project) -> None:
    from deeplab_core.errors import ProjectLocked

    if project.read_only_reason is not None:
        raise ProjectLocked(
            "the project cannot be changed", why=project.read_only_reason, remedy="Close the window that has it open",
            path=project.folder,
        )  # fmt: skip


def total_lines(totals: ImportTotals, rest: str) -> list[str]:
    """What came in, one sentence a line; ``rest`` is what pixels without a label became."""
    read = f"{counted(totals.regions, 'region')}, {totals.labelled:,} px" if totals.regions else f"{totals.labelled:,} px"
    others = totals.unchanged + totals.held
    if others or totals.kept_pixels or totals.locked_pixels:
        every = counted(totals.images + others, "image")
        clauses = [f"{counted(totals.images, 'image')} took labels; the source has {read} for {every}."]
    else:
        clauses = [f"{counted(totals.images, 'image')} took labels: {read}."]
    if totals.filled:
        total = totals.labelled + totals.unlabelled
        clauses.append(f"{totals.filled:,} px ({totals.filled / total:.1%}) have no label in the source: they became {rest}.")
    if totals.overlaps:
        clauses.append(f"{totals.overlaps:,} px are claimed by regions of several classes; the format's order decided.")
    if totals.instances:
        noun = counted(totals.instances, "object")
        clauses.append(
            f"{noun} told apart in the source {'is' if totals.instances == 1 else 'are'} not kept apart: masks hold classes."
        )
    if totals.unchanged:
        clauses.append(f"{counted(totals.unchanged, 'image')} had these labels already.")
    if totals.held:
        clauses.append(
            f"{counted(totals.held, 'image')} took nothing: all that is new to {'it' if totals.held == 1 else 'them'} is kept."
        )
    if totals.reviewed:
        clauses.append(f"{counted(totals.reviewed, 'image')} kept the mask that you reviewed (--overwrite replaces it).")
    if totals.kept_pixels:
        clauses.append(f"{totals.kept_pixels:,} px that you set were kept (--overwrite replaces them).")
    if totals.locked_pixels:
        clauses.append(f"{totals.locked_pixels:,} px stayed as they were, because a class is locked.")
    return clauses + totals.warnings


def _tell_totals(plan: ImportPlan, totals: ImportTotals, unlabelled: str | None, *, dry_run: bool, as_json: bool) -> None:
    from app.state.label_import import classes_without_pixels
    from deeplab_core.wording import name_some

    for name, error in totals.failures if as_json else ():
        emit("failed", image=name, error=error.to_dict())
    say_failures("not imported", totals.failures)
    missing = classes_without_pixels(plan, totals)
    if as_json:
        emit("summary", format=plan.format.key, dry_run=dry_run, classes_without_pixels=missing, **totals.to_dict())
        return
    for line in total_lines(totals, plan.rest_name(unlabelled)):
        say(line)
    for name, pixels in sorted(totals.classes.items(), key=lambda pair: -pair[1]):
        say(f"{name:>24}  {pixels:,} px")
    if missing:
        say(f"No pixel came in of {counted(len(missing), 'class', 'classes')}: {name_some(missing, 20)}.")
    for line in totals.notes.spoken():
        say(line)
    if totals.masks is not None and totals.masks.binary:
        name = plan.source.absolute().stem
        say(f"If 255 is an object, import its folder as masks of one class: --format binary --map '{name}=CLASS'")
    for part in totals.not_read():
        say(f"not read: {one_line(_unread_line(part))}")
    if plan.without_labels:
        count = len(plan.without_labels)
        say(f"{counted(count, 'image')} {'has' if count == 1 else 'have'} no labels in the source.")
    if dry_run:
        say("Nothing was changed (--dry-run).")
