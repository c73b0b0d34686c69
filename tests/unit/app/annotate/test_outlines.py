"""Regions that the user reclassified: the class is fixed, a CRF may move the outline, and nothing else may touch them."""

from __future__ import annotations

import sqlite3

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.state.document import Document
from app.state.edits import fill_patch
from app.state.mask_file import MaskNote, read_mask_file, write_mask_file
from app.state.outlines import OUTLINE_REACH, may_change, renamed_classes
from app.state.patch import TilePatch
from app.state.project import Project
from app.state.provenance import Provenance, by_hand, merge_labels, would_change
from app.state.refinement import composed, painted_labels, taking_patch
from app.state.samples import confirmed_labels
from app.state.schema import OPENED_AT, WITH_RECLASSIFIED
from app.worker.handlers.refine import in_window_ids, renamed_source
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import ProjectError
from deeplab_core.geometry import Box
from deeplab_core.refine import DenseCRF, ProbabilitySource
from deeplab_core.refine.parameters import preset

CATALOG = get_catalog("voc21")
SEEDS = st.integers(0, 100_000)
CHAIR, SOFA, TABLE, PERSON = 9, 18, 11, 15
NEWER = [6, 200]  # values of a later version


def random_document(seed: int, height: int = 40, width: int = 56) -> Document:
    """Coarse blobs of four classes, each pixel set by anybody."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 4, (height // 8, width // 8)).astype(np.uint8)
    labels = np.ascontiguousarray(np.kron(coarse, np.ones((8, 8), np.uint8)))
    sources = random.choice(np.array([0, 1, 2, 3, 4, 5, 5, 5, *NEWER], np.uint8), labels.shape)
    return Document(labels, CATALOG, sources)


def areas(where: np.ndarray) -> list[np.ndarray]:
    count, numbers = cv2.connectedComponents(where.astype(np.uint8), connectivity=4)
    return [numbers == number for number in range(1, count)]


# -- what a CRF may change ----------------------------------------------------------------------------------------------------


@given(seed=SEEDS)
def test_painted_pixels_stay_and_outlines_move_in_attached_pieces(seed):
    random = np.random.default_rng(seed)
    document = random_document(seed)
    refined = np.kron(random.integers(0, 4, (10, 14)), np.ones((4, 4))).astype(np.uint8)
    where = random.random(refined.shape) < 0.9
    labels, sources = document.labels, document.provenance
    changing = may_change(labels, sources, Box.whole(labels.shape), refined, where)
    after = composed(labels, sources, refined, where)
    np.testing.assert_array_equal(after, np.where(changing, refined, labels))
    assert not changing[~where].any()
    assert not changing[(sources == Provenance.USER) | (sources > Provenance.RECLASSIFIED)].any()
    soft = sources == Provenance.RECLASSIFIED
    free = ~soft & (sources != Provenance.USER) & (sources <= Provenance.RECLASSIFIED)
    np.testing.assert_array_equal(changing[free], (where & (labels != refined))[free])
    moving = changing & soft
    for value in range(4):
        for area in areas(after == value):
            assert not (area & moving).any() or (area & ~moving).any(), "a piece hangs in the air"
        for region in areas(soft & (labels == value)):
            assert (region & ~moving).any(), "a region is gone"


@given(seed=SEEDS, x=st.integers(0, 30), y=st.integers(0, 20), width=st.integers(1, 26), height=st.integers(1, 20))
def test_a_part_of_the_image_is_what_the_whole_restricted_to_it_gives(seed, x, y, width, height):
    document = random_document(seed)
    refined = np.random.default_rng(seed + 1).integers(0, 4, document.shape).astype(np.uint8)
    rect = Box(x, y, width, height)
    inside = np.zeros(document.shape, bool)
    inside[rect.slices] = True
    whole = may_change(document.labels, document.provenance, Box.whole(document.shape), refined, inside)
    part = may_change(document.labels, document.provenance, rect, refined[rect.slices])
    np.testing.assert_array_equal(whole[rect.slices], part)
    assert not whole[~inside].any()


def reclassified(shape: tuple[int, int] = (40, 60)) -> Document:
    """A chair of 20 x 30 px in the model's labels, filled as a sofa."""
    labels = np.zeros(shape, np.uint8)
    labels[10:30, 15:45] = CHAIR
    document = Document(labels, CATALOG, np.full(shape, Provenance.MODEL, np.uint8), labels.copy())
    document.apply(fill_patch(document, 30, 20, SOFA))
    return document


def test_a_fill_owns_the_class_and_not_the_outline():
    document = reclassified()
    region = document.labels == SOFA
    assert region.sum() == 600
    assert (document.provenance[region] == Provenance.RECLASSIFIED).all()
    assert (document.provenance[~region] == Provenance.MODEL).all()


def test_pixels_that_the_user_painted_stay_painted_when_they_are_filled():
    document = reclassified()
    document.paint(Box(20, 15, 5, 5), np.ones((5, 5), bool), SOFA, Provenance.USER)
    document.apply(fill_patch(document, 30, 20, PERSON))
    assert (document.labels[10:30, 15:45] == PERSON).all()
    assert (document.provenance[15:20, 20:25] == Provenance.USER).all()
    assert (document.provenance == Provenance.RECLASSIFIED).sum() == 575


