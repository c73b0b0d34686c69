"""Merged and deleted classes: labels follow when they are loaded, ground truth too, and the newest edit can be undone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.state.class_mapping import choose_classes, project_mapping
from app.state.ground_truth import GroundTruth
from app.state.patch import diff_patch
from app.state.project import ImageFlag, MaskRefused, Project
from app.state.provenance import Provenance
from app.state.samples import read_truth
from app.state.schema import WITH_CLASS_EDITS
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.catalogs.editing import (
    CatalogEdit,
    add_class,
    delete_class,
    joined,
    merge_classes,
    recolor_class,
    rename_class,
)
from deeplab_core.datasets import GroundTruthFiles
from deeplab_core.errors import CatalogError, ProjectError, ProjectLocked
from deeplab_core.geometry import Box
from deeplab_core.masks.png import write_indexed_png
from tests.unit.app.folders import image_id, make_folder, paint, stroke

CHAIR, SOFA, VOID = 9, 18, 255


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "photos", "a.png", "b.png", "c.png")


def labelled(project: Project, name: str = "a.png", *, save: bool = False) -> np.ndarray:
    """Paint chairs, sofas and more on an image; returns its labels."""
    image = image_id(project, name)
    document = project.load(image).document
    for seed, value in enumerate((CHAIR, SOFA, 15, CHAIR)):
        project.append_step(image, f"Brush {seed}", Provenance.USER, paint(document, seed, value))
    if save:
        project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
    return document.labels.copy()


def load(project: Project, name: str = "a.png") -> np.ndarray:
    return project.load(image_id(project, name)).document.labels


def merged(labels: np.ndarray, new: int = SOFA) -> np.ndarray:
    return np.where(labels == CHAIR, new, labels)


@pytest.mark.parametrize("save", [False, True])
@pytest.mark.parametrize("reopen", [False, True])
def test_pixels_of_a_merged_class_get_the_other_id(folder: Path, save: bool, reopen: bool) -> None:
    project = Project.open(folder)
    before = labelled(project, save=save)
    assert CHAIR in before
    project.edit_classes(merge_classes(project.catalog, [CHAIR], SOFA))
    if reopen:
        project.close()
        project = Project.open(folder)
    loaded = project.load(image_id(project, "a.png"))
    assert np.array_equal(loaded.document.labels, merged(before))
    assert loaded.document.catalog == project.catalog
    assert not loaded.saved
    assert loaded.steps == ()
    again = project.load(image_id(project, "a.png"))
    assert np.array_equal(again.document.labels, merged(before))
    assert again.move == loaded.move
    assert (again.document.provenance == Provenance.USER).sum() == (before != VOID).sum()
    project.close()


def test_pixels_of_a_deleted_class_become_void(folder: Path) -> None:
    with Project.open(folder) as project:
        before = labelled(project)
        project.edit_classes(delete_class(project.catalog, CHAIR))
        assert np.array_equal(load(project), merged(before, VOID))


def test_an_edit_that_moves_no_pixel_leaves_undo_steps(folder: Path) -> None:
    with Project.open(folder) as project:
        before = labelled(project)
        project.edit_classes(rename_class(project.catalog, CHAIR, "seat"))
        project.edit_classes(add_class(project.catalog, "lamp"))
        loaded = project.load(image_id(project, "a.png"))
        assert np.array_equal(loaded.document.labels, before)
        assert len(loaded.steps) == 4
        assert project._store.version < WITH_CLASS_EDITS


def test_the_id_of_a_class_that_is_gone_is_never_used_again(folder: Path) -> None:
    with Project.open(folder) as project:
        labelled(project)
        project.edit_classes(delete_class(project.catalog, CHAIR))
        free = add_class(project.catalog, "lamp", reserved=project.class_edits.retired(project.catalog))
        assert free.catalog.classes[-1].id == 21
        with pytest.raises(CatalogError, match="was used by a class that is gone"):
            project.edit_classes(add_class(project.catalog, "lamp"))


@pytest.mark.parametrize("followed", [False, True], ids=["not loaded between", "loaded between"])
def test_undo_restores_labels_provenance_and_steps_exactly(folder: Path, followed: bool) -> None:
    with Project.open(folder) as project:
        before = labelled(project)
        provenance = project.load(image_id(project, "a.png")).document.provenance.copy()
        catalog = project.catalog
        project.edit_classes(merge_classes(project.catalog, [CHAIR], SOFA))
        if followed:
            load(project)
        assert project.undo_class_edit().title == "Merge chair into sofa"
        assert project.catalog == catalog
        loaded = project.load(image_id(project, "a.png"))
        assert np.array_equal(loaded.document.labels, before)
        assert np.array_equal(loaded.document.provenance, provenance)
        assert [step.title for step in loaded.steps] == [f"Brush {seed}" for seed in range(4)]
        project.journal.undo(image_id(project, "a.png"), loaded.steps[-1].seq)
        with pytest.raises(CatalogError, match="no edit of the classes to undo"):
            project.undo_class_edit()


def test_undo_keeps_what_the_user_did_since(folder: Path) -> None:
    with Project.open(folder) as project:
        before = labelled(project)
        project.edit_classes(merge_classes(project.catalog, [CHAIR], SOFA))
        image = image_id(project, "a.png")
        document = project.load(image).document
        project.append_step(image, "Brush since", Provenance.USER, paint(document, 77, 15))
        since = document.labels.copy()
        project.undo_class_edit()
        loaded = project.load(image)
        expected = np.where((before == CHAIR) & (since == SOFA), CHAIR, since)
        assert np.array_equal(loaded.document.labels, expected)
        assert CHAIR in expected
        assert loaded.steps == ()
        assert np.array_equal(load(project), expected)


def test_only_the_newest_edit_can_be_undone(folder: Path) -> None:
    with Project.open(folder) as project:
        before = labelled(project)
        project.edit_classes(merge_classes(project.catalog, [CHAIR], SOFA))
        project.edit_classes(delete_class(project.catalog, SOFA))
        assert not np.isin(load(project), (CHAIR, SOFA)).any()
        project.undo_class_edit()
        assert np.array_equal(load(project), merged(before))
        with pytest.raises(CatalogError):
            project.undo_class_edit()
        project.edit_classes(merge_classes(project.catalog, [SOFA], 15))
        assert np.array_equal(load(project), np.where(merged(before) == SOFA, 15, before))


def test_a_read_only_project_shows_the_edit_and_writes_nothing(folder: Path) -> None:
    with Project.open(folder) as project:
        before = labelled(project)
        project.edit_classes(merge_classes(project.catalog, [CHAIR], SOFA))
    with Project.open(folder, read_only=True) as project:
        assert np.array_equal(load(project), merged(before))
        assert project.journal.head(image_id(project, "a.png")) == 4
        with pytest.raises(ProjectLocked):
            project.edit_classes(delete_class(project.catalog, SOFA))
    with Project.open(folder) as project:
        assert np.array_equal(load(project), merged(before))


def test_ground_truth_follows(folder: Path, tmp_path: Path) -> None:
    with Project.open(folder) as project:
        truth = np.zeros((90, 130), np.uint8)
        truth[:40], truth[40:60] = CHAIR, SOFA
        write_indexed_png(tmp_path / "a.png", truth, project.catalog)
        image = image_id(project, "a.png")
        project.ground_truth = GroundTruth(GroundTruthFiles(files={"a.png": tmp_path / "a.png"}))
        project.edit_classes(merge_classes(project.catalog, [CHAIR], SOFA))
        found = read_truth(project, image)
        assert found is not None
        assert np.array_equal(found, merged(truth))
        project.edit_classes(delete_class(project.catalog, SOFA))
        found = read_truth(project, image)
        assert found is not None
        assert np.array_equal(found, np.where(truth == 0, 0, VOID))
        project.undo_class_edit()
        found = read_truth(project, image)
        assert found is not None
        assert np.array_equal(found, merged(truth))


def test_older_programs_refuse_the_project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Project.open(folder) as project:
        labelled(project)
        project.edit_classes(merge_classes(project.catalog, [CHAIR], SOFA))
    monkeypatch.setattr("app.state.store.MIGRATIONS", ("",) * (WITH_CLASS_EDITS - 1))
    with pytest.raises(ProjectError, match="newer version"):
        Project.open(folder)


def test_an_image_that_is_started_again_or_taken_from_its_file_follows_again(folder: Path) -> None:
    with Project.open(folder) as project:
        before = labelled(project, save=True)
        image = image_id(project, "a.png")
        project.edit_classes(merge_classes(project.catalog, [CHAIR], SOFA))
        load(project)
        project.take_mask(image)  # the file is from before the edit
        assert np.array_equal(load(project), merged(before))
        project.undo_class_edit()
        assert np.array_equal(load(project), before)
        project.start_over(image)
        assert (load(project) == VOID).all()


def test_two_threads_that_load_an_image_give_the_same_labels_and_one_step(folder: Path) -> None:
    with Project.open(folder) as project:
        before = labelled(project)
        image = image_id(project, "a.png")
        for _ in range(4):
            project.edit_classes(merge_classes(project.catalog, [CHAIR], SOFA))
            head = project.journal.head(image)
            with ThreadPoolExecutor(4) as pool:
                found = list(pool.map(lambda _: load(project), range(8)))
            assert all(np.array_equal(labels, merged(before)) for labels in found)
            assert project.journal.head(image) == head + 1
            project.undo_class_edit()
            with ThreadPoolExecutor(4) as pool:
                found = list(pool.map(lambda _: load(project), range(8)))
            assert all(np.array_equal(labels, before) for labels in found)


def test_a_class_that_was_added_and_removed_in_one_edit_leaves_a_sound_project(folder: Path) -> None:
    with Project.open(folder) as project:
        before = labelled(project)
        added = add_class(project.catalog, "lamp")
        edits = [added, delete_class(added.catalog, 21), merge_classes(project.catalog, [CHAIR], SOFA)]
        project.edit_classes(joined(project.catalog, edits))
    with Project.open(folder) as project:
        assert not project.repairs
        assert np.array_equal(load(project), merged(before))


@pytest.mark.parametrize("save", [False, True])
def test_undo_keeps_an_added_class_that_has_pixels_and_drops_one_that_has_none(folder: Path, save: bool) -> None:
    with Project.open(folder) as project:
        labelled(project)
        image = image_id(project, "a.png")
        lamp = add_class(project.catalog, "lamp")
        vase = add_class(lamp.catalog, "vase")
        project.edit_classes(joined(project.catalog, [lamp, vase, merge_classes(vase.catalog, [CHAIR], SOFA)]))
        document = project.load(image).document
        project.append_step(image, "Brush", Provenance.USER, paint(document, 5, 21))
        if save:
            project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
        lamps = document.labels == 21
        assert lamps.any()
        project.undo_class_edit()
        assert project.catalog.names[-1] == "lamp"
        assert "vase" not in project.catalog.names
        assert np.array_equal(load(project) == 21, lamps)
    with Project.open(folder) as project:
        assert not project.repairs
        assert np.array_equal(load(project) == 21, lamps)
        with pytest.raises(CatalogError, match="was used by a class that is gone"):
            project.edit_classes(CatalogEdit("", add_class(project.catalog, "x", reserved={}).catalog))


def test_other_classes_never_bring_the_id_of_a_class_back_that_is_gone(folder: Path) -> None:
    with Project.open(folder) as project:
        labelled(project)
        whole = project.catalog
        project.edit_classes(delete_class(project.catalog, CHAIR))
        with pytest.raises(CatalogError, match="was used by a class that is gone"):
            project.set_catalog(whole)
        project.set_catalog(project.catalog.recolored(SOFA, (1, 2, 3)))


def test_classes_are_free_again_in_a_project_without_labels(folder: Path) -> None:
    with Project.open(folder) as project:
        whole = project.catalog
        project.edit_classes(delete_class(project.catalog, CHAIR))
        project.set_catalog(whole)
        before = labelled(project)
        assert CHAIR in before
        assert np.array_equal(load(project), before)


def test_undo_and_redo_never_bring_a_deleted_class_back(folder: Path) -> None:
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        document = project.load(image).document
        whole = np.ones(document.shape, dtype=bool)
        for title, value in (("Chairs", CHAIR), ("All person", 15)):
            before, sources = document.labels.copy(), document.provenance.copy()
            document.paint(Box.whole(document.shape), whole, value, Provenance.USER)
            patch = diff_patch(before, sources, document.labels, document.provenance)
            project.append_step(image, title, Provenance.USER, patch)
        project.append_step(image, "Sofa", Provenance.USER, paint(document, 3, SOFA))
        chairs = project.append_step(image, "Chairs again", Provenance.USER, paint(document, 4, CHAIR))
        project.journal.undo(image, chairs.seq)
        project.edit_classes(delete_class(project.catalog, CHAIR))
        assert [step.title for step in project.load(image).steps] == ["Sofa"]
        project.undo_class_edit()
        assert [step.title for step in project.load(image).steps] == ["Chairs", "All person", "Sofa", "Chairs again"]


def test_a_full_8_bit_catalog_stays_8_bit(folder: Path) -> None:
    rows = tuple(ClassInfo(number, f"class {number}", (number, 0, 0)) for number in range(254))
    with Project.open(folder, catalog=ClassCatalog("own", "Own", rows)) as project:
        before = labelled(project)
        project.edit_classes(delete_class(project.catalog, 0))
        fresh = add_class(project.catalog, "fresh", reserved=project.class_edits.retired(project.catalog))
        assert fresh.catalog.classes[-1].id == 254
        project.edit_classes(fresh)
        loaded = project.load(image_id(project, "a.png"))
        assert loaded.document.labels.dtype == np.uint8
        assert np.array_equal(loaded.document.labels, before)


def test_labels_of_another_time_lose_no_pixel_in_silence(folder: Path) -> None:
    with Project.open(folder) as project:
        before = labelled(project, save=True)
        image = image_id(project, "a.png")
        project.edit_classes(merge_classes(project.catalog, [CHAIR], SOFA))
        load(project)
        # the note records that the image has followed, but its labels are those of before
        known = project.class_edits.reading_catalog(project.catalog)
        loaded = project._masks.load(project.record(image), (90, 130), known)
        project._masks.save(project.record(image), before, loaded.document.provenance, loaded.move, known)
        assert np.array_equal(load(project), merged(before))


def test_what_ids_mean_is_part_of_every_stamp(folder: Path) -> None:
    with Project.open(folder) as project:
        labelled(project)
        stamps = [project.class_edits.stamp(project.catalog)]
        project.edit_classes(delete_class(project.catalog, CHAIR))
        stamps.append(project.class_edits.stamp(project.catalog))
        project.undo_class_edit()
        assert project.class_edits.stamp(project.catalog) == stamps[0]
        project.edit_classes(merge_classes(project.catalog, [CHAIR], SOFA))
        stamps.append(project.class_edits.stamp(project.catalog))
        assert len(set(stamps)) == 3


def test_choices_for_a_model_follow_a_merge(folder: Path) -> None:
    with Project.open(folder) as project:
        model = ClassCatalog("net", "Net", (ClassInfo(0, "foo", (0, 0, 0)), ClassInfo(1, "person", (1, 0, 0))))
        choose_classes(project, model, "0123456789ab", {0: CHAIR})
        project.edit_classes(merge_classes(project.catalog, [CHAIR], SOFA))
        mapping = project_mapping(project, model, "0123456789ab")
        assert not mapping.unmatched
        assert int(mapping.lut[0]) == SOFA


def test_undo_takes_colours_and_keys_back_that_were_not_changed_since(folder: Path) -> None:
    with Project.open(folder) as project:
        before = project.catalog
        project.edit_classes(recolor_class(project.catalog, CHAIR, (1, 2, 3)))
        project.undo_class_edit()
        assert project.catalog == before
        project.edit_classes(recolor_class(project.catalog, CHAIR, (1, 2, 3)))
        project.set_catalog(project.catalog.recolored(CHAIR, (4, 5, 6)))
        project.undo_class_edit()
        assert project.catalog.by_id(CHAIR).color == (4, 5, 6)


_KILLED = """
import os, sys
from app.state.project import Project
from deeplab_core.catalogs.editing import merge_classes
folder, point = sys.argv[1], int(sys.argv[2])
project = Project.open(folder)
calls = 0
def trace(statement):
    global calls
    calls += 1
    if calls == point:
        os.kill(os.getpid(), 9)
