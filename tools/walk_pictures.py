"""Pictures of the window for docs/walks.md and docs/correcting.md: notes, errors of a folder, a merge, pages of new projects.

    QT_QPA_PLATFORM=offscreen python -m tools.walk_pictures -o docs/images [--only NAME ...]

Made in the real program from the rooms of the sample project, with the bundled network. The labelme files and the frames with
masks of CamVid's classes are made from the rooms, too: nothing of them is in the pictures but their names and classes. The walls
with cracks are drawn.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from tools.pictures import hide_times
from tools.two_minutes import Desk

if TYPE_CHECKING:
    from PySide6.QtWidgets import QDialog, QWidget

#: Folders as they stand in the pictures; folders of the moment would be others each time.
_BASE = Path(tempfile.gettempdir()) / "walks"
#: Names that labelme files of others have for VOC's classes, with one that no class is like.
_OTHER_NAMES = {"sofa": "couch", "diningtable": "coffee table"}
_ROOMS = 6
#: Width and height of a wall, and its cracks, from the top or the left to the point where they end or meet another one.
_WALL = (640, 480)
_CRACKS = (
    (((0, 150), (190, 190), (330, 170), (470, 240), (639, 220)), ((330, 170), (300, 300), (330, 479))),
    (((0, 330), (220, 290), (400, 350), (639, 300)),),
    (((180, 0), (210, 160), (160, 300), (200, 479)), ((210, 160), (430, 230), (639, 190))),
)
#: Points inside the parts into which the cracks divide the first wall.
_PARTS = ((100, 60), (100, 350), (550, 400))


@click.command()
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--only", multiple=True, help="names of pictures")
@click.option("--size", default="1280x720", show_default=True)
@click.option("--theme", type=click.Choice(["dark", "light"]), default="dark", show_default=True)
def main(output: Path, only: tuple[str, ...], size: str, theme: str) -> None:
    """Take the pictures."""
    if unknown := set(only) - set(PICTURES):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}; there are {', '.join(PICTURES)}", param_hint="--only")
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = tempfile.mkdtemp()  # the user's own settings are neither used nor changed
    shutil.rmtree(_BASE, ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    desk = Desk(output, size, theme, figures_only=False)
    desk.program.models.start()
    desk.wait(lambda: desk.program.models.card is not None)
    for name, picture in PICTURES.items():
        if not only or name in only:
            _save(picture(desk), desk, output / f"{name}.png")
    desk.end()
    shutil.rmtree(_BASE, ignore_errors=True)


def _save(widget: QWidget, desk: Desk, path: Path) -> None:
    from PySide6.QtWidgets import QDialog

    hide_times(desk.window)
    widget.grab().save(str(path))
    click.echo(path)
    if isinstance(widget, QDialog):
        widget.reject()


def _rooms(folder: Path, count: int | None = None, *, name: str = "images", truth: bool = False) -> Path:
    """The sample's images, the first ``count`` of them, in a new folder."""
    from app.paths import SAMPLE_PROJECT

    (folder / name).mkdir(parents=True)
    for path in sorted((SAMPLE_PROJECT / "images").glob("*.jpg"))[:count]:
        shutil.copy(path, folder / name)
    if truth:
        shutil.copytree(SAMPLE_PROJECT / "truth", folder / "truth")
    return folder / name


def _predicted(desk: Desk) -> None:
    """Open the rooms with their ground truth, and predict them once."""
    from app.paths import FIRST_MODEL

    project = desk.program.session.project
    if project is None or project.folder != _BASE / "rooms" / "images":
        desk.program.projects.open(_rooms(_BASE / "rooms", truth=True))
        desk.wait(lambda: desk.program.session.image is not None)
        desk.program.models.load(FIRST_MODEL)  # of a copy of the sample the window does not know that it shows rooms
        desk.wait(lambda: desk.program.models.card is not None and desk.program.models.path == FIRST_MODEL)
        desk.program.folder_run.run()
        desk.idle()
        desk.visit_again()
        for toast in list(desk.window.toasts.toasts):
            toast.close_button.click()


