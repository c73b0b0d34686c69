"""Mask files that are not what the database says: newer, older, another image's, outside the project.

Nothing is lost, and nothing is taken from elsewhere.
"""

import shutil

import numpy as np
import pytest

import app.state.saved_masks
from app.services.autosave import Autosaver
from app.state.image_record import ImageStatus
from app.state.mask_file import MaskNote, read_mask_file, read_note, write_mask_file
from app.state.project import MaskRefused, Project
from deeplab_core.errors import AtrousError, ProjectError
from tests.unit.app.folders import image_id, make_folder, make_image, paint, same, stroke


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "photos", "a.png", "b.png")


def work_on(folder, path, strokes=4, seed=0):
    """Strokes on an image, saved; its document."""
    with Project.open(folder) as project:
        image = image_id(project, path)
        document = project.load(image).document
        for number in range(strokes):
            stroke(project, image, document, seed + number)
        save(project, image, document)
    return document


def save(project, image, document):
    return project.save_mask(image, document.labels, document.provenance, project.journal.head(image))


def mask_of(folder, path):
    return folder / ".atrous/masks" / f"{path}.png"


def kept_labels(folder):
    """Labels of every mask file that was set aside."""
    files = sorted((folder / ".atrous/masks").glob("*.png.*-*"))
    with Project.open(folder, read_only=True) as project:
        return [read_mask_file(path, project.catalog).labels for path in files]


# -- a save never replaces what the database does not know -------------------------------------------------------------------


@pytest.mark.parametrize("strokes", [1, 4, 12])
def test_a_fresh_database_never_overwrites_an_older_mask(folder, strokes):
    """However many strokes the fresh journal counts: the mask in place is not its own."""
    document = work_on(folder, "a.png", 5)
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        connection = project._store._connection
        for table in ("moves", "steps", "images"):
            connection.execute(f"DELETE FROM {table}")
        connection.execute("DELETE FROM sqlite_sequence")
        project._records.read()
        project.rescan()  # opening it again would take the mask up again
        image = image_id(project, "a.png")
        blank = project.load(image).document
        for seed in range(strokes):
            stroke(project, image, blank, 100 + seed)
        notice = save(project, image, blank)
        assert "kept" in notice
        assert same(project.load(image).document, blank)
    (kept,) = kept_labels(folder)
    assert np.array_equal(kept, document.labels)


def test_a_mask_above_the_journals_head_is_set_aside_first(folder):
    work_on(folder, "a.png")
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        document = project.load(image).document
        other = np.full_like(document.labels, 7)
        write_mask_file(
            mask_of(folder, "a.png"), other, document.provenance, project.catalog,
            MaskNote(project.journal.head(image) + 40, "a.png", project.content_key(image)),
        )  # fmt: skip
        stroke(project, image, document, 50)
        assert "newer" in save(project, image, document)
        assert same(project.load(image).document, document)
        assert save(project, image, document) == "", "told once"
    (kept,) = kept_labels(folder)
    assert (kept == 7).all()


@pytest.mark.parametrize("how", ["another image's", "another program's", "older than the base", "a link"])
def test_a_file_that_was_put_in_the_masks_place_is_set_aside_first(folder, tmp_path, how):
    work_on(folder, "a.png")
    other = work_on(folder, "b.png", seed=30)
    mask = mask_of(folder, "a.png")
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        document = project.load(image).document
        outside = tmp_path / "thesis.png"
        if how == "another image's":
            shutil.copy(mask_of(folder, "b.png"), mask)
        elif how == "another program's":
            from PIL import Image

            Image.fromarray(other.labels).save(mask)
        elif how == "a link":
            outside.write_bytes(b"three years of work")
            mask.unlink()
            mask.symlink_to(outside)
        else:
            project.journal.prune(0)
            write_mask_file(mask, other.labels, other.provenance, project.catalog, MaskNote(1, "a.png"))
        before = mask.read_bytes()
        stroke(project, image, document, 50)
        notice = save(project, image, document)
        assert same(project.load(image).document, document)
        if how == "a link":
            assert outside.read_bytes() == b"three years of work"
            assert not (folder / ".atrous" / project.record(image).mask).is_symlink()
            return
        assert "kept" in notice
    (kept,) = (folder / ".atrous/masks").glob("a.png.png.*-*")
    assert kept.read_bytes() == before