project._store._connection.set_trace_callback(trace)
project.edit_classes(merge_classes(project.catalog, [9], 18))
project.load(project.images[0].id)
project.undo_class_edit()
project.load(project.images[0].id)
print("done", calls, flush=True)
os._exit(0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills by a POSIX signal")
@pytest.mark.parametrize("point", [1, 4, 7, 12, 17, 22, 28, 34])
def test_a_kill_leaves_every_image_before_or_behind_the_edit(folder: Path, point: int) -> None:
    with Project.open(folder) as project:
        before = labelled(project)
    done = subprocess.run([sys.executable, "-c", _KILLED, str(folder), str(point)], capture_output=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    with Project.open(folder) as project:
        edits = project.class_edits.entries
        expected = merged(before) if edits and not edits[-1].undone else before
        assert np.array_equal(load(project), expected)
        assert (CHAIR in project.catalog.ids) == (not edits or edits[-1].undone)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["merge", "delete", "undo", "load a", "load b", "paint", "save", "reopen"]), max_size=14))
def test_any_history_of_edits_gives_the_same_labels(tmp_path_factory: pytest.TempPathFactory, history: list[str]) -> None:
    folder = make_folder(tmp_path_factory.mktemp("edits") / "photos", "a.png", "b.png")
    project = Project.open(folder)
    # What every image should hold, by a simple model: original labels, and the edits since each of their pixels was set.
    truth = {name: labelled(project, name) for name in ("a.png", "b.png")}
    undone: dict[str, np.ndarray] | None = None
    spare = [15, SOFA, CHAIR]
    for number, verb in enumerate(history):
        if verb in ("merge", "delete"):
            gone = next((value for value in (CHAIR, SOFA) if value in project.catalog.ids), None)
            if gone is None:
                continue
            undone = {name: labels.copy() for name, labels in truth.items()}
            edit = delete_class(project.catalog, gone) if verb == "delete" else merge_classes(project.catalog, [gone], 15)
            project.edit_classes(edit)
            truth = {name: np.where(labels == gone, VOID if verb == "delete" else 15, labels) for name, labels in truth.items()}
        elif verb == "undo" and undone is not None:
            project.undo_class_edit()
            truth, undone = undone, None
        elif verb == "paint":
            undone = None if undone is None else undone
            value = next(value for value in spare if value in project.catalog.ids)
            if undone is not None:
                continue  # what undo makes of later strokes has a test of its own
            image = image_id(project, "a.png")
            document = project.load(image).document
            project.append_step(image, "Brush", Provenance.USER, paint(document, 100 + number, value))
            truth["a.png"] = document.labels.copy()
        elif verb == "save":
            image = image_id(project, "a.png")
            loaded = project.load(image)
            project.save_mask(image, loaded.document.labels, loaded.document.provenance, loaded.move)
        elif verb == "reopen":
            project.close()
            project = Project.open(folder)
        elif verb.startswith("load"):
            name = f"{verb[-1]}.png"
            assert np.array_equal(load(project, name), truth[name])
    for name, labels in truth.items():
        assert np.array_equal(load(project, name), labels)
    project.close()


