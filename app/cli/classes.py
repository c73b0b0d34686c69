"""``atrous classes``: the classes of a project, a catalog or a class list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.console import emit
from app.cli.options import FOLDER, json_lines_option
from app.cli.terminal import say
from app.text import counted
from deeplab_core.errors import CatalogError
from deeplab_core.wording import name_some

if TYPE_CHECKING:
    from app.state.project import Project
    from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo, Color
    from deeplab_core.catalogs.editing import CatalogEdit

_FORMS = ("labelme", "cvat", "yolo", "coco", "labelstudio", "roboflow")


@click.group()
def classes() -> None:
    """Show, choose and edit the classes of a project."""


def _project_option(command: Callable[..., int]) -> Callable[..., int]:
    return click.option(
        "--project", "project_dir", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
        help="Where the project's data is, if not in FOLDER/.atrous.",
    )(command)  # fmt: skip


@classes.command()
@click.argument("source", metavar="[FOLDER | CATALOG]", default=".")
@_project_option
@click.option("-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write them to a file.")
@click.option("--as", "form", type=click.Choice(_FORMS), help="Form of the file [default: Atrous JSON or YAML, by its ending].")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@json_lines_option("One JSON line with the catalog.")
def show(source: str, *, project_dir: Path | None, output: Path | None, form: str | None, overwrite: bool, as_json: bool) -> int:
    """List the classes of the project of FOLDER, of a built-in catalog, or of a file.

    Files: JSON and YAML of Atrous, labels.txt (labelme), labelmap.txt (CVAT), names.yaml (YOLO), COCO categories, isat.yaml,
    meta.json (Supervisely), _classes.csv (Roboflow), label_colors.txt (CamVid), XML of a Label Studio configuration or of CVAT.
    """
    from app.state.class_keys import assigned_keys, keyed
    from deeplab_core.catalogs import get_catalog, save_catalog

    if form is not None and output is None:
        raise click.UsageError("--as needs a file: give -o FILE")
    locked: frozenset[int] = frozenset()
    if project_dir is None and not Path(source).is_dir():
        catalog = get_catalog(source)
        _tell_remarks(source)
    else:
        with _opened(Path(source), project_dir, read_only=True) as project:
            catalog, locked = keyed(project.catalog, assigned_keys(project)), project.locked_classes
    if output is not None:
        if output.exists() and not overwrite:
            raise CatalogError("the file exists already", remedy="Choose another name, or give --overwrite", path=output)
        save_catalog(catalog, output, form)
        say(f"wrote {counted(len(catalog), 'class', 'classes')} to {output}", err=True)
    if as_json:
        emit("catalog", **catalog.to_dict(), wide=catalog.wide, locked=sorted(locked))
    elif output is None:
        _list(catalog, locked)
    return 0


def _tell_remarks(name_or_file: str) -> None:
    """Say how many lines of a text file of names are no classes."""
    from deeplab_core.catalogs.lists import count_remarks

    path = Path(name_or_file)
    remarks = count_remarks(path) if path.suffix.lower() == ".txt" else 0
    if remarks:
        verb = "is a remark and no class" if remarks == 1 else "are remarks and no classes"
        say(f"{counted(remarks, 'line')} with '# ' at the beginning {verb}.", err=True)


@classes.command("set")
@click.argument("folder", type=FOLDER)
@click.argument("name_or_file", required=False)
@click.option("--names", metavar="NAME,NAME,...", help="The names of the classes, instead of a catalog: 'crack, no crack'.")
@_project_option
def set_classes(folder: Path, name_or_file: str | None, *, names: str | None, project_dir: Path | None) -> int:
    """Give the project of FOLDER the classes of a built-in catalog or a file, or classes with the given names.

    A class called background is what the eraser paints. Void is not a class and need not be named.

    Labels that only a model has made are cleared if their ids would mean something else; their masks are kept aside. Images that
    you worked on keep their ids, so classes that lack one of them are refused.
    """
    from app.state.class_choice import choose_catalog
    from app.state.new_project import typed_classes
    from deeplab_core.catalogs import get_catalog

    if (name_or_file is None) == (names is None):
        raise click.UsageError("give the name of a catalog, a file, or --names 'crack, no crack'")
    catalog = typed_classes(names).catalog if names is not None else get_catalog(str(name_or_file))
    if name_or_file is not None:
        _tell_remarks(name_or_file)
    with _opened(folder, project_dir) as project:
        cleared = choose_catalog(project, catalog, "user", "You chose them on the command line")
    of = f"of {catalog.title}" if names is None else f"{name_some(catalog.names, 20)}"
    say(f"The project has the {counted(len(catalog), 'class', 'classes')} {of}.")
    if cleared:
        say(f"The labels that a model had made on {counted(cleared, 'image')} were cleared; their masks are kept aside.")
    return 0


@classes.command()
@click.argument("folder", type=FOLDER)
@_project_option
@click.option("--add", metavar="NAME[=#rrggbb]", multiple=True, help="Add a class; without a colour it gets one that differs.")
@click.option("--rename", metavar="OLD=NEW", multiple=True, help="Rename a class; models that know the old name still fit.")
@click.option("--color", metavar="NAME=#rrggbb", multiple=True, help="Give a class another colour.")
@click.option(
    "--colors",
    "colors",
    type=click.Choice(["distinct", "color-blind"]),
    help="Give every class but the background a colour far from all others; color-blind: for red- and green-blind eyes too.",
)
@click.option("--key", metavar="NAME=KEY", multiple=True, help="Assign a key to a class; NAME= removes it.")
@click.option("--order", metavar="NAME,NAME,...", help="List these classes first, in this order.")
@click.option("--merge", metavar="NAME=INTO", multiple=True, help="Make the pixels of a class those of another.")
@click.option("--delete", metavar="NAME", multiple=True, help="Remove a class; its pixels become void.")
@click.option("--lock", metavar="NAME", multiple=True, help="Pixels of this class keep it: no tool, job or import changes them.")
@click.option("--unlock", metavar="NAME", multiple=True, help="Let the pixels of a locked class change again.")
@click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing.")
def edit(
    folder: Path, *, project_dir: Path | None, add: tuple[str, ...], rename: tuple[str, ...], color: tuple[str, ...],
    colors: str | None,
    key: tuple[str, ...], order: str | None, merge: tuple[str, ...], delete: tuple[str, ...], lock: tuple[str, ...],
    unlock: tuple[str, ...], dry_run: bool,
) -> int:  # fmt: skip
    """Add, rename, recolour, reorder, merge, delete and lock classes of the project of FOLDER.

    The options apply in the order of this list, as one edit; if one of them is refused, nothing is changed. Only --merge and
    --delete change pixels, those of locked classes too. 'atrous classes undo' takes the edit back, until the next one; locks
    and assigned keys stay.
    """
    from app.state.class_choice import store_how
    from app.state.class_keys import assign_keys, assigned_keys
    from deeplab_core.catalogs import editing

    with _opened(folder, project_dir, read_only=dry_run) as project:
        steps = [_adding(value, project.class_edits.retired(project.catalog)) for value in add]
        steps += [_named(value, lambda now, info, name: editing.rename_class(now, info.id, name)) for value in rename]
        if colors is not None:
            steps.append(lambda now: editing.recolor_all(now, color_blind=colors == "color-blind"))
        steps += [_named(value, lambda now, info, text: editing.recolor_class(now, info.id, _color(text))) for value in color]
        keys = assigned_keys(project)
        steps += [_named(value, partial(_assign, keys)) for value in key]
        if order is not None:
            steps.append(lambda now: editing.reorder_classes(now, [_class(now, name).id for name in order.split(",")]))
        steps += [_named(value, _merge) for value in merge]
        steps += [_deleting(name) for name in delete]
        if not steps and not lock and not unlock:
            raise click.UsageError(
                "nothing to edit: give --add, --rename, --color, --colors, --key, --order, --merge, --delete, --lock or --unlock"
            )
        edits: list[CatalogEdit] = []
        for step in steps:
            edits.append(step(edits[-1].catalog if edits else project.catalog))
        after = edits[-1].catalog if edits else project.catalog
        locks = _locks(project.locked_classes, after, lock, unlock)
        whole = editing.joined(project.catalog, edits) if edits else None
        effect = [] if whole is None else _effect(project, whole)
        if whole is not None and not dry_run:
            project.edit_classes(whole)
            store_how(project, "user", "You edited them on the command line")
        if keys != assigned_keys(project) and not dry_run:
            assign_keys(project, keys)
        if locks != project.locked_classes and not dry_run:
            project.lock_classes(locks)
    for done in edits:
        say(f"{done.title}.")
    for line in effect:
        say(line)
    if lock or unlock:
        names = ", ".join(info.name for info in after.classes if info.id in locks)
        say(f"Locked: {names}." if names else "No class is locked.")
    return 0


def _locks(before: frozenset[int], catalog: ClassCatalog, lock: tuple[str, ...], unlock: tuple[str, ...]) -> frozenset[int]:
    """Ids of the locked classes after the options."""
    opened = {_class(catalog, name).id for name in unlock}
    closed = {_class(catalog, name).id for name in lock}
    both = opened & closed
    if both:
        raise click.UsageError(f"'{catalog.by_id(min(both)).name}' is to be locked and unlocked; name it once")
    return frozenset((before.intersection(catalog.ids.tolist()) | closed) - opened)


@classes.command()
@click.argument("folder", type=FOLDER)
@_project_option
def undo(folder: Path, *, project_dir: Path | None) -> int:
    """Undo the newest 'atrous classes edit' of the project of FOLDER."""
    with _opened(folder, project_dir) as project:
        done = project.undo_class_edit()
    say(f"Undone: {done.title}.")
    return 0


def _effect(project: Project, whole: CatalogEdit) -> list[str]:
    """What happens to pixels, in words; empty for an edit that moves none."""
    if not whole.moved:
        return []
    before, after = project.catalog, whole.catalog
    counts = project.count_pixels(whole.moved)
    lines = []
    for old, new in whole.moved.items():
        images, pixels = counts.of(old)
        target = "void" if new is None else after.by_id(new).name
        lines.append(f"{before.by_id(old).name}: {pixels:,} px of {counted(images, 'image')} become {target}.")
    lines += [f"Not counted: {error}" for error in counts.errors]
    return lines


_Step = Callable[["ClassCatalog"], "CatalogEdit"]


def _adding(value: str, reserved: Mapping[int, ClassInfo]) -> _Step:
    from deeplab_core.catalogs.editing import add_class

    name, _, color = value.partition("=")
    return lambda catalog: add_class(catalog, name, color=_color(color) if color else None, reserved=reserved)


def _assign(keys: dict[str, int], catalog: ClassCatalog, info: ClassInfo, key: str) -> CatalogEdit:
    """Assign a key; digits are also noted in ``keys``, which the window uses."""
    from app.state.class_keys import check_key, with_key
    from deeplab_core.catalogs import DEFAULT_KEYS
    from deeplab_core.catalogs.editing import assign_key

    check_key(catalog, keys, info.id, key)
    edit = assign_key(catalog, info.id, key)
    if key in DEFAULT_KEYS:
        now = with_key(keys, info.id, key)
        keys.clear()
        keys.update(now)
    return edit


def _merge(catalog: ClassCatalog, info: ClassInfo, into: str) -> CatalogEdit:
    from deeplab_core.catalogs.editing import merge_classes

    return merge_classes(catalog, [info.id], _class(catalog, into).id)


def _deleting(name: str) -> _Step:
    from deeplab_core.catalogs.editing import delete_class

    return lambda catalog: delete_class(catalog, _class(catalog, name).id)


def _named(value: str, apply: Callable[[ClassCatalog, ClassInfo, str], CatalogEdit]) -> _Step:
    name, sign, new = value.partition("=")
    if not sign:
        raise click.UsageError(f"'{value}' has no '=': give NAME=VALUE")
    return lambda catalog: apply(catalog, _class(catalog, name), new)


def _class(catalog: ClassCatalog, name: str) -> ClassInfo:
    """A class by its exact name, or by its number if no class is called so."""
    wanted = name.strip()
    exact = next((info for info in catalog.classes if info.name == wanted), None)
    if exact is None and wanted.isdecimal():
        exact = next((info for info in catalog.classes if info.id == int(wanted)), None)
    if exact is None:
        near = catalog.by_name(wanted)
        meant = f"Did you mean '{near.name}'? " if near is not None else ""
        raise CatalogError(f"there is no class '{wanted}'", remedy=f"{meant}List the classes with 'atrous classes show FOLDER'")
    return exact


def _color(text: str) -> Color:
    from deeplab_core.catalogs.catalog import parse_color

    try:
        return parse_color(text.strip())
    except ValueError:
        raise CatalogError(f"'{text}' is not a colour", remedy="Give six hexadecimal digits, for example #c02040") from None


def _opened(folder: Path, project_dir: Path | None, *, read_only: bool = False) -> Project:
    from app.state.opening import DIRECTORY_NAME
    from app.state.project import Project

    directory = folder / DIRECTORY_NAME if project_dir is None else project_dir
    if read_only and not directory.is_dir():
        raise CatalogError(
            "this folder has no project yet, so it has no classes",
            remedy="Choose some with 'atrous classes set FOLDER NAME_OR_FILE', or open it in the window",
            path=folder,
        )
    return Project.open(folder, project_dir, read_only=read_only)


def _list(catalog: ClassCatalog, locked: frozenset[int]) -> None:
    say(f"{catalog.title}: {counted(len(catalog), 'class', 'classes')}, {16 if catalog.wide else 8}-bit masks")
    wide = max(len(info.name) for info in catalog.classes)
    for info in catalog.classes:
        red, green, blue = info.color
        more = f"  formerly {', '.join(info.aliases)}" if info.aliases else ""
        mark = "  background" if info.id == catalog.background else ""
        mark += "  locked" if info.id in locked else ""
        say(f"{info.id:>5}  {info.name:<{wide}}  #{red:02x}{green:02x}{blue:02x}  {info.key or ' '}{mark}{more}".rstrip())