def _notes(desk: Desk) -> QWidget:
    """Two notes on an image, the text of one under the pointer."""
    from PySide6.QtTest import QTest

    from deeplab_core.geometry import Box

    _predicted(desk)
    presenter = desk.application.presenter
    assert presenter is not None
    reviewing = desk.program.reviewing
    place = Box(205, 150, 60, 40)
    reviewing.add_note("The left edge of the sofa lies behind the armrest: which one hides the other?", place)
    reviewing.add_note("Check the whole image again", None)
    desk.idle()
    view = presenter.canvas.views[0]
    mapping = view.mapping
    assert mapping is not None
    QTest.mouseMove(view, mapping.to_view(place.x + 1, place.y + 1).toPoint())
    reviewing.hover(place.x + 1, place.y + 1)
    desk.wait(lambda: True, 1.0)
    return desk.window


def _error_list(desk: Desk) -> QWidget:
    """All errors of the folder, those that win most first."""
    from app.viewmodels.evaluate.error_list import ComponentQuery

    _predicted(desk)
    inspect = desk.program.inspect
    if not desk.program.context["evaluation_open"]:
        desk.window.commands["inspect.view"].trigger()
    desk.wait(lambda: inspect.index is not None and not inspect.inspecting and not desk.program.jobs.running, 1.0)
    desk.evaluation.show_list(ComponentQuery())
    desk.wait(lambda: desk.evaluation.components.model.rowCount() > 0)
    desk.await_errors()
    return desk.window


def _page(desk: Desk, folder: Path) -> QDialog:
    """The page of a new project in a folder."""
    presenter = desk.application.presenter
    assert presenter is not None
    desk.program.new_project.open(folder)
    desk.wait(lambda: presenter.labels.dialog is not None and presenter.labels.dialog.isVisible(), 1.0)
    desk.idle()
    assert presenter.labels.dialog is not None
    return presenter.labels.dialog


def _walk_labelme(desk: Desk) -> QDialog:
    """A folder of images with their labelme files and a list of classes."""
    folder = _rooms(_BASE / "labelled", 5)
    names = _write_labelme(folder)
    (folder / "labels.txt").write_text("\n".join(["__ignore__", "_background_", *sorted(names)]) + "\n", encoding="utf-8")
    return _page(desk, folder)


def _walk_cityscapes(desk: Desk) -> QDialog:
    """Masks in the classes of CamVid, to be read in those of Cityscapes."""
    from app.ui.project.new_project_dialog import NewProjectDialog
    from deeplab_core.catalogs import get_catalog
    from deeplab_core.masks.png import write_indexed_png

    frames = _rooms(_BASE / "streets", _ROOMS, name="frames")
    masks = frames.parent / "camvid_labels"
    masks.mkdir()
    catalog = get_catalog("camvid11")
    ids = [info.id for info in catalog.classes]
    for number, path in enumerate(sorted(frames.glob("*.jpg"))):
        labels = np.repeat(np.array(ids[number:] + ids[:number], np.uint8), 60)[None, :640].repeat(480, 0)
        write_indexed_png(masks / f"{path.stem}.png", np.ascontiguousarray(labels), catalog)
    page = _page(desk, frames)
    assert isinstance(page, NewProjectDialog)
    _choose(page.classes, "Cityscapes (19")
    desk.idle()
    page.start_from(masks)
    desk.idle()
    page.picture.hide()  # its stripes mean nothing
    page.resize(600, page.height() + 40)
    desk.wait(lambda: True, 1.0)
    return page


def _choose(box: object, text: str) -> None:
    """Pick an entry of a box as the user does."""
    from PySide6.QtWidgets import QComboBox

    assert isinstance(box, QComboBox)
    place = next(place for place in range(box.count()) if text in box.itemText(place))
    box.setCurrentIndex(place)
    box.activated.emit(place)


