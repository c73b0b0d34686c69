"""Pixels of a locked class keep it: every writer is tried, and every place that makes a change is known."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import app
from app.state.document import Document
from app.state.edits import StrokeSession, fill_patch, polygon_patch
from app.state.edits.proposal import job_patch, proposal_patch
from app.state.edits.region import region_patch
from app.state.edits.whole_mask import whole_patch
from app.state.label_import import store_labels
from app.state.locks import Locks, held, known_ids
from app.state.patch import TilePatch
from app.state.project import Project
from app.state.provenance import Provenance, merge_labels, merge_patch
from app.state.refinement import composed, taking_patch, would_take
from deeplab_core.catalogs import get_catalog
from deeplab_core.catalogs.editing import delete_class, merge_classes
from deeplab_core.correction import ComponentJob, Proposal
from deeplab_core.errors import AtrousError, CatalogError, ProjectLocked
from deeplab_core.geometry import Box
from tests.unit.app.folders import image_id, make_folder, paint

VOC = get_catalog("voc21")
CHAIR, SOFA, CAT = 9, 18, 8
SHAPE = (70, 90)
LOCKED = frozenset({CHAIR, SOFA})


def noise(seed: int, values: tuple[int, ...] = (0, CHAIR, SOFA, CAT, 255)) -> np.ndarray:
    """Labels in blocks of 5 px, so that there are regions."""
    rng = np.random.default_rng(seed)
    small = rng.choice(values, size=(SHAPE[0] // 5, SHAPE[1] // 5)).astype(np.uint8)
    return np.ascontiguousarray(np.kron(small, np.ones((5, 5), np.uint8)))


def document(seed: int, locked: frozenset[int] = LOCKED) -> Document:
    rng = np.random.default_rng(seed + 1000)
    provenance = rng.choice([0, 1, 2, 3, 4, 5], size=SHAPE).astype(np.uint8)
    made = Document(noise(seed), VOC, provenance, reference=noise(seed + 1))
    made.locks = Locks(locked)
    return made


Writer = Callable[[Document, int], object]


def _stroke(value: int | None) -> Writer:
    def write(made: Document, seed: int) -> object:
        stroke = StrokeSession(made, value=value, diameter=1 if seed % 3 == 0 else 23)
        stroke.begin(10, 20)
        stroke.extend([(60, 50), (80, 5)])
        return stroke.commit()

    return write


def _patch(make: Callable[[Document, int], TilePatch]) -> Writer:
    return lambda made, seed: made.apply(make(made, seed))


def _fill(made: Document, seed: int) -> TilePatch:
    column, row = seed * 7 % SHAPE[1], seed * 5 % SHAPE[0]
    if int(made.labels[row, column]) in made.locked:
        return TilePatch(made.shape, 1, (), 0)
    return fill_patch(made, column, row, CAT)


WRITERS: dict[str, Writer] = {
    "brush": _stroke(CAT),
    "eraser": _stroke(0),
    "restore brush": _stroke(None),
    "fill": _patch(_fill),
    "polygon": _patch(lambda made, _: polygon_patch(made, [(3, 3), (80, 10), (40, 65)], CAT)),
    "region": _patch(lambda made, _: region_patch(made, Box.whole(SHAPE), np.ones(SHAPE, bool), CAT)),
    "prediction": _patch(
        lambda made, seed: merge_labels(made.labels, made.provenance, noise(seed + 2), Provenance.MODEL, locked=made.locked).patch
    ),
    "prediction in strips": _patch(
        lambda made, seed: merge_patch(made.labels, made.provenance, noise(seed + 2), Provenance.MODEL, made.locked)
    ),
    "CRF": _patch(lambda made, seed: taking_patch(made, Box.whole(SHAPE), noise(seed + 3))),
    "CRF in a box": _patch(lambda made, seed: taking_patch(made, Box(7, 9, 40, 33), noise(seed + 3)[9:42, 7:47])),
    "import": _patch(lambda made, seed: whole_patch(made, noise(seed + 4))),
    "correction tool": _patch(lambda made, _: proposal_patch(made, Proposal(np.ones(SHAPE, bool), CAT, Provenance.RECLASSIFIED))),
    "component job": _patch(lambda made, _: job_patch(made, ComponentJob("grow", 3, CAT))[0]),
}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), locked=st.sets(st.sampled_from([CHAIR, SOFA, 255, 20])))
@pytest.mark.parametrize("name", WRITERS)
def test_no_writer_gives_or_takes_a_locked_class(name: str, seed: int, locked: set[int]) -> None:
    made, free = document(seed, frozenset(locked)), document(seed, frozenset())
    before, sources = made.labels.copy(), made.provenance.copy()
    WRITERS[name](made, seed)
    WRITERS[name](free, seed)
    for value in locked:
        assert np.array_equal(made.labels == value, before == value)
    kept = np.isin(before, sorted(locked))
    assert np.array_equal(made.provenance[kept], sources[kept])
    # What no lock concerns is written as without locks. (Outlines of reclassified regions depend on their surroundings.)
    if "CRF" not in name and not locked.intersection({255}):
        others = ~held(before, free.labels, frozenset(locked)) & ~kept
        assert name == "fill" or np.array_equal(made.labels[others], free.labels[others])


def test_each_writer_changes_something_without_a_lock() -> None:
    for name, write in WRITERS.items():
        made = document(3, frozenset())
        before = made.labels.copy()
        write(made, 3)
        assert not np.array_equal(made.labels, before), name


@pytest.mark.parametrize("make", [
    lambda made: StrokeSession(made, value=CHAIR, diameter=3),
    lambda made: polygon_patch(made, [(0, 0), (50, 0), (50, 50)], CHAIR),
    lambda made: fill_patch(made, 2, 2, CHAIR),
])  # fmt: skip
def test_painting_a_locked_class_says_why_not(make: Callable[[Document], object]) -> None:
    made = document(5)
    before = made.labels.copy()
    with pytest.raises(AtrousError, match="chair is locked"):
        make(made)
    assert np.array_equal(made.labels, before)


def test_a_preview_shows_what_would_be_taken() -> None:
    made = document(7)
    refined = noise(8)
    shown = composed(made.labels, made.provenance, refined, locked=made.locked)
    made.apply(taking_patch(made, Box.whole(SHAPE), refined))
    assert np.array_equal(made.labels, shown)
    assert not would_take(made, Box.whole(SHAPE), np.full(SHAPE, CHAIR, np.uint8))


# -- projects ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "photos", "a.png", "b.png")


def worked_on(folder: Path, *locked: int) -> None:
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        made = project.load(image).document
        for seed, value in enumerate((CHAIR, SOFA, CAT, CHAIR)):
            project.append_step(image, f"Brush {seed}", Provenance.USER, paint(made, seed, value))
        project.save_mask(image, made.labels, made.provenance, project.journal.head(image))
        project.lock_classes(locked)


def test_locks_are_kept_with_the_project_and_every_document_has_them(folder: Path) -> None:
    worked_on(folder, CHAIR)
    with Project.open(folder) as project:
        assert project.locked_classes == {CHAIR}
        first = project.load(image_id(project, "a.png")).document
        assert first.locked == {CHAIR}
        project.lock_classes([CAT])
        assert first.locked == {CAT}  # those in memory follow
        with pytest.raises(CatalogError):
            project.lock_classes([77])
        project.edit_classes(delete_class(project.catalog, CAT))
        assert project.locked_classes == frozenset()
    with Project.open(folder, read_only=True) as project, pytest.raises(ProjectLocked):
        project.lock_classes([CHAIR])


def test_an_import_keeps_locked_pixels_even_with_overwrite(folder: Path) -> None:
    worked_on(folder, CHAIR)
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        made = project.load(image).document
        before = made.labels.copy()
        labels = np.full_like(before, CAT)
        labels[:20] = CHAIR
        step = store_labels(project, image, labels, "Import", overwrite=True)
        after = project.load(image).document.labels
        assert np.array_equal(after == CHAIR, before == CHAIR)
        stays = held(before, labels, frozenset({CHAIR})) & (before != labels)
        assert step.locked == int(stays.sum())
        assert step.px.sum() == labels.size - step.locked
        assert step.px[made.catalog.index_of(CAT)] == ((labels == CAT) & (after == CAT)).sum()
        assert (after[20:][before[20:] != CHAIR] == CAT).all()


def test_undo_and_edits_of_the_classes_are_exempt(folder: Path) -> None:
    worked_on(folder, CHAIR, SOFA)
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        loaded = project.load(image)
        loaded.document.apply(loaded.steps[-1].patch.inverted())
        assert not np.array_equal(loaded.document.labels == CHAIR, project.load(image).document.labels == CHAIR)
        project.edit_classes(merge_classes(project.catalog, [CHAIR], SOFA))
        assert CHAIR not in project.load(image).document.labels
        project.undo_class_edit()
        assert CHAIR in project.load(image).document.labels


@pytest.mark.parametrize("value", ["x", [1.5], [None], {"9": 1}, ["9"]])
def test_a_damaged_setting_locks_nothing(value: object) -> None:
    assert known_ids(value, [9]) == frozenset()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), locked=st.sets(st.sampled_from([CHAIR, SOFA, 255, 20])), rows=st.sampled_from([64, 128]))
def test_a_merge_in_strips_is_the_whole_merge(seed: int, locked: set[int], rows: int) -> None:
    made, new = document(seed, frozenset(locked)), noise(seed + 2)
    made.provenance[5:40, 3:30] = Provenance.USER
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.state.provenance._STRIP", rows)
        strips = merge_patch(made.labels, made.provenance, new, Provenance.MODEL, made.locked)
    assert strips == merge_labels(made.labels, made.provenance, new, Provenance.MODEL, locked=made.locked).patch


#: Modules that make changes of labels, each of which asks :func:`held`, or is exempt.
KNOWN = {
    "state/patch.py",  # defines them
    "state/provenance.py",  # merge_labels
    "state/refinement.py",  # taking_patch, through may_change
    "state/edits/whole_mask.py",
    "state/edits/proposal.py", "state/edits/region.py", "state/edits/stroke.py", "state/document.py",
    "state/class_edits.py",  # exempt
}  # fmt: skip


def test_every_place_that_makes_a_change_is_known() -> None:
    root = Path(app.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        if "ui" in path.relative_to(root).parts:
            continue  # it paints widgets
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(getattr(node, "func", None), "id", "") or getattr(getattr(node, "func", None), "attr", "")
            direct = isinstance(node, ast.Call) and name in ("diff_patch", "patch_of_region")
            painting = isinstance(node, ast.Call) and name == "paint" and len(node.args) == 4
            if direct or painting:
                found.add(path.relative_to(root).as_posix())
    assert found <= KNOWN
    for path in root.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        merges = text.count("merge_labels(") + text.count("merge_patch(")
        if merges and path.name != "provenance.py":
            assert merges == text.count("locked=document.locked"), path