@pytest.mark.parametrize(
    "value", ['"x"', "[1]", '[{"number": 1}]', '[{"number": 2, "title": "", "before": {}, "moved": {}, "undone": false}]']
)
def test_edits_of_a_stranger_are_damage_not_a_crash(folder: Path, value: str) -> None:
    with Project.open(folder) as project:
        before = labelled(project)
        project._store.write("INSERT INTO meta (key, value) VALUES ('class edits', ?)", (value,))
    with Project.open(folder) as project:
        assert project.repairs
        assert np.array_equal(load(project), before)


def test_widths_of_masks_do_not_change_under_labels(folder: Path) -> None:
    with Project.open(folder) as project:
        stroke(project, image_id(project, "a.png"), project.load(image_id(project, "a.png")).document, 1)
        wide = add_class(project.catalog, "far").catalog
        rows = (*wide.classes[:-1], wide.classes[-1].__class__(300, "far", (1, 2, 3)))
        edit = add_class(project.catalog, "far")
        with pytest.raises(CatalogError, match="number of bits"):
            project.edit_classes(edit.__class__(edit.title, wide.__class__("own", "Own", rows, file_ignore=65535)))
        assert project.catalog.name == "voc21"


@pytest.mark.parametrize("verb", ["start_over", "take_mask"])
def test_an_image_and_what_it_has_followed_are_given_up_together(
    folder: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Project.open(folder) as project:
        labelled(project, save=True)
        image = image_id(project, "a.png")
        project.edit_classes(merge_classes(project.catalog, [CHAIR], SOFA))
        followed = load(project)
        steps = len(project.load(image).steps)

        def killed(_image: int) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(project.class_edits, "forget", killed)
        with pytest.raises(KeyboardInterrupt):
            getattr(project, verb)(image)
        monkeypatch.undo()
        assert np.array_equal(load(project), followed)
        assert len(project.load(image).steps) == steps


def _with_lamps(folder: Path, *, save: bool = True) -> tuple[np.ndarray, bytes]:
    """Add a class, label an image with it, and return the labels and the database of before."""
    with Project.open(folder) as project:
        labelled(project, "b.png", save=True)
    database = folder / ".atrous/project.db"
    older = database.read_bytes()
    with Project.open(folder) as project:
        project.edit_classes(add_class(project.catalog, "lamp", color=(1, 2, 3)))
        image, lamp = image_id(project, "a.png"), project.catalog.classes[-1].id
        document = project.load(image).document
        project.append_step(image, "Brush", Provenance.USER, paint(document, 3, lamp))
        if save:
            project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
        return document.labels.copy(), older


def test_a_database_that_is_older_than_a_class_learns_it_from_the_masks(folder: Path) -> None:
    labels, older = _with_lamps(folder)
    (folder / ".atrous/project.db").write_bytes(older)
    for extra in (folder / ".atrous").glob("project.db-*"):
        extra.unlink()
    with Project.open(folder) as project:
        assert project.catalog.names[-1] == "lamp"
        assert project.catalog.classes[-1].color == (1, 2, 3)
        assert np.array_equal(load(project), labels)
        assert not project.record(image_id(project, "a.png")).flags & ImageFlag.DAMAGED


def test_a_mask_with_classes_that_the_database_lacks_is_no_damage(folder: Path) -> None:
    labels, _ = _with_lamps(folder)
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        catalog = replace(project.catalog, classes=project.catalog.classes[:-1])
        project._store.write("UPDATE meta SET value = ? WHERE key = 'catalog'", (json.dumps(catalog.to_dict()),))
        project._store.write("DELETE FROM meta WHERE key = 'class edits'")
    with Project.open(folder) as project:
        assert "lamp" not in project.catalog.names
        with pytest.raises(MaskRefused, match="does not know: lamp"):
            project.load(image)
        assert not project.record(image).flags & ImageFlag.DAMAGED
        assert list((folder / ".atrous/masks").glob("*damaged*")) == []
        project.take_mask(image)
        assert project.catalog.names[-1] == "lamp"
        assert np.array_equal(load(project), labels)


def test_classes_of_one_s_own_survive_the_loss_of_the_database(folder: Path) -> None:
    labels, _ = _with_lamps(folder)
    for path in (folder / ".atrous").glob("project.db*"):
        path.unlink()
    with Project.open(folder) as project:
        assert project.catalog.names[-1] == "lamp"
        assert np.array_equal(load(project), labels)