def _import(desk: Desk) -> QDialog:
    """The import of labelme files with a class that no class is like."""
    presenter = desk.application.presenter
    assert presenter is not None
    _predicted(desk)
    folder = _rooms(_BASE / "theirs", 5)
    _write_labelme(folder, _OTHER_NAMES)
    (folder / "notes.json").write_text("{}", encoding="utf-8")
    desk.program.label_imports.sourceChosen.emit(folder)
    desk.wait(lambda: presenter.labels.dialog is not None and presenter.labels.dialog.isVisible(), 1.0)
    desk.idle()
    assert presenter.labels.dialog is not None
    return presenter.labels.dialog


def _merge(desk: Desk) -> QDialog:
    """Two users who contradict each other about two sofas."""
    from app.ui.project.merge_dialog import MergeDialog

    presenter = desk.application.presenter
    assert presenter is not None
    _project(_rooms(_BASE / "mine", _ROOMS), {"room_00000": "sofa", "room_00003": "sofa", "room_00001": "chair"})
    _project(_rooms(_BASE / "other", _ROOMS), {"room_00000": "chair", "room_00003": "chair", "room_00002": "chair"})
    desk.program.projects.open(_BASE / "mine" / "images")
    desk.idle()
    desk.program.merging.compare(_BASE / "other" / "images")
    desk.wait(lambda: isinstance(presenter.labels.dialog, MergeDialog) and presenter.labels.dialog.isVisible(), 1.0)
    desk.idle()
    dialog = presenter.labels.dialog
    assert isinstance(dialog, MergeDialog)
    desk.press(dialog.theirs)
    desk.wait(lambda: True, 1.0)
    return dialog


def _project(folder: Path, sofas: dict[str, str]) -> None:
    """A project in which a user labelled the sofas of images; the class that each became by name of the image."""
    from app.paths import SAMPLE_PROJECT
    from app.state.image_record import ImageStatus
    from app.state.label_import import store_labels
    from app.state.project import Project
    from deeplab_core.catalogs import get_catalog
    from deeplab_core.labels import Provenance
    from deeplab_core.masks import read_mask

    catalog = get_catalog("voc21")
    ids = {info.name: info.id for info in catalog.classes}
    with Project.open(folder, catalog=catalog) as project:
        for record in project.images:
            if (name := sofas.get(Path(record.name).stem)) is not None:
                truth = read_mask(SAMPLE_PROJECT / "truth" / f"{Path(record.name).stem}.png", catalog)
                labels = np.where(truth == ids["sofa"], ids[name], catalog.ignore).astype(truth.dtype)
                by = np.where(labels == catalog.ignore, Provenance.UNSET, Provenance.USER).astype(np.uint8)
                store_labels(project, record.id, labels, "Brush", overwrite=True, by=by)
                project.set_status(record.id, ImageStatus.TOUCHED)


def _walk_new(desk: Desk) -> QDialog:
    """Typed classes for walls with cracks."""
    from app.ui.project.new_project_dialog import NewProjectDialog

    page = _page(desk, _walls())
    assert isinstance(page, NewProjectDialog)
    _choose_data(page.classes, "typed")
    _keys(page.typed, "crack, no crack")
    desk.wait(lambda: not desk.program.models.loading, 2.0)
    return page


def _walk_crack(desk: Desk) -> QWidget:
    """Cracks by the brush, and the rest by the fill."""
    from app.ui.project.new_project_dialog import NewProjectDialog

    page = _walk_new(desk)
    assert isinstance(page, NewProjectDialog)
    page.go.click()
    desk.wait(lambda: (image := desk.program.session.image) is not None and image.path.name == "wall_0.png", 1.0)
    desk.idle()
    classes = desk.program.classes.catalog
    assert classes is not None
    desk.program.tools.set_diameter(10)
    desk.program.classes.choose(classes.classes[0].id)
    for crack in _CRACKS[0]:
        _drag(desk, *crack)
    desk.program.classes.choose(classes.classes[1].id)
    desk.program.edit.choose_tool("fill")
    for place in _PARTS:
        _drag(desk, place)
    desk.idle()
    return desk.window