def test_a_kill_between_the_mask_file_and_the_database_leaves_no_litter(folder, monkeypatch):
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        document = project.load(image).document
        stroke(project, image, document, 1)
        real = app.state.saved_masks.write_mask_file

        def killed(*args):
            real(*args)
            raise KeyboardInterrupt

        monkeypatch.setattr(app.state.saved_masks, "write_mask_file", killed)
        with pytest.raises(KeyboardInterrupt):
            save(project, image, document)
        monkeypatch.undo()
    with Project.open(folder) as project:
        loaded = project.load(image)
        assert (loaded.notice, loaded.saved) == ("", True)
        assert same(loaded.document, document)
        stroke(project, image, loaded.document, 2)
        assert save(project, image, loaded.document) == ""
    assert [path.name for path in (folder / ".atrous/masks").iterdir()] == ["a.png.png"]


def test_a_kill_before_the_first_mask_file_is_no_damage(folder, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        document = project.load(image).document
        stroke(project, image, document, 1)
        monkeypatch.setattr(app.state.saved_masks, "write_mask_file", killed)
        with pytest.raises(KeyboardInterrupt):
            save(project, image, document)
        monkeypatch.undo()
    with Project.open(folder) as project:
        loaded = project.load(image)
        assert (loaded.notice, loaded.saved) == ("", False)
        assert same(loaded.document, document)


def test_the_window_reports_what_was_kept_aside(folder, qtbot):
    work_on(folder, "a.png")
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        loaded = project.load(image)
        shutil.copy(mask_of(folder, "a.png"), folder / "copy")
        mask_of(folder, "a.png").write_bytes(b"something else")
        saver = Autosaver(project, idle_ms=60_000)
        saver.watch(image, loaded.document, saved=False)
        with qtbot.waitSignal(saver.noticed) as told:
            saver.save_now()
        assert told.args[0] == image
        assert "kept" in told.args[1]
        saver.stop()


# -- names of masks stay inside ----------------------------------------------------------------------------------------------

HOSTILE = ["../a.png", "../../thesis.txt", "/{tmp}/thesis.txt", "masks/../../a.png", "project.db", "lock", "masks/link/a.png"]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("saved", [True, False])
def test_a_row_that_names_a_file_elsewhere_reads_and_renames_nothing(folder, tmp_path, name, saved):
    """The photographs, the database, another file of the user: none is read as a mask, renamed or replaced."""
    document = work_on(folder, "a.png")
    (tmp_path / "thesis.txt").write_text("three years of work")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(mask_of(folder, "a.png"), elsewhere / "a.png")
    (folder / ".atrous/masks/link").symlink_to(elsewhere, target_is_directory=True)
    name = name.replace("/{tmp}", str(tmp_path))

    def files():
        roots = (folder, elsewhere, tmp_path)
        return {path: path.read_bytes() for root in roots for path in root.glob("*") if path.is_file()}

    before = files()
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        project._store.write("UPDATE images SET mask = ? WHERE id = ?", (name, image))
        if saved:
            loaded = project.load(image)
            assert same(loaded.document, document)
            assert "was not touched" in loaded.notice
        stroke(project, image, document, 60)
        save(project, image, document)
        assert project.record(image).mask.startswith("masks/a.png")
        assert same(project.load(image).document, document)
        project.start_over(image)
        project._store.write("UPDATE images SET mask = ? WHERE id = ?", (name, image))
        project.start_over(image)
    assert files() == before
    assert (folder / ".atrous/project.db").is_file()


def test_a_folder_of_masks_that_leads_elsewhere_is_not_written_to(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with Project.open(folder) as project:
        (folder / ".atrous/masks").symlink_to(elsewhere, target_is_directory=True)
        image = image_id(project, "a.png")
        document = project.load(image).document
        stroke(project, image, document, 1)
        with pytest.raises(AtrousError, match="link"):
            save(project, image, document)
        assert same(project.load(image).document, document)
    assert list(elsewhere.iterdir()) == []


def test_a_file_that_two_images_claim_is_never_taken_from_the_other(folder):
    work_on(folder, "a.png")
    other = work_on(folder, "b.png", seed=30)
    with Project.open(folder) as project:
        a, b = image_id(project, "a.png"), image_id(project, "b.png")
        project._store.write("UPDATE images SET mask = 'masks/b.png.png' WHERE id = ?", (a,))
        loaded = project.load(a)
        assert "that of b.png" in loaded.notice
        save(project, a, loaded.document)
        assert same(project.load(b).document, other)
        assert project.load(b).notice == ""


@pytest.mark.parametrize("length", [150, 230, 245, 251])
def test_an_image_with_a_very_long_name_is_saved_and_set_aside_like_any_other(tmp_path, length):
    name = "ä" * 20 + "x" * (length - 44) + ".png"
    folder = make_folder(tmp_path / "photos", name, "y" * (length - 4) + ".png", "y" * (length - 5) + "z.png")
    with Project.open(folder) as project:
        documents = []
        for seed, record in enumerate(project.images):
            document = project.load(record.id).document
            stroke(project, record.id, document, seed)
            save(project, record.id, document)
            documents.append(document)
        assert len({record.mask for record in project.images}) == 3
        for record, document in zip(project.images, documents, strict=True):
            assert same(project.load(record.id).document, document)
            assert project.load(record.id).saved
        (folder / ".atrous" / project.images[0].mask).write_bytes(b"")
        assert same(project.load(project.images[0].id).document, documents[0])


# -- a mask of another state or of another image -----------------------------------------------------------------------------


def old_and_new(folder):
    """An image; its journal was bounded after its mask was saved twice: (bytes of the older mask, labels of the newer)."""
    work_on(folder, "a.png")
    old = mask_of(folder, "a.png").read_bytes()
    document = work_on(folder, "a.png", seed=20)
    with Project.open(folder) as project:
        assert project.journal.prune(0) == 8
    return old, document


def test_a_mask_older_than_the_journals_base_is_refused_and_kept(folder):
    old, document = old_and_new(folder)
    new = mask_of(folder, "a.png").read_bytes()
    mask_of(folder, "a.png").write_bytes(old)
    for read_only in (False, True):
        with Project.open(folder, read_only=read_only) as project:
            image = image_id(project, "a.png")
            with pytest.raises(MaskRefused, match="older than the project") as told:
                project.load(image)
            assert "Start this image over" in told.value.remedy
            assert told.value.usable
    assert mask_of(folder, "a.png").read_bytes() == old, "the user may want it, or put the right one back"
    mask_of(folder, "a.png").write_bytes(new)
    with Project.open(folder) as project:
        assert same(project.load(image).document, document)


def test_the_ways_out_that_the_error_names_exist(folder):
    old, _ = old_and_new(folder)
    mask_of(folder, "a.png").write_bytes(old)
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        older = read_mask_file(mask_of(folder, "a.png"), project.catalog).labels
        project.take_mask(image)
        loaded = project.load(image)
        assert np.array_equal(loaded.document.labels, older)
        assert (loaded.steps, loaded.saved) == ((), True)
        stroke(project, image, loaded.document, 70)
        assert same(project.load(image).document, loaded.document)
        project.start_over(image)
        assert (project.load(image).document.labels == 255).all()
        assert project.record(image).status is ImageStatus.NEW
    assert any(np.array_equal(kept, older) for kept in kept_labels(folder))


def test_a_reader_beside_a_window_that_saves_and_bounds_its_journal_reads_no_stale_pixels(folder, monkeypatch):
    """Between the reader's look at the mask and at the journal, the window saves and drops what the new mask holds."""
    work_on(folder, "a.png")
    real = app.state.saved_masks.read_mask_file
    with Project.open(folder) as window, Project.open(folder, read_only=True) as reader:
        image = image_id(window, "a.png")
        document = window.load(image).document
        races = []

        def racing(*args):
            content = real(*args)
            if len(races) < 1:
                races.append(1)
                stroke(window, image, document, 80)
                save(window, image, document)
                window.journal.prune(0)
            return content

        monkeypatch.setattr(app.state.saved_masks, "read_mask_file", racing)
        loaded = reader.load(image)
        assert same(loaded.document, document)
        assert loaded.notice == ""
        assert races


def test_a_reader_beside_a_window_that_starts_over_reads_the_new_state(folder, monkeypatch):
    old_and_new(folder)
    real = app.state.saved_masks.read_mask_file
    with Project.open(folder) as window, Project.open(folder, read_only=True) as reader:
        image = image_id(window, "a.png")
        races = []

        def racing(*args):
            if not races:
                races.append(1)
                window.start_over(image)
            return real(*args)

        monkeypatch.setattr(app.state.saved_masks, "read_mask_file", racing)
        assert (reader.load(image).document.labels == 255).all()


@pytest.mark.parametrize("bounded", [False, True])
def test_the_mask_of_another_image_is_not_shown_as_this_ones(folder, bounded):
    document = work_on(folder, "a.png")
    other = work_on(folder, "b.png", seed=30)
    if bounded:
        with Project.open(folder) as project:
            project.journal.prune(0)
    right = mask_of(folder, "a.png").read_bytes()
    shutil.copy(mask_of(folder, "b.png"), mask_of(folder, "a.png"))
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        if bounded:
            with pytest.raises(MaskRefused, match=r"that of b\.png"):
                project.load(image)
            assert mask_of(folder, "a.png").exists()
            mask_of(folder, "a.png").write_bytes(right)
            assert same(project.load(image).document, document)
        else:
            loaded = project.load(image)
            assert same(loaded.document, document)
            assert "that of b.png" in loaded.notice
        assert same(project.load(image_id(project, "b.png")).document, other)


def test_swapped_masks_of_two_images_are_both_noticed(folder):
    documents = work_on(folder, "a.png"), work_on(folder, "b.png", seed=30)
    a, b = mask_of(folder, "a.png"), mask_of(folder, "b.png")
    one = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(one)
    with Project.open(folder) as project:
        for record, document in zip(project.images, documents, strict=True):
            assert same(project.load(record.id).document, document)


def test_a_mask_of_a_foreign_project_is_not_taken(folder, tmp_path):
    foreign = make_folder(tmp_path / "foreign", "c.png")
    make_image(foreign / "c.png", 99)
    work_on(foreign, "c.png", seed=40)
    document = work_on(folder, "a.png")
    shutil.copy(mask_of(foreign, "c.png"), mask_of(folder, "a.png"))
    with Project.open(folder) as project:
        loaded = project.load(image_id(project, "a.png"))
        assert same(loaded.document, document)
        assert "another image, 'c.png'" in loaded.notice


def test_renamed_images_keep_their_masks_also_where_the_new_one_takes_the_old_name(folder):
    make_image(folder / "b.png", 5, (90, 131))  # of another size in bytes, so that the scan notices
    one, other = work_on(folder, "a.png"), work_on(folder, "b.png", seed=30)
    (folder / "a.png").rename(folder / "x.png")
    (folder / "b.png").rename(folder / "a.png")
    (folder / "x.png").rename(folder / "b.png")
    with Project.open(folder) as project:
        assert same(project.load(image_id(project, "b.png")).document, one)
        assert same(project.load(image_id(project, "a.png")).document, other)
        assert project.load(image_id(project, "a.png")).notice == ""


def test_other_content_under_the_same_name_is_marked_until_the_user_has_looked(folder):
    """A mask that a model made is not the work of the user, yet it belongs to the content that it was made for."""
    document = work_on(folder, "a.png")
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        key = project.content_key(image)
        project._store.write("UPDATE images SET content_key = 'other', flags = 0 WHERE id = ?", (image,))
        project._store.write("UPDATE images SET size = size WHERE id = ?", (image,))
    with Project.open(folder) as project:
        assert project.record(image).content_key == "other"
        loaded = project.load(image)
        assert same(loaded.document, document)
        assert "other content" in loaded.notice
        assert project.record(image).changed
        project.accept_change(image)
        assert project.load(image).notice == ""
        assert not project.record(image).changed
        assert key != "other"


def test_a_mask_of_a_much_larger_image_is_no_damage(folder):
    """The image file was replaced by a small one: the mask stays where it is, and fits again when the old file is back."""
    name = folder / "a.png"
    make_image(name, 3, (1200, 900))
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        document = project.load(image).document
        document.labels[:] = np.random.default_rng(1).integers(0, 21, document.shape)
        document.provenance[:] = np.random.default_rng(2).integers(0, 5, document.shape)
        stroke(project, image, document, 1)
        save(project, image, document)
        project.journal.prune(0)
    mask, old = mask_of(folder, "a.png").read_bytes(), name.read_bytes()
    assert len(mask) > 1_100_000
    make_image(name, 4, (20, 30))
    with Project.open(folder) as project:
        with pytest.raises(MaskRefused, match=r"900 x 1200.*30 x 20"):
            project.load(image)
        assert mask_of(folder, "a.png").read_bytes() == mask
    name.write_bytes(old)
    with Project.open(folder) as project:
        assert same(project.load(image).document, document)


# -- starting over -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("stop", ["transaction", "sync", "rename"])
def test_starting_over_is_safe_wherever_it_stops(folder, monkeypatch, bounded, stop):
    """The image opens, as it was or blank; the old mask file is there; nothing says 'damaged'."""
    document = work_on(folder, "a.png")
    mask = mask_of(folder, "a.png").read_bytes()
    if bounded:
        with Project.open(folder) as project:
            project.journal.prune(0)

    def killed(*_args, **_kwargs):
        raise KeyboardInterrupt

    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        target = {"transaction": (project._store, "transaction"), "sync": (project._store, "sync")}.get(
            stop, (app.state.saved_masks, "set_aside")
        )
        monkeypatch.setattr(*target, killed)
        with pytest.raises(KeyboardInterrupt):
            project.start_over(image)
        monkeypatch.undo()
    with Project.open(folder) as project:
        loaded = project.load(image)
        assert loaded.notice == ""
        if stop == "transaction":
            assert same(loaded.document, document)
            return
        assert (loaded.document.labels == 255).all()
        patch = paint(loaded.document, 90)
        from app.state.provenance import Provenance

        project.append_step(image, "new", Provenance.USER, patch)
        assert "kept" in save(project, image, loaded.document)
        assert same(project.load(image).document, loaded.document)
    files = [path.read_bytes() for path in (folder / ".atrous/masks").iterdir()]
    assert mask in files


def test_starting_over_flushes_the_database_before_it_renames(folder, monkeypatch):
    """A power cut may take what was not flushed: a renamed mask that the database still names would be lost."""
    work_on(folder, "a.png")
    order = []
    with Project.open(folder) as project:
        real_sync, real_aside = project._store.sync, app.state.saved_masks.set_aside
        monkeypatch.setattr(project._store, "sync", lambda: (order.append("sync"), real_sync()))
        monkeypatch.setattr(app.state.saved_masks, "set_aside", lambda *a: (order.append("rename"), real_aside(*a))[1])
        project.start_over(image_id(project, "a.png"))
    assert order == ["sync", "rename"]


def test_a_mask_with_a_link_in_its_place_is_not_followed(folder, tmp_path):
    document = work_on(folder, "a.png")
    outside = tmp_path / "outside.png"
    mask_of(folder, "a.png").rename(outside)
    mask_of(folder, "a.png").symlink_to(outside)
    before = outside.read_bytes()
    with Project.open(folder) as project:
        image = image_id(project, "a.png")
        loaded = project.load(image)
        assert same(loaded.document, document)
        assert "link" in loaded.notice
        save(project, image, document)
    assert outside.read_bytes() == before
    assert mask_of(folder, "a.png").is_symlink()


def test_notes_are_read_without_the_pixels(folder):
    work_on(folder, "a.png")
    note = read_note(mask_of(folder, "a.png"))
    assert (note.image, note.move) == ("a.png", 4)
    with pytest.raises(ProjectError):
        read_note(folder / "a.png")
