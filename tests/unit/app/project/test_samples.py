"""Which labels of an image count, and which ground truth belongs to them: one rule for every figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from app.state.ambiguous import write_marks
from app.state.class_mapping import card_key
from app.state.ground_truth import GroundTruth
from app.state.image_record import ImageStatus
from app.state.patch import diff_patch
from app.state.project import Project
from app.state.provenance import Provenance
from app.state.samples import ExportSource, OpenLabels, load_sample, truth_stamp
from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets.ambiguous import AmbiguousMarks
from deeplab_core.datasets.ground_truth import GroundTruthFiles
from deeplab_core.errors import MaskFormatError
from deeplab_core.masks import Untouched
from deeplab_core.masks.png import write_indexed_png
from deeplab_core.records import Prediction, PredictOptions

VOC = get_catalog("voc21")
HEIGHT, WIDTH = 24, 30


@pytest.fixture
def project(tmp_path: Path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number, name in enumerate(("a", "b")):
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), number, np.uint8)).save(folder / f"{name}.png")
    truth = np.zeros((HEIGHT, WIDTH), np.uint8)
    truth[:, :10], truth[:, 10:12] = 15, 255
    write_indexed_png(tmp_path / "truth.png", truth, VOC)
    with Project.open(folder) as made:
        made.ground_truth = GroundTruth(GroundTruthFiles(files={"a.png": tmp_path / "truth.png"}))
        made.set_setting(card_key("model"), VOC.to_dict())
        yield made


def predict(project: Project, class_id: int, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    image = project.images[0].id
    labels = np.full(shape, class_id, np.uint8)
    key = project.content_key(image)
    confidence = np.full(shape, 200, np.uint8)
    prediction = Prediction(labels=labels, confidence=confidence, card_id="model", options=PredictOptions(), source_key=key)
    project.keep_prediction(image, prediction)


def step(project: Project, class_id: int, source: Provenance, rows: slice = slice(None)) -> None:
    image = project.images[0].id
    document = project.load(image, (HEIGHT, WIDTH)).document
    after, by = document.labels.copy(), document.provenance.copy()
    after[rows], by[rows] = class_id, source
    project.append_step(image, "step", source, diff_patch(document.labels, document.provenance, after, by))


def counted(project: Project, **options: object) -> set[int] | None:
    labels = load_sample(project, project.images[0].id, **options).labels  # type: ignore[arg-type]
    return None if labels is None else set(np.unique(labels).tolist())


def test_without_labels_nothing_counts_and_the_ground_truth_is_not_read(project):
    sample = load_sample(project, project.images[0].id)
    assert sample.labels is None
    assert sample.truth is None
    assert load_sample(project, project.images[0].id, labels="none").truth is not None


def test_a_prediction_counts_until_the_mask_holds_anything(project):
    predict(project, 3)
    assert counted(project) == {3}
    assert counted(project, labels="mask") is None
    step(project, 5, Provenance.CRF)
    assert counted(project) == counted(project, labels="mask") == {5}
    assert counted(project, labels="prediction") == {3}


def test_a_cleared_mask_of_the_user_counts_as_it_is(project):
    predict(project, 3)
    step(project, 5, Provenance.USER)
    step(project, 255, Provenance.UNSET)
    assert counted(project) == {255}


def test_confirmed_pixels_are_those_of_the_user_until_the_image_is_reviewed(project):
    step(project, 3, Provenance.MODEL)
    step(project, 5, Provenance.USER, slice(0, 4))
    step(project, 7, Provenance.IMPORT, slice(4, 8))
    assert counted(project, labels="confirmed") == {5, 7, 255}
    project.set_status(project.images[0].id, ImageStatus.REVIEWED)
    assert counted(project, labels="confirmed") == {3, 5, 7}


def test_labels_in_memory_win_over_those_on_disk(project):
    step(project, 5, Provenance.USER)
    labels = np.full((HEIGHT, WIDTH), 9, np.uint8)
    assert counted(project, opened=OpenLabels(labels, np.full_like(labels, Provenance.USER))) == {9}


def test_a_prediction_of_a_file_that_was_replaced_does_not_count(project):
    predict(project, 3)
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 99, np.uint8)).save(project.folder / "a.png")
    assert counted(project) is None
    assert counted(project, labels="prediction") is None


def test_a_prediction_of_another_size_does_not_count(project):
    predict(project, 3, (HEIGHT + 1, WIDTH))
    assert counted(project) is None


def test_marked_pixels_are_void_in_what_is_scored_alone(project):
    image = project.images[0].id
    predict(project, 3)
    marked = np.ones((5, 5), bool)
    write_marks(project, image, AmbiguousMarks(HEIGHT, WIDTH).marked(marked, offset=(0, 0)))
    sample = load_sample(project, image)
    assert sample.exclude is not None
    assert np.count_nonzero(sample.exclude) == 25
    assert (sample.truth[:5, :5] == 15).all()
    assert (sample.scored[:5, :5] == 255).all()
    assert not sample.truth.flags.writeable


def test_an_image_without_ground_truth_has_labels_and_confidence(project):
    predict(project, 3)
    project.ground_truth = GroundTruth()
    sample = load_sample(project, project.images[0].id)
    assert sample.truth is None
    assert sample.scored is None
    assert sample.confidence is not None
    assert truth_stamp(project, project.images[0].id) == ""


def test_a_mask_in_memory_of_another_size_than_the_ground_truth_is_refused(project):
    labels = np.zeros((HEIGHT, WIDTH + 1), np.uint8)
    with pytest.raises(MaskFormatError, match="ground truth is 30 x 24 px"):
        load_sample(project, project.images[0].id, opened=OpenLabels(labels, np.ones_like(labels)))


@pytest.mark.parametrize(("frame", "corner"), [("stored", (0, 29)), ("oriented", (0, 0))])
def test_the_ground_truth_is_read_in_the_chosen_frame(project, tmp_path, frame, corner):
    exif = Image.Exif()
    exif[0x0112] = 2
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(project.folder / "a.png", exif=exif)
    project.ground_truth = GroundTruth(project.ground_truth.index, frame)
    truth = load_sample(project, project.images[0].id, labels="none").truth
    assert truth[corner] == 15
    assert truth[0, 29 - corner[1]] == 0


@pytest.mark.parametrize("kind", ["indexed", "colours"])
def test_other_colours_in_the_project_do_not_change_what_a_data_set_means(project, tmp_path, kind):
    """The dog gets the colour that VOC gives to persons: a mask of persons stays one of persons."""
    person, dog = VOC.by_name("person"), VOC.by_name("dog")
    before = load_sample(project, project.images[0].id, labels="none").truth
    if kind == "colours":
        Image.open(tmp_path / "truth.png").convert("RGB").save(tmp_path / "truth.png")
    project.set_catalog(project.catalog.recolored(dog.id, person.color).recolored(person.id, (1, 2, 3)))
    np.testing.assert_array_equal(load_sample(project, project.images[0].id, labels="none").truth, before)


def test_a_mask_in_the_project_s_own_colours_is_read_by_them(project, tmp_path):
    person, dog = VOC.by_name("person"), VOC.by_name("dog")
    project.set_catalog(project.catalog.recolored(dog.id, person.color).recolored(person.id, (1, 2, 3)))
    labels = np.full((HEIGHT, WIDTH), dog.id, np.uint8)
    labels[:5] = 0
    write_indexed_png(tmp_path / "truth.png", labels, project.catalog)
    np.testing.assert_array_equal(load_sample(project, project.images[0].id, labels="none").truth, labels)
    Image.open(tmp_path / "truth.png").convert("RGB").save(tmp_path / "truth.png")
    project.set_catalog(project.catalog.recolored(dog.id, (9, 9, 9)))
    labels_in_color = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    labels_in_color[5:] = (9, 9, 9)
    Image.fromarray(labels_in_color).save(tmp_path / "truth.png")
    np.testing.assert_array_equal(load_sample(project, project.images[0].id, labels="none").truth, labels)


@pytest.mark.parametrize(
    ("steps", "reviewed", "by_hand", "whole"),
    [
        ((), False, 0, True),
        (((5, Provenance.CRF, slice(None)),), False, 0, True),
        (((5, Provenance.CRF, slice(None)), (7, Provenance.USER, slice(0, 4))), False, 4 * WIDTH, False),
        (((5, Provenance.IMPORT, slice(None)),), False, HEIGHT * WIDTH, False),
        (((5, Provenance.MODEL, slice(None)),), True, 0, False),
    ],
)
def test_an_export_writes_what_counts_and_says_how_much_no_user_set(project, steps, reviewed, by_hand, whole):
    predict(project, 3)
    for class_id, source, rows in steps:
        step(project, class_id, source, rows)
    if reviewed:
        project.set_status(project.images[0].id, ImageStatus.REVIEWED)
    item = ExportSource(project, project.images[0].id).item()
    np.testing.assert_array_equal(item.labels(), load_sample(project, project.images[0].id).labels)
    assert item.untouched() == Untouched(HEIGHT * WIDTH - by_hand, whole)


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.sampled_from(list(Provenance)), st.integers(0, HEIGHT - 1), st.integers(1, HEIGHT)),
        max_size=4,
    ),
    st.booleans(),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_kinds_of_labels_agree_with_each_other(tmp_path_factory, steps, predicted):
    """Effective labels are the mask or, without one, the prediction; confirmed pixels are those of the effective mask or void."""
    folder = tmp_path_factory.mktemp("images")
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / "a.png")
    with Project.open(folder) as project:
        project.set_setting(card_key("model"), VOC.to_dict())
        image = project.images[0].id
        if predicted:
            predict(project, 3)
        for class_id, source, row, height in steps:
            step(project, class_id, source, slice(row, row + height))
        effective, mask, prediction, confirmed = (
            load_sample(project, image, labels=kind, truth=False).labels
            for kind in ("effective", "mask", "prediction", "confirmed")
        )
        expected = mask if mask is not None else prediction
        assert (effective is None) == (expected is None)
        if effective is not None:
            np.testing.assert_array_equal(effective, expected)
        assert (prediction is not None) == predicted
        if confirmed is not None:
            assert mask is not None
            known = confirmed != VOC.ignore
            np.testing.assert_array_equal(confirmed[known], mask[known])
            assert project.images[0].touched or not known.any()