def test_a_ragged_border_is_trimmed_and_a_hole_is_not_opened():
    document = reclassified()
    refined = document.labels.copy()
    refined[10:30, 40:45] = 0  # a strip at the border: the outline moves
    refined[18:22, 25:30] = TABLE  # inside: another object, which the user has called sofa
    document.apply(taking_patch(document, Box.whole(document.shape), refined))
    assert (document.labels[10:30, 40:45] == 0).all()
    assert (document.provenance[10:30, 40:45] == Provenance.CRF).all()
    assert (document.labels[18:22, 25:30] == SOFA).all()
    assert (document.labels == SOFA).sum() == 500


def test_a_region_does_not_vanish_as_a_whole():
    document = reclassified()
    nothing = np.zeros(document.shape, np.uint8)
    assert taking_patch(document, Box.whole(document.shape), nothing).empty


# -- predictions that come later ------------------------------------------------------------------------------------------------


@given(seed=SEEDS)
def test_a_prediction_goes_under_the_users_pixels(seed):
    document = random_document(seed)
    new = np.random.default_rng(seed).integers(0, 4, document.shape).astype(np.uint8)
    merge = merge_labels(document.labels, document.provenance, new, Provenance.MODEL)
    own = (document.provenance == Provenance.USER) | (document.provenance >= Provenance.RECLASSIFIED)
    assert merge.kept_pixels == own.sum()
    np.testing.assert_array_equal(merge.conflicts, own & (document.labels != new))
    labels, sources = document.labels.copy(), document.provenance.copy()
    document.apply(merge.patch)
    np.testing.assert_array_equal(document.labels, np.where(own, labels, new))
    np.testing.assert_array_equal(document.provenance, np.where(own, sources, Provenance.MODEL))


def test_a_mask_that_is_all_the_users_own_has_nothing_to_take():
    labels = np.full((4, 4), SOFA, np.uint8)
    for source in (Provenance.USER, Provenance.RECLASSIFIED, *NEWER):
        assert not would_change(labels, np.full((4, 4), source, np.uint8), labels + 1)


def test_one_pixel_of_the_models_is_something_to_take():
    labels, sources = np.full((4, 4), SOFA, np.uint8), np.full((4, 4), Provenance.USER, np.uint8)
    sources[3, 3] = Provenance.CRF
    assert not would_change(labels, sources, labels), "the same class, whoever says so"
    assert would_change(labels, sources, labels + 1)


# -- what counts as the user's ------------------------------------------------------------------------------------------------


def test_reclassified_pixels_are_vouched_for_and_no_stroke():
    document = reclassified()
    known = confirmed_labels(document.labels, document.provenance, 255, reviewed=False)
    np.testing.assert_array_equal(known, np.where(document.labels == SOFA, SOFA, 255))
    assert by_hand(document.provenance).sum() == 600
    assert painted_labels(document.labels, document.provenance, 255) is None


# -- the network's word ----------------------------------------------------------------------------------------------------


def test_the_networks_class_is_read_as_the_users_in_and_around_a_region():
    document = reclassified((40, 160))
    document.labels[10:20, 50:60] = CHAIR  # another chair, near
    document.reference[10:20, 50:60] = CHAIR
    renamed = renamed_classes(document)
    assert renamed is not None
    columns = np.arange(160)
    away = np.maximum(0, np.maximum(15 - columns, columns - 44))
    row = 25  # crosses the region, not the other chair
    expected = np.where(away <= OUTLINE_REACH, CHAIR, 255)
    np.testing.assert_array_equal(renamed.source[row], expected)
    np.testing.assert_array_equal(renamed.target[row], np.where(expected == 255, 255, SOFA))
    assert (renamed.source[10:20, 50:60] == 255).all(), "the other chair stays a chair"


def test_a_scribble_keeps_the_word_for_its_own_class():
    document = reclassified()
    renamed = renamed_classes(document, keep=CHAIR)
    assert renamed is not None
    assert (renamed.source == 255).all()
    assert (renamed.target == 255).all()


def test_nothing_is_renamed_without_regions_or_without_a_prediction():
    document = reclassified()
    document.reference = None
    assert renamed_classes(document) is None
    plain = Document(np.zeros((5, 5), np.uint8), CATALOG, reference=np.zeros((5, 5), np.uint8))
    assert renamed_classes(plain) is None
    assert renamed_classes(reclassified(), Box(0, 0, 5, 5)) is None


