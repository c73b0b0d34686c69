"""Opening, closing and reopening a project: files that moved, other windows, other disks, damage."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from app.state import record_list
from app.state.folder_scan import ScanReport
from app.state.image_record import ImageFlag, ImageStatus
from app.state.lock import ProjectLock
from app.state.project import Project
from app.state.provenance import Provenance
from app.state.record_list import RecordList
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import CatalogError, ImageReadError, ProjectError, ProjectLocked, StorageError
from tests.unit.app.folders import SHAPE, image_id, make_folder, make_image, same, stroke


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "photos", "a.png", "b.png", "deep/er/c.png")


def work_on(folder, path, strokes=2, save=True, **kwargs):
    """Open, draw on one image, close; returns the document as it was left."""
    with Project.open(folder, **kwargs) as project:
        image = image_id(project, path)
        document = project.load(image).document
        for seed in range(strokes):
            stroke(project, image, document, seed)
        if save:
            project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
    return document


def paths(project):
    return [record.relative_path for record in project.images]


# -- opening -------------------------------------------------------------------------------------------------------------


def test_a_new_folder_becomes_a_project(folder):
    with Project.open(folder) as project:
        assert paths(project) == ["a.png", "b.png", "deep/er/c.png"]
        assert {record.status for record in project.images} == {ImageStatus.NEW}
        assert project.notices == ()
        assert project.report == ScanReport(added=3)
        assert not project.read_only
        assert project.catalog.name == "voc21"
        assert project.path_of(project.images[2]) == folder / "deep/er/c.png"
        assert (folder / ".atrous" / ".gitignore").read_text() == "*\n"
    assert sorted(path.name for path in folder.iterdir()) == [".atrous", "a.png", "b.png", "deep"]


def test_images_are_in_natural_order_and_found_by_id(tmp_path):
    with Project.open(make_folder(tmp_path, "img10.png", "img2.png", "img1.png")) as project:
        assert paths(project) == ["img1.png", "img2.png", "img10.png"]
        for place, record in enumerate(project.images):
            assert project.index_of(record.id) == place
            assert project.record(record.id) is record


def test_an_empty_folder_is_a_project_without_images(tmp_path):
    with Project.open(tmp_path) as project:
        assert list(project.images) == []


def test_a_folder_that_is_not_there_is_said_and_not_created(tmp_path):
    with pytest.raises(ImageReadError):
        Project.open(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_statuses_flags_and_settings_are_kept(folder):
    with Project.open(folder) as project:
        a, b = image_id(project, "a.png"), image_id(project, "b.png")
        told = []
        project.record_changed.connect(told.append)
        project.set_status(a, ImageStatus.REVIEWED)
        project.set_failed(b, "not an image")
        assert [record.id for record in told] == [a, b]
        project.set_setting("view", {"opacity": 0.5})
    with Project.open(folder) as project:
        assert project.record(a).status is ImageStatus.REVIEWED
        assert project.record(b).failed
        assert project.record(b).note == "not an image"
        assert not project.set_failed(b, "").failed
        assert project.setting("view") == {"opacity": 0.5}
        assert project.setting("absent", 7) == 7


def test_a_persons_step_touches_a_models_only_predicts_and_nothing_steps_back(folder):
    with Project.open(folder) as project:
        a = image_id(project, "a.png")
        document = project.load(a).document
        stroke(project, a, document, 1, Provenance.MODEL)
        assert project.record(a).status is ImageStatus.PREDICTED
        stroke(project, a, document, 2)
        assert project.record(a).touched
        project.set_status(a, ImageStatus.REVIEWED)
        stroke(project, a, document, 3)
        assert project.record(a).status is ImageStatus.REVIEWED


def test_looking_at_an_image_leaves_no_trace(folder):
    with Project.open(folder) as project:
        loaded = project.load(image_id(project, "a.png"))
        assert loaded.saved
        assert loaded.steps == ()
        assert (loaded.document.labels == 255).all()
        assert loaded.document.shape == SHAPE
    assert not (folder / ".atrous" / "masks").exists()


def test_a_mask_file_is_an_ordinary_png_with_the_palette(folder):
    from PIL import Image

    document = work_on(folder, "deep/er/c.png")
    with Image.open(folder / ".atrous/masks/deep/er/c.png.png") as picture:
        assert picture.mode == "P"
        assert np.array_equal(np.asarray(picture), document.labels)
        assert picture.getpalette()[:6] == [0, 0, 0, 128, 0, 0]


def test_masks_of_a_catalog_with_its_own_void_value_and_of_a_wide_one_come_back(tmp_path):
    from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo

    wide = ClassCatalog("wide", "Wide", tuple(ClassInfo(n * 3, f"class {n}", (n % 256, 0, 0)) for n in range(300)))
    for number, catalog in enumerate((get_catalog("camvid11"), get_catalog("ade20k150"), wide)):
        folder = make_folder(tmp_path / str(number), "a.png")
        with Project.open(folder, catalog=catalog) as project:
            image = project.images[0].id
            document = project.load(image).document
            document.labels[:] = np.random.default_rng(0).choice([*catalog.ids, catalog.ignore], size=SHAPE)
            document.provenance[:] = np.random.default_rng(1).integers(0, 5, size=SHAPE)
            project.save_mask(image, document.labels, document.provenance, 0)
        with Project.open(folder) as project:
            assert project.catalog == catalog
            assert same(project.load(image).document, document)


# -- the catalog ---------------------------------------------------------------------------------------------------------


def test_colours_may_change_but_no_class_of_labelled_images_may_vanish(folder):
    with Project.open(folder) as project:
        project.set_catalog(get_catalog("camvid11"))
        project.set_catalog(get_catalog("voc21"))
    document = work_on(folder, "a.png")
    with Project.open(folder) as project:
        project.set_catalog(project.catalog.recolored(9, (1, 2, 3)))
        with pytest.raises(CatalogError, match="--project"):
            project.set_catalog(get_catalog("camvid11"))
        assert project.catalog.by_id(9).color == (1, 2, 3)
    with Project.open(folder) as project:
        assert project.catalog.by_id(9).color == (1, 2, 3)
        assert same(project.load(image_id(project, "a.png")).document, document)


# -- files that moved ----------------------------------------------------------------------------------------------------


def test_new_and_forgotten_files(folder):
    Project.open(folder).close()
    (folder / "a.png").unlink()
    make_image(folder / "new.png", 9)
    with Project.open(folder) as project:
        assert paths(project) == ["b.png", "deep/er/c.png", "new.png"]
        assert (project.report.added, project.report.removed) == (1, 1)
        assert project.notices == ()


@pytest.mark.parametrize("touch", [False, True])
def test_work_follows_a_moved_image(folder, touch):
    document = work_on(folder, "a.png")
    (folder / "sub").mkdir()
    (folder / "a.png").rename(folder / "sub" / "z.png" if touch else folder / "sub" / "a.png")
    if touch:
        os.utime(folder / "sub" / "z.png", ns=(1, 1))
    with Project.open(folder) as project:
        new = "sub/z.png" if touch else "sub/a.png"
        assert project.report.moved == (("a.png", new),)
        assert "moved" in project.notices[0]
        loaded = project.load(image_id(project, new))
        assert same(loaded.document, document)
        assert len(loaded.steps) == 2
    with Project.open(folder) as project:
        assert project.notices == ()


def test_work_follows_images_that_swap_their_names(tmp_path):
    folder = tmp_path / "photos"
    make_image(folder / "a.png", 1, (90, 130))
    make_image(folder / "b.png", 2, (70, 50))
    one, other = work_on(folder, "a.png"), work_on(folder, "b.png")
    (folder / "a.png").rename(folder / "t")
    (folder / "b.png").rename(folder / "a.png")
    (folder / "t").rename(folder / "b.png")
    with Project.open(folder) as project:
        assert set(project.report.moved) == {("a.png", "b.png"), ("b.png", "a.png")}
        assert same(project.load(image_id(project, "b.png")).document, one)
        assert same(project.load(image_id(project, "a.png")).document, other)


def test_an_image_moved_onto_another_keeps_both_works(tmp_path):
    folder = tmp_path / "photos"
    make_image(folder / "a.png", 1, (90, 130))
    make_image(folder / "b.png", 2, (70, 50))
    one, _ = work_on(folder, "a.png"), work_on(folder, "b.png")
    (folder / "a.png").replace(folder / "b.png")
    with Project.open(folder) as project:
        assert project.report.moved == (("a.png", "b.png"),)
        assert same(project.load(image_id(project, "b.png")).document, one)
        (lost,) = [record for record in project.images if record.missing]
        assert lost.relative_path.startswith("b.png (replaced")
        assert (folder / ".atrous" / lost.mask).is_file()
    with Project.open(folder) as project:
        assert sum(record.missing for record in project.images) == 1


def test_work_on_a_missing_image_is_kept_until_it_returns(folder, tmp_path):
    document = work_on(folder, "a.png")
    (folder / "a.png").rename(tmp_path / "elsewhere.png")
    with Project.open(folder) as project:
        assert project.record(image_id(project, "a.png")).missing
        assert project.report.missing == ("a.png",)
        assert "is missing" in project.notices[0]
    (tmp_path / "elsewhere.png").rename(folder / "a.png")
    with Project.open(folder) as project:
        assert not project.record(image_id(project, "a.png")).missing
        assert same(project.load(image_id(project, "a.png")).document, document)


def test_an_image_of_other_size_in_bytes_is_noticed_at_once(folder):
    work_on(folder, "a.png")
    make_image(folder / "a.png", 5, (90, 131))
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        assert project.report.changed == ("a.png",)
        assert project.record(image).changed
        with pytest.raises(ProjectError, match=r"130 x 90.*131 x 90"):
            project.load(image)
        assert not project.accept_change(image).changed
        project.start_over(image)
        assert project.load(image).document.shape == (90, 131)
    assert list((folder / ".atrous/masks").glob("a.png.png.damaged-*"))


def test_an_image_of_other_content_is_noticed_when_it_is_opened(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    raw = b"P5\n130 90\n255\n"
    (folder / "a.pgm").write_bytes(raw + bytes(130 * 90))
    document = work_on(folder, "a.pgm")
    (folder / "a.pgm").write_bytes(raw + bytes([1]) * 130 * 90)
    with Project.open(folder) as project:
        image = image_id(project, "a.pgm")
        assert not project.record(image).changed
        assert same(project.load(image).document, document)
        assert project.record(image).changed


def test_copied_folders_with_new_times_are_not_called_changed(folder, tmp_path):
    document = work_on(folder, "a.png")
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    with Project.open(tmp_path / "copy") as project:
        image = image_id(project, "a.png")
        assert project.notices == ()
        assert same(project.load(image).document, document)
        assert not project.record(image).changed


def test_rescan_finds_new_files(folder):
    with Project.open(folder) as project:
        make_image(folder / "new.png", 7)
        assert project.rescan().added == 1
        assert "new.png" in paths(project)


@pytest.mark.parametrize("apart", [2000, 0], ids=["one by one", "all again"])
def test_after_each_rescan_the_records_are_those_of_the_database(folder, monkeypatch, apart):
    monkeypatch.setattr(record_list, "_MOST_APART", apart)
    random = np.random.default_rng(5)
    names = [f"{place}img{number}.png" for place in ("", "deep/", "deep/a1/") for number in (1, 2, 10, 30)]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        make_image(folder / name, int(random.integers(99)))
    work_on(folder, "a.png")
    with Project.open(folder) as project:
        for step in range(12):
            chosen = folder / str(random.choice([*names, "a.png"]))
            if not chosen.exists():
                make_image(chosen, step)
            elif step % 3 == 0:
                chosen.unlink()
            elif step % 3 == 1:
                chosen.rename(chosen.with_name(f"moved{step}.png"))
            else:
                make_image(chosen, step, (40 + step, 50))
            before = {record.id: record for record in project.images}
            report = project.rescan()
            assert list(project.images) == RecordList(project._store).all
            assert [project.index_of(record.id) for record in project.images] == list(range(len(project.images)))
            assert len(project.images) - len(before) == report.added - report.removed


# -- one writer ----------------------------------------------------------------------------------------------------------


def test_a_second_window_is_read_only_and_says_why(folder):
    with Project.open(folder) as first:
        image = image_id(first, "a.png")
        document = first.load(image).document
        stroke(first, image, document, 1)
        with Project.open(folder) as second:
            assert str(os.getpid()) in second.read_only_reason
            assert "this computer" in second.read_only_reason
            assert same(second.load(image).document, document)
            for write in (
                lambda: second.set_status(image, ImageStatus.REVIEWED),
                lambda: stroke(second, image, document, 2),
                lambda: second.save_mask(image, document.labels, document.provenance, 1),
                lambda: second.set_setting("view", 1),
                lambda: second.start_over(image),
            ):
                with pytest.raises(ProjectLocked, match="nother window"):
                    write()
    with Project.open(folder) as third:
        assert not third.read_only


def test_a_killed_process_frees_its_lock(folder):
    script = (
        "import sys, time\nfrom app.state.project import Project\n"
        f"p = Project.open({str(folder)!r})\nprint('open', flush=True)\ntime.sleep(3600)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "open\n"
        with Project.open(folder) as project:
            assert f"Process {child.pid}" in project.read_only_reason
    finally:
        child.kill()
        child.communicate()
    with Project.open(folder) as project:
        assert not project.read_only


def test_a_lock_file_left_by_a_dead_process_does_not_count(tmp_path):
    (tmp_path / "lock").write_text(json.dumps({"pid": 1, "host": "elsewhere", "since": 0}))
    lock = ProjectLock(tmp_path / "lock")
    lock.acquire()
    assert lock.held
    assert lock.holder().pid == os.getpid()
    lock.release()
    assert not lock.held
    (tmp_path / "lock").write_text("nonsense")
    assert lock.holder().text() == "Another process holds it"


# -- read-only places ----------------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_hold_a_project_says_what_to_do(folder, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="--project DIR"):
        Project.open(folder, tmp_path / "file" / "project")
    assert not (folder / ".atrous").exists()


AS_NOBODY = """
import os, sys
import ctypes, deeplab_core.catalogs, deeplab_core.masks, deeplab_core.images, PIL.PngImagePlugin
from app.state.project import Project
from deeplab_core.errors import StorageError
deeplab_core.catalogs.get_catalog("voc21")
os.setgid(65534); os.setuid(65534)
folder, elsewhere = sys.argv[1:]
try:
    with Project.open(folder) as project:
        print("read-only:", project.read_only_reason, len(project.images))
        print("labels:", (project.load(project.images[0].id).document.labels != 255).sum())
