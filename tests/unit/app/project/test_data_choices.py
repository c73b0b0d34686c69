"""Ground truth, classes and frames that a project opens with: certain, asked for, or stored; never a silent guess."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.state.class_choice import choose_catalog, class_question, decide_classes, measure_effects, stored_how
from app.state.data_choices import frame_question, ground_truth_of, settle, store_choice, store_frame, stored_choice, stored_frame
from app.state.ground_truth import TruthChoice
from app.state.patch import diff_patch
from app.state.project import Project
from app.state.provenance import Provenance
from app.viewmodels.project.data_choices import effect_text, truth_line, truth_options
from deeplab_core.catalogs import get_catalog
from deeplab_core.errors import CatalogError, StorageError
from deeplab_core.masks import mark_output
from deeplab_core.masks.png import write_indexed_png

HEIGHT, WIDTH = 24, 30


def photographs(folder: Path, names: list[str], orientation: int = 1, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    folder.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for number, name in enumerate(names):
        Image.new("RGB", size, (number, 40, 90)).save(folder / name, exif=exif)
    return folder


def grey(path: Path, values: list[int], shape: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.resize(np.array(values, np.uint8), shape[0] * shape[1]).reshape(shape)
    Image.fromarray(labels).save(path)


def camvid(root: Path) -> Path:
    names = [f"0001TP_00{number}.png" for number in range(4)]
    for name in names:
        grey(root / "trainannot" / name, list(range(12)))
    return photographs(root / "train", names)


def cityscapes(root: Path) -> Path:
    names = [f"ulm_00000{number}_000019_leftImg8bit.png" for number in range(4)]
    for name in names:
        stem = name.removesuffix("_leftImg8bit.png")
        grey(root / "gtFine" / "val" / "ulm" / f"{stem}_gtFine_labelIds.png", [0, 7, 11, 21, 26, 33])
    photographs(root / "leftImg8bit" / "val" / "ulm", names)
    return root / "leftImg8bit" / "val"


def ade(root: Path) -> Path:
    names = [f"ADE_val_0000000{number}.jpg" for number in range(1, 4)]
    for name in names:
        grey(root / "annotations" / name.replace(".jpg", ".png"), [0, 1, 20, 99, 150])
    return photographs(root / "images", names)


def voc(root: Path) -> Path:
    names = [f"2007_00000{number}.jpg" for number in range(1, 4)]
    (root / "SegmentationClass").mkdir(parents=True)
    labels = np.resize(np.array([0, 5, 15, 255], np.uint8), HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
    for name in names:
        write_indexed_png(root / "SegmentationClass" / name.replace(".jpg", ".png"), labels, get_catalog("voc21"))
    return photographs(root / "JPEGImages", names)


@pytest.mark.parametrize(
    ("layout", "classes"), [(camvid, "camvid11"), (cityscapes, "cityscapes34"), (ade, "ade20k150"), (voc, "voc21")]
)
def test_known_data_sets_open_with_their_own_classes(tmp_path, layout, classes):
    folder = layout(tmp_path / "set")
    with Project.open(folder) as project:
        questions = settle(project)
        assert questions.truth is None
        assert questions.classes is None
        assert project.catalog.name == classes
        assert len(project.ground_truth.files) == len(project.images)
        assert stored_how(project) == "certain"
    with Project.open(folder) as project:
        settle(project)
        assert project.catalog.name == classes
        assert project.ground_truth.choice.how == "certain"


def labelled(project: Project, source: Provenance, class_id: int = 5) -> None:
    image = project.images[0].id
    document = project.load(image).document
    after = np.full_like(document.labels, class_id)
    patch = diff_patch(document.labels, document.provenance, after, np.full_like(document.provenance, source))
    project.append_step(image, "step", source, patch)


@pytest.mark.parametrize("source", [Provenance.USER, Provenance.MODEL])
def test_a_labelled_project_never_gets_other_ids_silently(tmp_path, source):
    folder = ade(tmp_path / "set")
    with Project.open(folder) as project:
        labelled(project, source)
        questions = settle(project)
        assert project.catalog.name == "voc21"
        assert questions.classes is not None
        assert questions.classes.effects[0].catalog.name == "ade20k150"
        assert (questions.classes.touched, questions.classes.predicted) == ((1, 0) if source is Provenance.USER else (0, 1))


def test_labels_that_the_ground_truth_allows_keep_their_classes(tmp_path):
    names = ["a.png", "b.png"]
    for name in names:
        grey(tmp_path / "gt" / name, [0, 3, 7, 255])
    with Project.open(photographs(tmp_path / "images", names)) as project:
        labelled(project, Provenance.USER)
        assert settle(project).classes is None
        assert project.catalog.name == "voc21"
        assert stored_how(project) == "labels"


def test_other_classes_set_masks_of_a_model_aside_but_never_those_of_the_user(tmp_path):
    with Project.open(camvid(tmp_path / "set")) as project:
        labelled(project, Provenance.MODEL)
        assert choose_catalog(project, get_catalog("ade20k150"), "user") == 1
        assert project.catalog.name == "ade20k150"
        assert not project.labelled()
        labelled(project, Provenance.USER)
        with pytest.raises(CatalogError, match="you worked on 1 image "):
            choose_catalog(project, get_catalog("camvid11"), "user")
        assert project.catalog.name == "ade20k150"
        assert project.labelled()


def test_a_later_folder_does_not_take_the_place_of_the_stored_choice(tmp_path):
    folder = voc(tmp_path / "set")
    with Project.open(folder) as project:
        settle(project)
    shutil.copytree(tmp_path / "set" / "SegmentationClass", tmp_path / "set" / "labels")
    shutil.copytree(tmp_path / "set" / "SegmentationClass", tmp_path / "set" / "JPEGImages_masks")
    with Project.open(folder) as project:
        questions = settle(project)
        assert questions.truth is None
        assert {path.parent.name for path in project.ground_truth.files.values()} == {"SegmentationClass"}


def test_a_data_set_that_is_moved_keeps_its_choices(tmp_path):
    with Project.open(voc(tmp_path / "old")) as project:
        settle(project)
        store_choice(project, TruthChoice((tmp_path / "old" / "SegmentationClass",), "user"))
        store_frame(project, tmp_path / "old" / "SegmentationClass", "stored")
    (tmp_path / "old").rename(tmp_path / "new")
    with Project.open(tmp_path / "new" / "JPEGImages") as project:
        settle(project)
        assert stored_choice(project) == TruthChoice((tmp_path / "new" / "SegmentationClass",), "user")
        assert project.ground_truth.frame == "stored"
        assert len(project.ground_truth.files) == 3


def test_a_folder_that_is_only_named_after_the_images_is_asked_for(tmp_path):
    names = ["a.png", "b.png"]
    for name in names:
        grey(tmp_path / "photos_masks" / name, [0, 3])
    with Project.open(photographs(tmp_path / "photos", names)) as project:
        questions = settle(project)
        assert questions.truth is not None
        assert not project.ground_truth.files
        options = truth_options(questions.truth, None, 2, project.ground_truth)
        assert [option.value for option in options] == [tmp_path / "photos_masks", None]
        assert not any(option.chosen for option in options)
        assert truth_line(project.ground_truth, 2)[2] == "warn"


def test_an_old_choice_of_predictions_is_not_used(tmp_path):
    names = ["a.png", "b.png"]
    for name in names:
        grey(tmp_path / "out" / name, [0, 3])
    mark_output(tmp_path / "out", "prediction", dict.fromkeys(names), catalog=get_catalog("voc21"), model="rooms")
    with Project.open(photographs(tmp_path / "photos", names)) as project:
        project.set_setting("truth_folder", str(tmp_path / "out"))
        questions = settle(project)
        assert questions.refused is not None
        assert "rooms" in str(questions.refused)
        assert not project.ground_truth.files


def test_an_old_choice_of_the_user_stays(tmp_path):
    names = ["a.png", "b.png"]
    for name in names:
        grey(tmp_path / "mine" / name, [0, 3])
        grey(tmp_path / "gt" / name, [0, 4])
    with Project.open(photographs(tmp_path / "photos", names)) as project:
        project.set_setting("truth_folder", str(tmp_path / "mine"))
        settle(project)
        assert {path.parent.name for path in project.ground_truth.files.values()} == {"mine"}


def test_a_folder_that_is_gone_is_named_and_not_replaced_by_another(tmp_path):
    folder = voc(tmp_path / "set")
    with Project.open(folder) as project:
        store_choice(project, TruthChoice((tmp_path / "gone",), "user"))
        settle(project)
        assert not project.ground_truth.files
        assert "gone" in project.ground_truth.problem
        assert truth_line(project.ground_truth, 3)[2] == "bad"


def test_putting_the_question_off_is_kept(tmp_path):
    names = ["a.png"]
    grey(tmp_path / "photos_masks" / "a.png", [0, 3])
    folder = photographs(tmp_path / "photos", names)
    with Project.open(folder) as project:
        store_choice(project, TruthChoice((), "later"))
    with Project.open(folder) as project:
        assert settle(project).truth is None
        assert not project.ground_truth.files


@pytest.mark.parametrize(
    ("orientation", "size", "asked"),
    [(1, (30, 24), False), (2, (30, 24), True), (3, (30, 24), True), (4, (30, 24), True), (6, (30, 24), False),
     (5, (24, 24), True), (6, (24, 24), True), (7, (24, 24), True), (8, (24, 24), True), (1, (24, 24), False)],
)  # fmt: skip
def test_the_frame_is_asked_exactly_where_both_fit(tmp_path, orientation, size, asked):
    grey(tmp_path / "gt" / "a.png", [0, 3], (size[1], size[0]))
    with Project.open(photographs(tmp_path / "photos", ["a.jpg"], orientation, size)) as project:
        question = frame_question(project, tmp_path / "gt", {"a.jpg": tmp_path / "gt" / "a.png"})
        assert (question is not None) is asked
        store_frame(project, tmp_path / "gt", "oriented")
        assert frame_question(project, tmp_path / "gt", {"a.jpg": tmp_path / "gt" / "a.png"}) is None
        assert stored_frame(project, tmp_path / "gt" / "deeper") == "oriented"
        assert stored_frame(project, tmp_path) == "auto"


def test_an_answered_frame_is_used_at_the_next_opening(tmp_path):
    grey(tmp_path / "gt" / "a.png", [0, 3, 255])
    folder = photographs(tmp_path / "photos", ["a.jpg"], 2)
    with Project.open(folder) as project:
        assert settle(project).frame is not None
        store_frame(project, tmp_path / "gt", "stored")
    with Project.open(folder) as project:
        assert settle(project).frame is None
        assert project.ground_truth.frame == "stored"


def test_the_effect_of_a_catalog_is_counted(tmp_path):
    for number in range(3):
        grey(tmp_path / f"{number}.png", [0, 1, 11, 255] if number < 2 else [0, 1, 11, 30])
    files = [tmp_path / f"{number}.png" for number in range(3)]
    camvid11, voc21 = measure_effects(files, [get_catalog("camvid11"), get_catalog("voc21")])
    assert (camvid11.sampled, voc21.sampled) == (3, 3)
    assert (camvid11.refused, voc21.refused) == (3, 1)
    assert voc21.undeclared == {30: HEIGHT * WIDTH // 4}
    assert voc21.void == pytest.approx(0.25)
    assert voc21.classes == 3
    assert not voc21.fits


def test_nothing_is_guessed_without_ground_truth(tmp_path):
    with Project.open(photographs(tmp_path / "photos", ["a.jpg"])) as project:
        settle(project)
        assert stored_how(project) is None
        assert project.catalog.name == "voc21"


def test_an_export_is_accepted_by_name_and_says_what_no_user_touched(tmp_path):
    from deeplab_core.masks import Untouched

    names = ["a.png", "b.png"]
    for name in names:
        grey(tmp_path / "photos_export" / name, [0, 3])
    outputs = {"a.png": Untouched(0, False), "b.png": Untouched(HEIGHT * WIDTH, True)}
    mark_output(tmp_path / "photos_export", "export", outputs, catalog=get_catalog("camvid11"))
    with Project.open(photographs(tmp_path / "photos", names)) as project:
        assert settle(project).truth is None
        assert not project.ground_truth.files
        project.ground_truth = ground_truth_of(project, TruthChoice((tmp_path / "photos_export",), "user"))
        assert len(project.ground_truth.files) == 2
        assert "no user touched 1 of its 2 images" in truth_line(project.ground_truth, 2)[1]
        decision = decide_classes(project, project.ground_truth, again=True)
        assert decision.catalog is not None
        assert decision.catalog.name == "camvid11"


def test_a_read_only_project_in_other_classes_has_no_wrong_figures(tmp_path):
    folder = camvid(tmp_path / "set")
    Project.open(folder).close()
    with Project.open(folder, read_only=True) as project:
        settle(project)
        assert project.catalog.name == "voc21"
        assert not project.ground_truth.files
        assert "CamVid" in project.ground_truth.problem


def test_a_catalog_that_contradicts_the_ground_truth_is_reported(tmp_path):
    with Project.open(camvid(tmp_path / "set")) as project:
        settle(project)
        question = class_question(project, project.ground_truth)
        texts = {effect.catalog.name: effect_text(effect, project.catalog, question)[0] for effect in question.effects}
        assert "suggests CamVid" in texts["voc21"]
        assert "suggests" not in texts["camvid11"]


def test_ground_truth_that_cannot_be_stored_is_used_all_the_same(tmp_path, monkeypatch):
    def refuse(*_args: object) -> None:
        raise StorageError("the disk is full", remedy="Free some room")

    with Project.open(voc(tmp_path / "set")) as project:
        monkeypatch.setattr(project, "set_setting", refuse)
        questions = settle(project)
        assert questions.error is not None
        assert len(project.ground_truth.files) == 3