@given(seed=SEEDS)
def test_probabilities_move_and_none_is_lost(seed):
    random = np.random.default_rng(seed)
    size, ids = (9, 7), np.array([0, CHAIR, SOFA, TABLE])
    planes = random.dirichlet(np.ones(4), size).transpose(2, 0, 1).astype(np.float32)
    old, new = (random.choice(np.array([*ids, 255]), size) for _ in range(2))
    old[new == 255] = 255
    new[old == 255] = 255
    before = planes.copy()
    read = renamed_source(ProbabilitySource.of(planes), ids, old, new, 255).read(2, 8)
    np.testing.assert_array_equal(planes, before)
    np.testing.assert_allclose(read.sum(axis=0), 1, atol=1e-5)
    for row, column in np.ndindex(6, 7):
        a, b, word = old[row + 2, column], new[row + 2, column], planes[:, row + 2, column].copy()
        if a != 255 and a != b:
            word[ids == b] += word[ids == a]
            word[ids == a] = 0
        np.testing.assert_allclose(read[:, row, column], word, atol=1e-6)


def test_the_outline_moves_as_it_does_for_the_networks_own_class():
    """The CRF of a chair that was filled as a sofa is the CRF of the chair, with another name."""
    random = np.random.default_rng(4)
    height, width = 60, 80
    rgb = random.integers(90, 110, (height, width, 3)).astype(np.uint8)
    rgb[15:45, 20:60] = random.integers(170, 190, (30, 40, 3))
    seen = np.zeros((height, width), np.uint8)
    seen[18:50, 20:66] = CHAIR  # the network's border is not the picture's
    planes = np.full((21, height, width), 0.2 / 19, np.float32)
    planes[SOFA] = 0.0  # so that the two runs differ in nothing but the name
    np.put_along_axis(planes, seen[None].astype(np.int64), 0.8, axis=0)
    document = Document(seen.copy(), CATALOG, np.full(seen.shape, Provenance.MODEL, np.uint8), seen)
    document.apply(fill_patch(document, 40, 30, SOFA))
    renamed = renamed_classes(document)
    assert renamed is not None
    source, ids = in_window_ids(ProbabilitySource.of(planes), tuple(range(21)), np.array([SOFA]))
    crf, lut = DenseCRF(rgb, preset("v1")), ids.astype(np.uint8)
    plain = crf.marginals(source).labels(lut)
    named = crf.marginals(renamed_source(source, ids, renamed.source, renamed.target, 255)).labels(lut)
    assert (plain == CHAIR).any()
    assert not np.array_equal(plain == CHAIR, seen == CHAIR)
    assert not (named == CHAIR).any()
    np.testing.assert_array_equal(named == SOFA, plain == CHAIR)
    document.apply(taking_patch(document, Box.whole(seen.shape), named))
    np.testing.assert_array_equal(document.labels, named)


# -- on disk ----------------------------------------------------------------------------------------------------


def test_patches_and_mask_files_carry_it(tmp_path):
    document = reclassified()
    patch = fill_patch(document, 30, 20, PERSON)
    assert patch.gives(Provenance.RECLASSIFIED)
    assert not patch.gives(Provenance.USER)
    document.apply(TilePatch.from_bytes(patch.to_bytes()))
    write_mask_file(tmp_path / "mask.png", document.labels, document.provenance, CATALOG, MaskNote(1))
    read = read_mask_file(tmp_path / "mask.png", CATALOG)
    np.testing.assert_array_equal(read.provenance, document.provenance)
    np.testing.assert_array_equal(read.labels, document.labels)


def version(project: Project) -> int:
    with sqlite3.connect(project.directory / "project.db") as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture
def folder(tmp_path):
    from PIL import Image

    (tmp_path / "images").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "images" / "a.png")
    return tmp_path / "images"


def test_only_a_project_with_such_a_region_is_closed_to_older_programs(folder, monkeypatch):
    with Project.open(folder, catalog=CATALOG) as project:
        image = project.images[0].id
        document = project.load(image).document
        painted = fill_patch(document, 5, 5, CHAIR, source=Provenance.USER)
        document.apply(painted)
        project.append_step(image, "Polygon", Provenance.USER, painted)
        assert version(project) == OPENED_AT
        document.apply(patch := fill_patch(Document(document.labels.copy(), CATALOG), 5, 5, SOFA))
        project.append_step(image, "Fill", Provenance.USER, patch)
        assert version(project) == WITH_RECLASSIFIED
    with Project.open(folder) as project:
        loaded = project.load(image)
        np.testing.assert_array_equal(loaded.document.provenance, document.provenance)
        assert [step.source for step in loaded.steps] == [Provenance.USER, Provenance.USER]
    # The answer of a program that knows only the first version.
    monkeypatch.setattr("app.state.store.MIGRATIONS", ("",) * OPENED_AT)
    with pytest.raises(ProjectError, match="newer version of Atrous"):
        Project.open(folder)


def test_a_mask_with_such_a_region_closes_a_database_that_does_not_know(folder):
    document = reclassified()
    with Project.open(folder, catalog=CATALOG) as project:
        image = project.images[0].id
        patch = fill_patch(Document.blank(document.shape, CATALOG), 1, 1, 3, source=Provenance.USER)
        project.append_step(image, "Polygon", Provenance.USER, patch)
        project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
        assert version(project) == OPENED_AT
        project.load(image)
        assert version(project) == WITH_RECLASSIFIED