except StorageError as error:
    print("refused:", error)
    with Project.open(folder, elsewhere) as project:
        print("elsewhere:", project.read_only, len(project.images))
"""


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs to become another user")
def test_a_read_only_folder():
    # Not below pytest's own temporary folder, which no other user may enter.
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o755)
        _as_another_user(make_folder(Path(root) / "photos", "a.png", "b.png", "c.png"), Path(root) / "elsewhere")


def _as_another_user(folder, elsewhere):
    elsewhere.mkdir()
    elsewhere.chmod(0o777)

    def run():
        command = [sys.executable, "-c", AS_NOBODY, str(folder), str(elsewhere / "project")]
        return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)

    first = run()
    assert "--project DIR" in first.stdout, first.stderr
    assert "elsewhere: False 3" in first.stdout
    document = work_on(folder, "a.png")
    assert f"labels: {np.count_nonzero(document.labels != 255)}" in (second := run()).stdout, second
    assert "read-only: The project cannot be written here" in second.stdout


def test_a_project_elsewhere_leaves_the_folder_alone_and_belongs_to_it(folder, tmp_path):
    document = work_on(folder, "a.png", project_dir=tmp_path / "project")
    assert not (folder / ".atrous").exists()
    other = make_folder(tmp_path / "other", "x.png")
    with pytest.raises(ProjectError, match="another folder"):
        Project.open(other, tmp_path / "project")
    folder.rename(tmp_path / "renamed")
    with Project.open(tmp_path / "renamed", tmp_path / "project") as project:
        assert same(project.load(image_id(project, "a.png")).document, document)


def test_reading_a_folder_that_was_never_opened_creates_nothing(folder):
    with pytest.raises(ProjectError, match="no project here yet"):
        Project.open(folder, read_only=True)
    assert not (folder / ".atrous").exists()


# -- damage --------------------------------------------------------------------------------------------------------------


def test_a_missing_database_beside_masks_is_named_when_the_project_is_only_read(tmp_path):
    folder = make_folder(tmp_path / "photos", "a.png")
    with Project.open(folder) as project:
        image = project.images[0].id
        document = project.load(image).document
        stroke(project, image, document, 1)
        project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
    for path in (folder / ".atrous").glob("project.db*"):
        path.unlink()
    with pytest.raises(ProjectError, match="saved masks are there") as caught:
        Project.open(folder, read_only=True)
    assert "taken up again" in caught.value.remedy


def damage(path, place=None):
    data = bytearray(path.read_bytes())
    place = len(data) // 2 if place is None else place
    data[place : place + 64] = bytes(64)
    path.write_bytes(data)


def test_a_newer_projects_data_is_not_touched(folder):
    work_on(folder, "a.png")
    database = folder / ".atrous/project.db"
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = database.read_bytes()
    with pytest.raises(ProjectError, match="newer version"):
        Project.open(folder)
    assert database.read_bytes() == before


def test_a_foreign_database_is_refused(folder):
    (folder / ".atrous").mkdir()
    connection = sqlite3.connect(folder / ".atrous/project.db")
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    with pytest.raises(ProjectError, match="not a project of Atrous"):
        Project.open(folder)


@pytest.mark.parametrize("how", ["emptied", "cut", "overwritten", "deleted"])
def test_a_lost_database_is_set_aside_and_the_masks_are_taken_up_again(folder, how):
    document = work_on(folder, "a.png")
    database = folder / ".atrous/project.db"
    if how == "deleted":
        database.unlink()
    else:
        content = database.read_bytes()
        broken = {"emptied": b"garbage" * 99, "cut": content[: len(content) // 3], "overwritten": bytes(4096) + content[4096:]}
        database.write_bytes(broken[how])
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        assert any("taken up again" in notice for notice in project.notices)
        assert same(project.load(image).document, document)
        assert project.record(image).touched
        kept = stroke(project, image, document, 50)
        assert [step.seq for step in project.load(image).steps] == [kept]
        assert same(project.load(image).document, document)
    assert bool(list((folder / ".atrous").glob("project.db.damaged-*"))) == (how != "deleted")
    with Project.open(folder) as project:
        assert same(project.load(image).document, document)
        assert project.notices == ()


def test_what_can_be_read_of_a_damaged_database_is_saved(folder):
    """Damage beside the journal (here: an index) costs none of the strokes that only the journal holds."""
    document = work_on(folder, "a.png", strokes=3, save=False)
    database = folder / ".atrous/project.db"
    connection = sqlite3.connect(database)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'steps_of_image'").fetchone()
    connection.close()
    damage(database, (root - 1) * 4096)
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        assert any("nothing is lost" in notice for notice in project.notices), project.notices
        loaded = project.load(image)
        assert same(loaded.document, document)
        assert len(loaded.steps) == 3


@pytest.mark.parametrize("how", ["middle", "cut", "deleted", "edited elsewhere"])
def test_a_damaged_mask_is_set_aside_and_rebuilt_from_the_journal(folder, how):
    document = work_on(folder, "a.png")
    mask = folder / ".atrous/masks/a.png.png"
    if how == "middle":
        damage(mask)
    elif how == "cut":
        mask.write_bytes(mask.read_bytes()[:-30])
    elif how == "deleted":
        mask.unlink()
    else:
        from PIL import Image

        picture = Image.open(mask)
        picture.load()
        picture.save(mask)
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        loaded = project.load(image)
        assert same(loaded.document, document)
        assert "rebuilt" in loaded.notice
        assert not loaded.saved
        assert ImageFlag.DAMAGED in project.record(image).flags
        project.save_mask(image, document.labels, document.provenance, loaded.move)
        assert ImageFlag.DAMAGED not in project.record(image).flags
        assert project.load(image).saved
    assert len(list((folder / ".atrous/masks").glob("a.png.png.damaged-*"))) == (how != "deleted")


def test_a_damaged_mask_beyond_the_journal_is_said_and_kept_and_the_rest_opens(folder):
    work_on(folder, "a.png")
    other = work_on(folder, "b.png")
    with Project.open(folder) as project:
        assert project.journal.prune(0) == 4
    damage(folder / ".atrous/masks/a.png.png")
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        for _ in range(2):
            with pytest.raises(ProjectError, match="Start this image over"):
                project.load(image)
        assert same(project.load(image_id(project, "b.png")).document, other)
        project.start_over(image)
        document = project.load(image).document
        stroke(project, image, document, 5)
        assert same(project.load(image).document, document)
    assert len(list((folder / ".atrous/masks").glob("a.png.png.damaged-*"))) == 1


def test_a_mask_that_outlived_the_journals_end_in_a_power_cut_is_what_counts(folder):
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        document = project.load(image).document
        stroke(project, image, document, 1)
        project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
        shutil.copytree(folder / ".atrous", folder / ".before")
        stroke(project, image, document, 2)
        project.save_mask(image, document.labels, document.provenance, project.journal.head(image))
        mask = (folder / ".atrous/masks/a.png.png").read_bytes()
    shutil.rmtree(folder / ".atrous")
    (folder / ".before").rename(folder / ".atrous")
    (folder / ".atrous/masks/a.png.png").write_bytes(mask)
    with Project.open(folder) as project:
        loaded = project.load(image)
        assert same(loaded.document, document)
        assert "power cut" in loaded.notice
        stroke(project, image, document, 3)
        assert same(project.load(image).document, document)
        assert len(project.load(image).steps) == 1


def test_two_images_never_share_a_mask_file(folder):
    one = work_on(folder, "a.png")
    (folder / "a.png").rename(folder / "moved.png")
    make_image(folder / "a.png", 77)
    other = work_on(folder, "a.png", strokes=3)
    with Project.open(folder) as project:
        assert same(project.load(image_id(project, "moved.png")).document, one)
        assert same(project.load(image_id(project, "a.png")).document, other)
        assert len({record.mask for record in project.images if record.mask}) == 2


def test_results_are_kept_with_what_they_were_computed_from(folder):
    with Project.open(folder) as project:
        a = image_id(project, "a.png")
        project.put_result(a, "confusion", "move 3", b"old")
        project.put_result(a, "confusion", "move 4", b"new")
        project.put_result(a, "score", "x", b"1")
    with Project.open(folder) as project:
        assert project.results("confusion") == {a: ("move 4", b"new")}
        assert project.results("nothing") == {}
