"""The export dialog offers every format with its own options, and counts what a format would lose before it writes."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtWidgets import QComboBox, QFormLayout, QWidget

from app.controllers.project.export import Scope
from app.ui.project.export_dialog import ExportDialog
from app.ui.project.export_options import ExportOptions
from deeplab_core.masks import read_marker
from deeplab_core.masks.export import EXPORTERS, FORMATS, get_exporter


def choose(box: QComboBox, data: object) -> None:
    box.setCurrentIndex(box.findData(data))


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_format_shows_its_options_and_no_others(qtbot, name):
    page = QWidget()
    qtbot.addWidget(page)
    options = ExportOptions(QFormLayout(page))
    page.show()
    options.set_format(name)
    entry = FORMATS[name]
    for row, field in (
        ("images", options.images), ("shapes", options.shapes), ("unit", options.unit), ("tolerance", options.tolerance),
        ("min_pixels", options.min_pixels), ("unmatched_to_void", options.unmatched),
    ):  # fmt: skip
        assert field.isVisible() == (row in entry.options), row
    assert options.split.isVisible() == entry.splits
    assert entry.writes in options.about.text()
    setup = options.setup()
    assert set(setup.options) <= set(entry.options)
    if not entry.extra:
        assert setup.exporter().name == get_exporter(name).name


@pytest.fixture
def dialog(studio, folder, qtbot):
    studio.open(folder)
    studio.program.classes.choose(9)
    studio.paint((20, 20), (60, 20))
    dialog = ExportDialog(studio.program.export, studio.program.settings, folder, studio.window)
    qtbot.addWidget(dialog)
    dialog.show()
    choose(dialog.scope, Scope.TOUCHED)
    return dialog


def test_a_data_set_with_photographs_and_provenance(studio, dialog, folder, tmp_path):
    choose(dialog.format, "voc")
    dialog.target.setText(str(tmp_path / "out"))
    dialog.options.provenance.setChecked(True)
    assert dialog.go.isEnabled()
    studio.program.export.start(dialog.request(), "error")
    studio.wait(lambda: "Export finished" in studio.titles())
    out = tmp_path / "out"
    (mask,) = (out / "SegmentationClass").rglob("*.png")
    (photo,) = (path for path in (out / "JPEGImages").rglob("*") if path.is_file())
    assert photo.read_bytes() == next(folder.rglob(photo.name)).read_bytes()
    assert (out / "provenance" / mask.name).is_file()
    assert (out / "ImageSets/Segmentation/train.txt").read_text() == f"{mask.stem}\n"


def test_formats_that_are_always_as_shown_offer_no_frame(dialog):
    for name in FORMATS:
        choose(dialog.format, name)
        assert dialog.stored.isEnabled() == EXPORTERS[name].follows_frame
    choose(dialog.format, "labelme")
    assert not dialog.oriented.isEnabled()


def test_the_loss_is_counted_before_anything_is_written(studio, dialog, tmp_path):
    dialog.target.setText(str(tmp_path / "out"))
    choose(dialog.format, "labelme")
    dialog.options.count.click()
    studio.wait(lambda: "Every pixel comes back" in dialog.options.lost.text())
    dialog.options.min_pixels.setValue(1_000_000)
    assert dialog.options.lost.text() == ""
    dialog.options.count.click()
    studio.wait(lambda: "tiny region" in dialog.options.lost.text())
    assert dialog.options.lost.property("tone") == "warn"
    assert not (tmp_path / "out").exists()
    assert int(np.count_nonzero(studio.image.document.labels)) > 0


def test_classes_are_written_as_others(studio, dialog, tmp_path):
    dialog.target.setText(str(tmp_path / "out"))
    dialog.options.class_map.setText("chair")
    assert not dialog.go.isEnabled()
    assert "maps no class" in dialog.note.text()
    dialog.options.class_map.setText("chair=unicorn seat, sofa=void")
    assert dialog.go.isEnabled()
    studio.program.export.start(dialog.request(), "error")
    studio.wait(lambda: "Export finished" in studio.titles())
    marker = read_marker(tmp_path / "out")
    assert marker is not None
    assert marker.catalog is not None
    assert "unicorn seat" in marker.catalog.names
    assert "sofa" not in marker.catalog.names
    dialog.options.class_map.setText("unicorn=cat")
    assert "has no class 'unicorn'" in dialog.note.text()


def test_files_of_any_split_are_asked_about(dialog, tmp_path):
    choose(dialog.format, "yolo")
    dialog.target.setText(str(tmp_path / "out"))
    (tmp_path / "out/labels/val").mkdir(parents=True)
    (tmp_path / "out/labels/val/photo_0.txt").write_text("mine")
    assert not dialog.existing.isVisible()
    dialog.options.split.setChecked(True)
    assert dialog.existing.isVisible()
    assert dialog.request().how.shares == {"train": 0.8, "val": 0.2}
