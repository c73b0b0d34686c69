"""The export dialog offers every format with its own options, and counts what a format would lose before it writes."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest
from PIL import Image
from PySide6.QtWidgets import QComboBox, QFileDialog, QFormLayout, QWidget

from app.controllers.project.export import ExportScope
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
    options.add_more()
    page.show()
    options.set_format(name)
    assert not options.class_map.isVisible()
    options.more.setChecked(True)
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
    choose(dialog.scope, ExportScope.TOUCHED)
    return dialog


def test_an_export_that_cannot_be_written_asks_again_with_what_was_entered(studio, dialog, tmp_path, monkeypatch):
    """The message had no button, and the next dialog another folder."""
    blocked = tmp_path / "file.txt"
    blocked.write_text("in the way")
    dialog.target.setText(str(blocked / "masks"))
    studio.program.export.start(dialog.request(), "error")
    studio.wait(lambda: any(message.choices for message in studio.program.notifier.messages))
    proposed = []
    monkeypatch.setattr(ExportDialog, "exec", lambda found: proposed.append(found.target.text()))
    (again,) = studio.program.notifier.messages[-1].choices
    assert again.text == "Export again…"
    again.run()
    assert proposed == [str(blocked / "masks")]


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
    choose(dialog.options.split, "shares")
    assert dialog.existing.isVisible()
    assert dialog.request().how.shares == {"train": 0.8, "val": 0.2}


def test_shares_have_a_seed_and_groups_that_a_pattern_finds(studio, dialog, tmp_path):
    options = dialog.options
    choose(dialog.scope, ExportScope.ALL)
    choose(dialog.format, "voc")
    dialog.target.setText(str(tmp_path / "out"))
    assert not options.shares.isVisible()
    choose(options.split, "shares")
    assert options.shares.isVisible()
    assert not options.lists.isVisible()
    options.shares.setText("train=half")
    assert not dialog.go.isEnabled()
    assert "not a share of a split" in dialog.note.text()
    options.shares.setText("")
    assert "no split is named" in dialog.note.text().casefold()
    options.shares.setText("train=0.5, test=0.5")
    choose(options.group, "pattern")
    assert "The pattern is empty" in dialog.note.text()
    options.pattern.setText("photo_(")
    assert "not a regular expression" in dialog.note.text()
    options.pattern.setText(r"photo_\d")
    assert "groups stay together" in dialog.note.text()
    options.seed.setValue(7)
    options.stratified.setChecked(False)
    how = dialog.request().how
    assert (how.shares, how.seed, how.group, how.stratified) == ({"train": 0.5, "test": 0.5}, 7, r"photo_\d", False)
    choose(dialog.format, "indexed")
    assert dialog.request().how.shares == {}


def test_lists_name_the_images_of_the_splits(studio, dialog, tmp_path):
    options = dialog.options
    choose(dialog.format, "voc")
    dialog.target.setText(str(tmp_path / "out"))
    choose(options.split, "lists")
    (item,) = (record.relative_path for record in studio.program.export.records(ExportScope.TOUCHED))
    listed = tmp_path / "mine.txt"
    options.lists.setText(f"mine={listed}")
    assert not dialog.go.isEnabled()
    listed.write_text("nothing\n")
    options.changed.emit()
    assert "names no image that is exported" in dialog.note.text()
    listed.write_text(f"{item}\n")
    options.changed.emit()
    assert dialog.go.isEnabled()
    choose(dialog.scope, ExportScope.ALL)
    assert "in no list" in dialog.note.text()
    studio.program.export.start(dialog.request(), "error")
    studio.wait(lambda: "Export finished" in studio.titles())
    assert len((tmp_path / "out/ImageSets/Segmentation/mine.txt").read_text().split()) == 1
    assert "Splits: mine 1. 3 images are in no list." in studio.program.notifier.messages[-1].detail


def test_an_export_can_be_stopped_while_images_are_shared_out(studio, dialog, tmp_path, monkeypatch):
    release, done = Event(), []

    def slow(items, progress):
        release.wait(20)
        progress(items[0].name)
        return {}

    choose(dialog.format, "voc")
    choose(dialog.options.split, "shares")
    dialog.target.setText(str(tmp_path / "out"))
    monkeypatch.setattr("deeplab_core.masks.export.setup._classes", slow)
    export = studio.program.export
    export.finished.connect(lambda summary, _request: done.append(summary))
    export.start(dialog.request(), "error")
    (job,) = (job for job in studio.program.jobs.running if job.title == "Exporting")
    job.cancel()
    release.set()
    studio.wait(lambda: done)
    assert done[0].cancelled
    assert done[0].not_reached == 1
    assert not (tmp_path / "out").exists()


def test_another_catalog_gets_the_classes_by_name_and_by_choice(studio, dialog, tmp_path):
    options = dialog.options
    dialog.target.setText(str(tmp_path / "out"))
    classes = tmp_path / "classes.txt"
    classes.write_text("background\nseat\nperson\n")
    options.more.setChecked(True)
    options.catalog.read(tmp_path / "none.txt")
    assert not dialog.go.isEnabled()
    options.catalog.read(classes)
    assert options.partners.isVisible()
    assert not options.class_map.isVisible()
    assert "chair" in options.partners.without_partner()
    assert "person" not in options.partners.without_partner()
    assert "have no partner" in dialog.note.text()
    options.unmatched.setChecked(True)
    assert "partner" not in dialog.note.text()
    choose(options.partners.boxes["chair"], "seat")
    assert dialog.request().how.class_map == {"chair": "seat"}
    studio.program.export.start(dialog.request(), "error")
    studio.wait(lambda: "Export finished" in studio.titles())
    marker = read_marker(tmp_path / "out")
    assert marker is not None
    assert marker.catalog is not None
    assert "seat" in marker.catalog.names
    (written,) = (tmp_path / "out").glob("*.png")
    drawn = studio.image.document.labels == 9
    assert (np.asarray(Image.open(written))[drawn] == marker.catalog.by_name("seat").id).all()


def test_counting_can_be_stopped_and_does_not_keep_an_export_from_starting(studio, dialog, tmp_path, monkeypatch):
    release = Event()

    def slow(_items, _exporter, *, cancel, **_more):
        release.wait(20)
        assert cancel()
        return {}

    monkeypatch.setattr("app.controllers.project.export.measure_losses", slow)
    options = dialog.options
    dialog.target.setText(str(tmp_path / "out"))
    choose(dialog.format, "labelme")
    options.count.click()
    assert options.count.text() == "Stop"
    assert "Counting" in options.lost.text()
    options.count.click()
    release.set()
    studio.wait(lambda: options.count.text() == "Count what is lost")
    assert options.lost.text() == ""
    release.clear()
    options.count.click()
    dialog.go.click()
    studio.program.export.start(dialog.request(), "error")
    release.set()
    studio.wait(lambda: "Export finished" in studio.titles())
    assert list((tmp_path / "out").glob("*.json"))


def test_the_report_of_the_data_set_is_written_where_the_user_says(studio, folder, tmp_path, monkeypatch):
    studio.open(folder)
    studio.program.classes.choose(9)
    studio.paint((20, 20), (60, 20))
    page = tmp_path / "report.html"
    asked = []

    def choose_file(_parent, _title, start, _kinds):
        asked.append(start)
        return str(page), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose_file)
    studio.window.commands["project.report"].trigger()
    studio.wait(lambda: "report.html is saved" in studio.titles())
    assert asked == [str(folder.parent / f"{folder.name}_report.html")]
    text = page.read_text(encoding="utf-8")
    assert "chair" in text
    said = [message.detail for message in studio.program.notifier.messages if message.title == "report.html is saved"]
    assert said == ["4 images, 1 with labels."]


def test_a_report_replaces_no_photograph(studio, folder, monkeypatch):
    studio.open(folder)
    photo = folder / "photo_0.jpg"
    before = photo.read_bytes()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(photo), ""))
    studio.window.commands["project.report"].trigger()
    studio.wait(lambda: not studio.program.jobs.running)
    assert photo.read_bytes() == before
    assert any("photo_0.jpg" in text for text in studio.titles()), studio.titles()