def _drag(desk: Desk, *places: tuple[float, float]) -> None:
    """Drag the tool over places of the image; a click at one place."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    assert desk.application.presenter is not None
    view = desk.application.presenter.canvas.views[0]
    mapping = view.mapping
    assert mapping is not None
    points = [mapping.to_view(*place).toPoint() for place in places]
    QTest.mouseMove(view, points[0])
    QTest.mousePress(view, Qt.MouseButton.LeftButton, pos=points[0])
    for point in points[1:]:
        QTest.mouseMove(view, point)
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, pos=points[-1])
    desk.wait(lambda: True, 0.3)


def _choose_data(box: object, data: str) -> None:
    """Pick the entry of a box that stands for something."""
    from PySide6.QtWidgets import QComboBox

    assert isinstance(box, QComboBox)
    box.setCurrentIndex(box.findData(data))
    box.activated.emit(box.currentIndex())


def _keys(field: QWidget, text: str) -> None:
    from PySide6.QtTest import QTest

    QTest.keyClicks(field, text)


def _walls() -> Path:
    """A folder of drawn plaster walls: noise in several sizes, and cracks that wander from point to point."""
    import cv2

    folder = _BASE / "walls"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    width, height = _WALL
    for number, cracks in enumerate(_CRACKS):
        rng = np.random.default_rng(number)
        rough = np.zeros((height, width), np.float32)
        for size, weight in ((90, 16.0), (24, 9.0), (6, 7.0), (1.2, 9.0)):
            layer = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), size)
            rough += weight * layer / layer.std()
        light = 172 + rough + np.linspace(18, -18, width, dtype=np.float32)
        open_ = np.zeros((height, width), np.float32)
        for crack in cracks:
            for (x, y), (right, below) in pairwise(crack):
                steps = np.linspace(0, 1, 24)[:, None]
                path = np.array([[x, y]]) * (1 - steps) + np.array([[right, below]]) * steps
                path[1:-1] += rng.normal(0, 2.0, (22, 2))
                for one, other in zip(path[:-1].round().astype(int).tolist(), path[1:].round().astype(int).tolist(), strict=True):
                    cv2.line(open_, one, other, 1.0, int(rng.integers(2, 5)), cv2.LINE_AA)
        light = light * (1 - 0.8 * open_) + 14 * cv2.warpAffine(open_, np.float32([[1, 0, 2], [0, 1, 2]]), _WALL) * (1 - open_)
        pixels = np.clip(light[..., None] * np.array([0.86, 0.94, 1.0], np.float32), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"wall_{number}.png"), pixels)
    return folder


def _write_labelme(folder: Path, names: dict[str, str] | None = None) -> set[str]:
    """Outlines of the rooms' ground truth as labelme files beside the images; returns the classes in them."""
    import cv2

    from app.paths import SAMPLE_PROJECT
    from deeplab_core.catalogs import get_catalog
    from deeplab_core.masks import read_mask

    catalog, used = get_catalog("voc21"), set()
    for path in sorted(folder.glob("*.jpg")):
        labels = read_mask(SAMPLE_PROJECT / "truth" / f"{path.stem}.png", catalog)
        shapes = []
        for info in catalog.classes:
            mask = ((labels == info.id) & (info.name != "background")).astype(np.uint8)
            for outline in cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
                if len(outline) > 3:
                    name = (names or {}).get(info.name, info.name)
                    used.add(name)
                    points = outline[:, 0].astype(float).tolist()
                    shapes.append({"label": name, "points": points, "shape_type": "polygon", "group_id": None, "flags": {}})
        height, width = labels.shape
        data = {
            "version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": path.name, "imageData": None,
            "imageHeight": height, "imageWidth": width,
        }  # fmt: skip
        (folder / f"{path.stem}.json").write_text(json.dumps(data), encoding="utf-8")
    return used


PICTURES: dict[str, Callable[[Desk], QWidget]] = {
    "notes": _notes,
    "error_list": _error_list,
    "import": _import,
    "walk_labelme": _walk_labelme,
    "walk_cityscapes": _walk_cityscapes,
    "walk_new": _walk_new,
    "walk_crack": _walk_crack,
    "merge": _merge,
}

if __name__ == "__main__":
    main()
