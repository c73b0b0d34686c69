"""Pictures of the Evaluation panel for the documentation, from a project of rendered rooms that was predicted already.

    QT_QPA_PLATFORM=offscreen python -m tools.evaluation_pictures --images DIR --project DIR -o docs/images [--cell chair:sofa]

Writes ``confusion.png`` (the matrix), ``confusion_list.png`` (the errors behind the cell), ``confusion_pixel.png`` (the first of
them in its image) and ``failures.png`` (the failure board). The window is shown without its docks.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click


@click.command()
@click.option("--images", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--project", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--cell", default="chair:sofa", show_default=True, help="truth:prediction")
@click.option("--size", default="1280x800", show_default=True)
@click.option("--theme", type=click.Choice(["dark", "light"]), default="dark", show_default=True)
def main(images: Path, project: Path, output: Path, cell: str, size: str, theme: str) -> None:
    """Take the pictures."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = tempfile.mkdtemp()  # the user's own settings are neither used nor changed
    from PySide6.QtWidgets import QApplication

    from app.main import Application
    from app.ui.shell.theme import load_fonts
    from deeplab_core.catalogs import get_catalog
    from tests.fakes.compute import FakeComputeClient

    qt = QApplication([])
    load_fonts()
    application = Application(FakeComputeClient(get_catalog("voc21")))
    program, window = application.build(), application.window
    program.settings.set("appearance.theme", theme)
    window.resize(*(int(side) for side in size.split("x")))
    window.show()
    window.toggle_fold()
    inspect = program.inspect

    def wait(condition: Callable[[], object], rest: float = 1.0) -> None:
        end = None
        while end is None or time.monotonic() < end:
            qt.processEvents()
            time.sleep(0.005)
            if end is None and condition():
                end = time.monotonic() + rest

    def take(name: str) -> None:
        output.mkdir(parents=True, exist_ok=True)
        window.grab().save(str(output / f"{name}.png"))
        print(output / f"{name}.png")

    program.projects.open(images, project)
    wait(lambda: program.session.image is not None and len(program.truth.index))
    inspect.toggle_view()
    wait(lambda: inspect.index is not None and len(inspect.index) == len(program.truth.index) and not inspect.inspecting)
    binding = application.presenter
    assert binding is not None
    shown, matrix = binding.inspect, binding.inspect.matrix.matrix
    ids = tuple(program.classes.catalog.by_name(name).id for name in cell.split(":"))
    table = matrix.table
    names = [table.class_id(int(channel)) for channel in table.rows]
    place = names.index(ids[0]), names.index(ids[1])
    matrix.point_at(*place)
    take("confusion")
    matrix.cellChosen.emit(*place)
    pictures = shown.components.model
    shown_tiles = min(pictures.rowCount(), 18)
    wait(lambda: all(pictures.picture(pictures.index(row)) is not None for row in range(shown_tiles)))
    take("confusion_list")
    shown.components.chosen.emit(0)
    wait(lambda: not shown.in_front)
    take("confusion_pixel")
    inspect.toggle_view()
    shown.view.step_back()
    shown.view.show_page("Failures")
    wait(lambda: True)
    take("failures")
    program.projects.close()
    window.close()
    application.shut_down()


if __name__ == "__main__":
    main()
