"""Pictures of the Evaluation panel for docs/inspection.md, of the rendered rooms predicted by their bundled network.

    QT_QPA_PLATFORM=offscreen python -m tools.evaluation_pictures -o docs/images [--cell chair:sofa]

Writes ``confusion.png`` (the matrix), ``confusion_list.png`` (the errors behind the cell), ``confusion_pixel.png`` (the first of
them in its image) and ``failures.png`` (the failure board). The window is shown without its panels.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import click

from tools.pictures import hide_times
from tools.two_minutes import Desk

#: The place of the sample; a folder of the moment would be another one each time.
_FOLDER = Path(tempfile.gettempdir()) / "evaluated"


@click.command()
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--cell", default="chair:sofa", show_default=True, help="truth:prediction")
@click.option("--size", default="1280x800", show_default=True)
@click.option("--theme", type=click.Choice(["dark", "light"]), default="dark", show_default=True)
def main(output: Path, cell: str, size: str, theme: str) -> None:
    """Take the pictures."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = tempfile.mkdtemp()  # the user's own settings are neither used nor changed
    from app.paths import FIRST_MODEL, copy_sample_project

    shutil.rmtree(_FOLDER, ignore_errors=True)
    copy_sample_project(_FOLDER)
    output.mkdir(parents=True, exist_ok=True)
    desk = Desk(output, size, theme, figures_only=False)
    program, window = desk.program, desk.window
    program.models.start()
    desk.wait(lambda: program.models.path == FIRST_MODEL and program.models.card is not None)
    program.projects.open(_FOLDER)
    desk.wait(lambda: program.session.image is not None)
    program.folder_run.run()
    desk.idle()
    window.toggle_fold()
    inspect = program.inspect

    def take(name: str) -> None:
        for toast in list(window.toasts.toasts):
            toast.close_button.click()
        desk.wait(lambda: True, 0.5)
        hide_times(window)
        window.grab().save(str(output / f"{name}.png"))
        click.echo(output / f"{name}.png")

    window.commands["inspect.view"].trigger()
    desk.wait(lambda: inspect.index is not None and len(inspect.index) == len(program.truth.index) and not inspect.inspecting)
    desk.idle()
    shown = desk.evaluation
    matrix, catalog = shown.matrix.matrix, program.classes.catalog
    assert catalog is not None
    ids = [found.id for name in cell.split(":") if (found := catalog.by_name(name)) is not None]
    table = matrix.table
    assert table is not None
    names = [table.class_id(int(channel)) for channel in table.rows]
    place = names.index(ids[0]), names.index(ids[1])
    matrix.point_at(*place)
    take("confusion")
    matrix.cellChosen.emit(*place)
    desk.await_errors()
    take("confusion_list")
    shown.components.chosen.emit(0)
    desk.wait(lambda: not program.context["evaluation_open"] and program.inspect.navigation is not None, 1.5)
    take("confusion_pixel")
    inspect.end_navigation()
    window.commands["inspect.view"].trigger()
    desk.wait(lambda: program.context["evaluation_open"])
    assert shown.view is not None
    shown.view.leave_list()
    shown.view.show_page("Failures")
    desk.wait(lambda: True, 2.0)
    take("failures")
    desk.end()
    shutil.rmtree(_FOLDER, ignore_errors=True)


if __name__ == "__main__":
    main()
