"""No image drops out of a ranking, and no score is old: in the list and in the queue, whatever changed a mask or its truth."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt

from app.controllers.evaluate import measuring
from app.state import measurement
from app.state.ambiguous import write_marks
from app.state.edits import fill_patch
from app.state.project import Project
from app.state.provenance import Provenance
from app.state.samples import OpenLabels, load_sample
from deeplab_core.datasets.ambiguous import AmbiguousMarks
from deeplab_core.images.identity import content_key
from deeplab_core.masks.png import write_indexed_png
from deeplab_core.masks.read import read_mask
from deeplab_core.metrics import ConfusionMatrix
from tests.fakes.compute import striped_labels
from tests.gui.studio import HEIGHT, WIDTH, Studio

CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


def expected(project: Project) -> dict[int, float]:
    """Mean IoU of every image that has labels and ground truth, measured from the files on disk."""
    found = {}
    for record in project.images:
        sample = load_sample(project, record.id)
        if sample.labels is not None and sample.scored is not None:
            matrix = ConfusionMatrix(project.catalog).update(truth=sample.scored, prediction=sample.labels)
            found[record.id] = matrix.mean_iou("truth").value
    return found


def listed(studio: Studio) -> dict[int, float]:
    """What the list of images shows."""
    model = studio.application.images
    rows = [model.image_row(model.index(place)) for place in range(model.rowCount())]
    return {row.record.id: row.iou for row in rows if row.iou is not None}


def assert_fresh(studio: Studio, images: int) -> None:
    """List and queue show every image, each with the score of its mask as it is."""
    project = studio.program.session.project
    assert project is not None
    studio.settle()
    if studio.program.session.autosaver is not None:
        studio.program.session.autosaver.save_now()
    studio.wait(lambda: listed(studio) == pytest.approx(expected(project)))
    assert len(listed(studio)) == images
    assert studio.program.rankings.ious() == pytest.approx(expected(project))
    assert sorted(studio.program.rankings.review_order()) == sorted(expected(project))


def run_folder(studio: Studio) -> None:
    studio.press(Qt.Key.Key_R, CTRL | SHIFT)
    studio.wait(lambda: "Folder run finished" in studio.titles())
    studio.settle()


def show(studio: Studio, place: int) -> None:
    project = studio.program.session.project
    assert project is not None
    wanted = project.images[place].id
    studio.program.projects.open_image(wanted)
    studio.wait(lambda: studio.image.id == wanted)


def test_the_image_that_was_predicted_on_opening_is_in_the_queue(studio: Studio, folder: Path) -> None:
    studio.start_model()
    studio.open(folder)
    studio.program.predict.run_image()
    studio.settle()
    run_folder(studio)  # finds the first one kept from before
    show(studio, 1)  # on 8f62d5b leaving it took its score
    assert_fresh(studio, 4)


def test_an_image_whose_only_stroke_is_undone_has_no_score(studio: Studio, folder: Path) -> None:
    """The list went on to show 0.0: not measured is not 0."""
    studio.open(folder)
    image = studio.image.id
    studio.paint((20, 20), (60, 20))
    studio.wait(lambda: image in listed(studio))
    studio.settle()
    studio.program.edit.undo()
    studio.wait(lambda: image not in listed(studio))


def test_an_image_left_soon_after_an_edit_keeps_its_place_with_its_new_score(studio: Studio, folder: Path) -> None:
    studio.start_model()
    studio.open(folder)
    run_folder(studio)
    before = dict(listed(studio))
    studio.program.classes.choose(15)
    edited = studio.image.id
    studio.paint((10, 10), (30, 30), (10, 40))
    show(studio, 2)  # at once: nothing has rested
    assert_fresh(studio, 4)
    assert listed(studio)[edited] != before[edited]


def test_a_run_over_the_folder_renews_every_score(studio: Studio, folder: Path) -> None:
    studio.start_model()
    studio.open(folder)
    run_folder(studio)
    project = studio.program.session.project
    assert project is not None
    before = dict(listed(studio))
    other = project.images[2].id
    document = project.load(other).document
    patch = fill_patch(document, 5, 5, 15, source=Provenance.CRF)
    studio.program.session.write_step(other, "CRF", patch, Provenance.CRF)  # as a run over the folder does
    assert_fresh(studio, 4)
    assert listed(studio)[other] != before[other]
    studio.window.commands["refine.folder"].trigger()
    studio.wait(lambda: "CRF on the folder finished" in studio.titles())
    assert_fresh(studio, 4)


def test_scores_of_an_older_visit_are_shown_only_where_they_still_belong(studio: Studio, folder: Path) -> None:
    studio.start_model()
    studio.open(folder)
    run_folder(studio)
    assert_fresh(studio, 4)
    assert studio.program.projects.close()
    with Project.open(folder) as project:
        first, second, third, _ = (record.id for record in project.images)
        project.put_result(
            first, "score", "", b'{"iou": 0.123, "uncertainty": null, "classes": []}'
        )  # as an older version kept it
        project.drop_result(second, "score")
        patch = fill_patch(project.load(third).document, 5, 5, 15)
        assert not patch.empty
        project.append_step(third, "Fill", Provenance.USER, patch)
    studio.open(folder)
    assert_fresh(studio, 4)


def test_changed_ground_truth_renews_the_scores(studio: Studio, folder: Path) -> None:
    studio.start_model()
    studio.open(folder)
    run_folder(studio)
    assert studio.program.projects.close()
    catalog = studio.program.models.card.catalog
    path = folder.parent / "labels" / "photo_2.png"
    labels = read_mask(path, catalog)
    write_indexed_png(path, np.ascontiguousarray(labels[:, ::-1]), catalog)
    os.utime(path, ns=(1, 1))
    studio.open(folder)
    assert_fresh(studio, 4)


def test_what_is_asked_last_wins_whichever_thread_is_ready_first(studio: Studio, folder: Path, monkeypatch) -> None:
    studio.start_model()
    studio.open(folder)
    run_folder(studio)
    studio.settle()
    scorer = studio.program.measuring
    answers = []

    def run(work, done, _failed, **_options) -> None:
        if isinstance(getattr(work, "__self__", None), measurement.Measurement):
            answers.append((work, done))

    monkeypatch.setattr(studio.program.jobs, "run", run)
    image = studio.image.id
    scorer.ask(image)
    studio.wait(lambda: bool(answers))
    older, done_older = answers.pop()
    old = older()
    project = studio.program.session.project
    labels = load_sample(project, image).truth.copy()
    opened = OpenLabels(labels, np.full(labels.shape, Provenance.USER, np.uint8))
    scorer.ask(image, opened=opened)
    done_older(old)  # comes in now, and is not kept: something newer was asked for
    studio.wait(lambda: bool(answers))
    work, done = answers.pop()
    done(work())
    assert listed(studio)[image] == pytest.approx(1.0)


def test_a_region_marked_as_ambiguous_changes_the_score_without_evaluating_the_folder(studio: Studio, folder: Path) -> None:
    studio.start_model()
    studio.open(folder)
    run_folder(studio)
    project = studio.program.session.project
    assert project is not None
    before = dict(listed(studio))
    marked = project.images[3].id
    sample = load_sample(project, marked)
    region = sample.labels == sample.truth
    write_marks(project, marked, AmbiguousMarks(*region.shape).marked(region))
    studio.program.folder_evaluation.remeasure(marked)
    assert_fresh(studio, 4)
    assert listed(studio)[marked] == 0 < before[marked]


def test_an_unreadable_truth_is_reported_and_leaves_the_image_without_iou(studio: Studio, folder: Path) -> None:
    (folder.parent / "labels" / "photo_1.png").write_bytes(b"no picture")
    studio.start_model()
    studio.open(folder)
    run_folder(studio)
    studio.settle()
    project = studio.program.session.project
    broken = next(record.id for record in project.images if record.name == "photo_1.jpg")
    assert set(listed(studio)) == {record.id for record in project.images} - {broken}
    assert any(name == "photo_1.jpg" for name, _ in studio.program.truth.problems)


def test_pooled_figures_matrix_and_queues_follow_what_a_run_changes(studio: Studio, folder: Path) -> None:
    studio.start_model()
    studio.open(folder)
    run_folder(studio)
    studio.press(Qt.Key.Key_J, CTRL)
    studio.press(Qt.Key.Key_O)
    studio.wait(lambda: len(studio.program.inspect.index) == 4 and not studio.program.inspect.inspecting)
    studio.settle()
    project = studio.program.session.project
    assert project is not None
    other = project.images[2].id
    patch = fill_patch(project.load(other).document, 5, 5, 15, source=Provenance.CRF)
    studio.program.session.write_step(other, "CRF", patch, Provenance.CRF)
    assert_fresh(studio, 4)
    pooled = ConfusionMatrix(project.catalog)
    for record in project.images:
        sample = load_sample(project, record.id)
        pooled.update(truth=sample.scored, prediction=sample.labels)
    studio.wait(lambda: studio.program.figures.pooled == pooled)
    studio.program.inspect.toggle_view()
    studio.program.inspect.toggle_view()
    studio.settle()
    np.testing.assert_array_equal(studio.program.inspect.counts(), pooled.counts)
    studio.program.rankings.begin()
    studio.settle()
    assert "crf" in studio.program.rankings.predictions.get(str(other)).scores


def test_an_image_predicted_after_the_folder_was_evaluated_joins_its_figures(studio: Studio, folder: Path) -> None:
    studio.start_model()
    studio.open(folder)
    studio.program.predict.run_image()
    studio.settle()
    studio.press(Qt.Key.Key_J, CTRL)
    studio.wait(lambda: studio.program.figures.images == 1)
    studio.settle()
    run_folder(studio)
    studio.wait(lambda: studio.program.figures.images == 4)
    assert_fresh(studio, 4)


def test_list_and_queue_follow_the_crf_over_the_folder_and_its_undo(studio: Studio, folder: Path) -> None:
    """The list said 0.57 after the CRF had gone over the folder, and 0.52 once the image was opened; the queue ranked by 0.57."""
    studio.start_model()
    for photograph in folder.glob("*.jpg"):  # the ground truth is what the model says, so that the CRF costs every image
        right = striped_labels(studio.compute.catalog, HEIGHT, WIDTH, content_key(photograph))
        write_indexed_png(folder.parent / "labels" / f"{photograph.stem}.png", right, studio.compute.catalog)
    studio.open(folder)
    run_folder(studio)
    for place in (1, 2, 0):  # two images have masks of their own, one has only its prediction
        show(studio, place)
        studio.settle()
    assert_fresh(studio, 4)
    before = dict(listed(studio))
    studio.window.toggle_dock("crf")
    studio.window.crf.folder.click()
    studio.wait(lambda: "CRF on the folder finished" in studio.titles())
    assert_fresh(studio, 4)
    after = dict(listed(studio))
    assert all(before[image] == 1 and after[image] < 1 for image in before)
    order = studio.program.rankings.review_order()
    for place in range(4):
        show(studio, place)
        studio.settle()
        assert studio.program.evaluation.live is not None
        seen = studio.program.evaluation.live.matrix.mean_iou("truth").value
        assert listed(studio)[studio.image.id] == pytest.approx(seen), "opening the image changes nothing"
        assert after[studio.image.id] == pytest.approx(seen)
    assert studio.program.rankings.review_order() == order
    studio.window.commands["edit.undo_folder"].trigger()
    studio.wait(lambda: "CRF on the folder was undone" in studio.titles())
    assert_fresh(studio, 4)
    assert listed(studio) == pytest.approx(before)


class Gate:
    """Holds a background function back until it is opened."""

    def __init__(self, monkeypatch, module: object, name: str) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()
        work = getattr(module, name)

        def held(*arguments, **options):
            self.reached.set()
            assert self.open.wait(60)
            return work(*arguments, **options)

        monkeypatch.setattr(module, name, held)


def test_measuring_that_is_stopped_goes_on_when_the_figures_are_looked_at(studio: Studio, folder: Path, monkeypatch) -> None:
    studio.start_model()
    studio.open(folder)
    run_folder(studio)
    assert studio.program.projects.close()
    with Project.open(folder) as project:
        for record in project.images:
            project.drop_result(record.id, "score")
    monkeypatch.setattr(measuring, "_SHOWN_FROM", 2)
    gate = Gate(monkeypatch, measurement, "score_labels")
    studio.program.projects.open(folder)
    studio.wait(lambda: any(job.title == "Measuring IoU" for job in studio.program.jobs.running) and gate.reached.is_set())
    (job,) = [job for job in studio.program.jobs.running if job.title == "Measuring IoU"]
    job.cancel()
    gate.open.set()
    studio.wait(lambda: not job.running)
    studio.settle()
    assert len(listed(studio)) < 4
    studio.program.measuring.begin()
    assert_fresh(studio, 4)


def test_what_is_looked_at_is_measured_at_once_however_much_it_is(studio: Studio, folder: Path, monkeypatch) -> None:
    studio.start_model()
    studio.open(folder)
    run_folder(studio)
    assert_fresh(studio, 4)
    monkeypatch.setattr(measuring, "_LAZY_FROM", 2)
    catalog = studio.program.models.card.catalog
    for path in sorted((folder.parent / "labels").glob("*.png"))[1:]:  # not of the image in view, which is measured live
        write_indexed_png(path, np.full((HEIGHT, WIDTH), 9, np.uint8), catalog)
        os.utime(path, ns=(1, 1))
    studio.program.measuring.begin()
    assert_fresh(studio, 4)


def test_the_same_ground_truth_again_leaves_no_image_without_a_ranking_score(studio: Studio, folder: Path) -> None:
    studio.start_model()
    studio.open(folder)
    run_folder(studio)
    rankings, truth = studio.program.rankings, studio.program.truth
    rankings.begin()
    studio.wait(lambda: len(rankings.scores("label_errors")) == 4 and not rankings.measuring)
    before, announced = rankings.scores("label_errors"), []
    truth.changed.connect(announced.append)
    truth.choose(truth.index.folders[0])
    studio.wait(lambda: bool(announced))
    studio.wait(lambda: not rankings.measuring and rankings.scores("label_errors") == pytest.approx(before))
    assert len(rankings.scores("label_errors")) == 4


def test_a_folder_that_gets_other_ground_truth_while_it_is_evaluated_is_evaluated_by_that(
    studio: Studio, folder: Path, tmp_path: Path, monkeypatch
) -> None:
    studio.start_model()
    studio.open(folder)
    run_folder(studio)
    catalog, other = studio.program.models.card.catalog, tmp_path / "other"
    other.mkdir()
    for path in sorted((folder.parent / "labels").glob("*.png")):
        write_indexed_png(other / path.name, np.ascontiguousarray(read_mask(path, catalog)[:, ::-1]), catalog)
    gate = Gate(monkeypatch, measurement, "score_labels")
    studio.program.folder_evaluation.start()
    studio.wait(gate.reached.is_set)
    studio.program.truth.choose(other)
    studio.wait(lambda: studio.program.truth.index.folders == (other,))
    gate.open.set()
    studio.wait(lambda: any(title.startswith("Folder: mIoU") for title in studio.titles()))
    assert_fresh(studio, 4)
    total = sum(
        ConfusionMatrix(catalog).update(truth=sample.scored, prediction=sample.labels).counts
        for sample in (load_sample(studio.program.session.project, r.id) for r in studio.program.session.project.images)
    )
    np.testing.assert_array_equal(studio.program.figures.pooled.counts, total)
