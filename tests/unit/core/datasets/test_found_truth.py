"""What is found as ground truth: never what Atrous wrote, always the folder with more matches, and doubt is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets import check_truth_folder, find_images, find_truth, survey_truth
from deeplab_core.errors import MaskFormatError, PredictedTruthError
from deeplab_core.masks import MARKER_NAME, Untouched, mark_output, read_mask
from deeplab_core.masks.export import ExportItem, export_masks, get_exporter
from deeplab_core.masks.png import write_indexed_png

VOC, CITYSCAPES, CAMVID = (get_catalog(name) for name in ("voc21", "cityscapes19", "camvid11"))
SIZE = (8, 6)


def photographs(folder: Path, count: int, suffix: str = ".jpg") -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(noise.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)).save(folder / f"{number}{suffix}")
    return [f"{number}{suffix}" for number in range(count)]


def masks(folder: Path, count: int, value: int = 1, catalog: object = VOC) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        labels = np.full((SIZE[1], SIZE[0]), value, np.uint8)
        write_indexed_png(folder / f"{number}.png", labels, catalog)  # type: ignore[arg-type]


def predict(folder: Path, count: int) -> None:
    """What ``atrous predict`` leaves."""
    masks(folder, count)
    mark_output(folder, "prediction", {f"{number}.png": None for number in range(count)}, catalog=VOC, model="rooms-voc")


def predict_as_8f62d5b(folder: Path, count: int) -> None:
    masks(folder, count)
    (folder / "atrous-run.json").write_text(json.dumps({"model": "m", "catalog": "voc21", "options": "o", "frame": "stored"}))


def export(folder: Path, count: int, touched: int = 0) -> None:
    labels = np.ones((SIZE[1], SIZE[0]), np.uint8)

    def entry(number: int) -> ExportItem:
        whole = number >= touched
        return ExportItem(
            name=f"{number}.jpg",
            catalog=VOC,
            labels=lambda: labels,
            untouched=lambda: Untouched(labels.size if whole else 0, whole),
        )

    export_masks([entry(number) for number in range(count)], get_exporter("indexed"), folder, on_existing="replace")


WRITERS = {"predict": predict, "predict of 8f62d5b": predict_as_8f62d5b, "export": export}


@pytest.mark.parametrize("place", ["photos_masks", "masks", "MASKS", "photos_export", "truth", "photos/masks", "photos/truth"])
@pytest.mark.parametrize("writer", WRITERS)
def test_what_atrous_wrote_is_never_found(tmp_path: Path, writer: str, place: str) -> None:
    names = photographs(tmp_path / "photos", 3)
    WRITERS[writer](tmp_path / place, 3)
    index = find_truth(tmp_path / "photos", names, catalog=VOC)
    assert (dict(index.files), index.layout, index.certain) == ({}, "none", True)
    if place != "photos_export":
        assert "that Atrous wrote" in index.reason or "an export of Atrous" in index.reason
        assert [entry.possible for entry in index.alternatives] == [False]


@pytest.mark.parametrize("writer", WRITERS)
def test_links_to_files_that_atrous_wrote_are_never_found(tmp_path: Path, writer: str) -> None:
    names = photographs(tmp_path / "photos", 3)
    WRITERS[writer](tmp_path / "elsewhere/out", 3)
    (tmp_path / "labels").mkdir()
    for number in range(3):
        (tmp_path / f"labels/{number}.png").symlink_to(tmp_path / f"elsewhere/out/{number}.png")
    assert dict(find_truth(tmp_path / "photos", names, catalog=VOC).files) == {}


@pytest.mark.parametrize("writer", WRITERS)
def test_predictions_do_not_hide_the_ground_truth(tmp_path: Path, writer: str) -> None:
    names = photographs(tmp_path / "photos", 4)
    masks(tmp_path / "truth", 2)
    WRITERS[writer](tmp_path / "photos_masks", 4)
    index = find_truth(tmp_path / "photos", names, catalog=VOC)
    assert {path.parent.name for path in index.files.values()} == {"truth"}
    assert (len(index), index.certain) == (2, True)


def test_predictions_beside_their_images_are_told_from_masks_there(tmp_path: Path) -> None:
    names = photographs(tmp_path, 3)
    masks(tmp_path, 3)
    mark_output(tmp_path, "prediction", {"0.png": None, "1.png": None}, catalog=VOC, model="m")
    assert dict(find_truth(tmp_path, names).files) == {"2.jpg": tmp_path / "2.png"}
    assert dict(find_truth(tmp_path, names, truth_folder=tmp_path, allow_predicted=True).files).keys() == set(names)


def test_a_marker_above_the_photographs_covers_only_what_it_lists(tmp_path: Path) -> None:
    names = photographs(tmp_path / "photos", 3)
    masks(tmp_path / "truth", 3)
    predict(tmp_path, 3)
    index = find_truth(tmp_path / "photos", names)
    assert {path.parent.name for path in index.files.values()} == {"truth"}
    assert find_truth(tmp_path / "photos", names, truth_folder=tmp_path / "truth").marker is None


def test_a_folder_inside_a_marked_one_is_not_found(tmp_path: Path) -> None:
    names = [f"photos/day/{name}" for name in photographs(tmp_path / "set/photos/day", 3)]
    masks(tmp_path / "set/masks/day", 3)
    assert len(find_truth(tmp_path / "set", names)) == 3
    mark_output(tmp_path / "set/masks", "prediction", {f"day/{n}.png": None for n in range(3)}, catalog=VOC)
    assert not find_truth(tmp_path / "set", names).files


def test_project_data_is_never_found_and_refused_where_it_is_named(tmp_path: Path) -> None:
    names = photographs(tmp_path / "photos", 3)
    masks(tmp_path / "masks", 3)
    (tmp_path / "masks/project.db").touch()
    masks(tmp_path / "masks/masks", 3)
    assert not find_truth(tmp_path / "photos", names).files
    masks(tmp_path / "photos/.atrous/masks", 3)
    for folder in (tmp_path / "masks/masks", tmp_path / "photos/.atrous/masks"):
        for named in (
            lambda folder=folder: find_truth(tmp_path / "photos", names, truth_folder=folder),
            lambda folder=folder: check_truth_folder(folder),
        ):
            with pytest.raises(PredictedTruthError, match="part of a project of Atrous"):
                named()
        assert len(find_truth(tmp_path / "photos", names, truth_folder=folder, allow_predicted=True)) == 3
    (tmp_path / "masks/project.db").unlink()
    assert len(find_truth(tmp_path / "photos", names)) == 3


@pytest.mark.parametrize("other", ["truth", "labels", "masks", "SegmentationClass", "gt"])
def test_more_matches_win_over_a_nicer_name(tmp_path: Path, other: str) -> None:
    """8f62d5b took the eight masks of ``photos_masks`` and left sixteen of ``truth``."""
    names = photographs(tmp_path / "photos", 16)
    masks(tmp_path / other, 16)
    masks(tmp_path / "photos_masks", 8)
    index = find_truth(tmp_path / "photos", names, catalog=VOC)
    assert {path.parent.name for path in index.files.values()} == {other}
    assert (len(index), index.certain) == (16, True)
    assert [(entry.folder.name, entry.matches, entry.taken) for entry in index.alternatives] == [
        (other, 16, True), ("photos_masks", 8, False),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["photos_masks", "photos-labels", "Photos_mask", "photos.seg"])
def test_a_folder_that_is_only_named_after_the_images_is_doubt(tmp_path: Path, name: str) -> None:
    names = photographs(tmp_path / "photos", 3)
    masks(tmp_path / name, 3)
    index = find_truth(tmp_path / "photos", names, catalog=VOC)
    assert (len(index), index.certain) == (3, False)
    assert "only named after the images" in index.reason
    assert str(tmp_path / name) in index.reason


@pytest.mark.parametrize("name", ["photosannot", "photos_gt", "labels", "ground_truth", "masks"])
def test_a_folder_that_says_what_it_holds_is_certain(tmp_path: Path, name: str) -> None:
    names = photographs(tmp_path / "photos", 3)
    masks(tmp_path / name, 3)
    assert find_truth(tmp_path / "photos", names, catalog=VOC).certain


@pytest.mark.parametrize(("one", "other"), [("truth", "masks"), ("truth", "photos_masks"), ("labels", "annotations")])
def test_equal_rivals_are_doubt_and_both_are_named(tmp_path: Path, one: str, other: str) -> None:
    names = photographs(tmp_path / "photos", 3)
    masks(tmp_path / one, 3)
    masks(tmp_path / other, 3, value=2)
    index = find_truth(tmp_path / "photos", names, catalog=VOC)
    assert not index.certain
    assert {path.parent.name for path in index.files.values()} == {one}
    assert {entry.folder.name for entry in index.alternatives} == {one, other}
    assert one in index.reason
    assert other in index.reason


@pytest.mark.parametrize("other", ["annotations_instance", "SegmentationObject", "instance_masks", "panoptic_labels"])
def test_masks_of_instances_are_no_rivals(tmp_path: Path, other: str) -> None:
    names = photographs(tmp_path / "images", 3)
    masks(tmp_path / "annotations", 3)
    masks(tmp_path / other, 3, value=2)
    index = find_truth(tmp_path / "images", names)
    assert index.certain
    assert {path.parent.name for path in index.files.values()} == {"annotations"}


def test_fine_annotations_win_over_coarse_ones(tmp_path: Path) -> None:
    images = [f"leftImg8bit/train/ulm/{n}_leftImg8bit.png" for n in range(2)]
    for kind in ("gtFine", "gtCoarse"):
        for n in range(2):
            path = tmp_path / f"{kind}/train/ulm/{n}_{kind}_labelIds.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((6, 8), 7, np.uint8)).save(path)
    photographs(tmp_path / "leftImg8bit/train/ulm", 2)
    index = find_truth(tmp_path, images)
    assert index.certain
    assert all("gtFine" in str(path) for path in index.files.values())


def test_photographs_in_a_folder_named_like_masks_are_no_ground_truth(tmp_path: Path) -> None:
    names = photographs(tmp_path / "nomask", 3)
    big = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for number in range(3):
        (tmp_path / "mask").mkdir(exist_ok=True)
        Image.fromarray(big).save(tmp_path / f"mask/{number}.png")
    for catalog in (None, VOC):
        index = find_truth(tmp_path / "nomask", names, catalog=catalog)
        assert not index.files
        assert str(tmp_path / "mask") in index.reason


def test_grey_photographs_and_soft_edges_are_no_ground_truth(tmp_path: Path) -> None:
    names = photographs(tmp_path / "images", 3)
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    (tmp_path / "labels").mkdir()
    for number in range(3):
        Image.fromarray(ramp).save(tmp_path / f"labels/{number}.png")
    assert not find_truth(tmp_path / "images", names).files
    soft = np.zeros((8, 8, 4), np.uint8)
    soft[..., 3] = np.linspace(0, 255, 8).astype(np.uint8)
    for number in range(3):
        Image.fromarray(soft).save(tmp_path / f"labels/{number}.png")
    assert not find_truth(tmp_path / "images", names).files


def test_ids_that_the_catalog_does_not_declare_disqualify_a_folder_but_one_bad_file_does_not(tmp_path: Path) -> None:
    names = photographs(tmp_path / "images", 5)
    (tmp_path / "labels").mkdir()
    for number in range(5):
        Image.fromarray(np.full((6, 8), 33, np.uint8)).save(tmp_path / f"labels/{number}.png")
    assert len(find_truth(tmp_path / "images", names)) == 5
    index = find_truth(tmp_path / "images", names, catalog=VOC)
    assert not index.files
    assert "33" in index.reason
    masks(tmp_path / "labels", 4)
    assert len(find_truth(tmp_path / "images", names, catalog=VOC)) == 5


class TestNamedFolder:
    def test_an_export_is_accepted_with_its_untouched_images(self, tmp_path: Path) -> None:
        names = photographs(tmp_path / "photos", 5)
        export(tmp_path / "photos_export", 5, touched=2)
        index = find_truth(tmp_path / "photos", names[:4], truth_folder=tmp_path / "photos_export", catalog=VOC)
        assert (len(index), index.certain) == (4, True)
        assert index.marker is not None
        assert (index.marker.kind, index.marker.images, index.marker.untouched_images) == ("export", 4, 2)
        assert "no user touched 2 of its 4 images" in index.reason

    @pytest.mark.parametrize("writer", ["predict", "predict of 8f62d5b"])
    def test_predictions_are_refused_unless_allowed(self, tmp_path: Path, writer: str) -> None:
        names = photographs(tmp_path / "photos", 3)
        WRITERS[writer](tmp_path / "out/deep", 3)
        for folder in (tmp_path / "out/deep", tmp_path / "out"):
            with pytest.raises(PredictedTruthError, match="predictions that Atrous wrote"):
                find_truth(tmp_path / "photos", names, truth_folder=folder)
            with pytest.raises(PredictedTruthError):
                check_truth_folder(folder)
            index = find_truth(tmp_path / "photos", names, truth_folder=folder, allow_predicted=True)
            assert len(index) == 3
            assert index.marker is not None
            assert index.marker.kind == "prediction"
            assert check_truth_folder(folder, allow_predicted=True) is not None

    def test_refined_masks_are_refused(self, tmp_path: Path) -> None:
        names = photographs(tmp_path / "photos", 1)
        masks(tmp_path / "out", 1)
        mark_output(tmp_path / "out", "refined", {"0.png": None}, catalog=VOC)
        with pytest.raises(PredictedTruthError, match="refined with the CRF"):
            find_truth(tmp_path / "photos", names, truth_folder=tmp_path / "out")

    def test_a_damaged_marker_is_refused(self, tmp_path: Path) -> None:
        names = photographs(tmp_path / "photos", 1)
        masks(tmp_path / "out", 1)
        (tmp_path / "out" / MARKER_NAME).write_text("{")
        with pytest.raises(PredictedTruthError, match="cannot be read"):
            find_truth(tmp_path / "photos", names, truth_folder=tmp_path / "out")

    def test_predictions_somewhere_below_are_left_out(self, tmp_path: Path) -> None:
        names = photographs(tmp_path / "photos", 3)
        masks(tmp_path / "data/gt", 2)
        predict(tmp_path / "data/run", 3)
        index = find_truth(tmp_path / "photos", names, truth_folder=tmp_path / "data")
        assert {path.parent.name for path in index.files.values()} == {"gt"}
        assert f"{tmp_path / 'data/run'} were left out" in index.reason

    def test_masks_of_other_programs_are_taken_as_they_are(self, tmp_path: Path) -> None:
        names = photographs(tmp_path / "photos", 3)
        masks(tmp_path / "photos_masks", 3)
        index = find_truth(tmp_path / "photos", names, truth_folder=tmp_path / "photos_masks")
        assert (len(index), index.certain, index.marker) == (3, True, None)
        assert check_truth_folder(tmp_path / "photos_masks") is None
        with pytest.raises(MaskFormatError, match="does not exist"):
            check_truth_folder(tmp_path / "nowhere")


FOLDERS = st.sampled_from(
    ["masks", "labels", "truth", "gt", "annotations", "SegmentationClass", "photosannot", "photos_masks", "photos_gt", "seg"]
)


@settings(max_examples=40)
@given(plan=st.dictionaries(FOLDERS, st.tuples(st.sampled_from(["user", *WRITERS]), st.integers(1, 6)), min_size=1, max_size=4))
def test_generated_neighbours(tmp_path_factory: pytest.TempPathFactory, plan: dict[str, tuple[str, int]]) -> None:
    """Nothing that Atrous wrote is found, and of the rest the folder with the most matches wins."""
    base = tmp_path_factory.mktemp("tree")
    names = photographs(base / "photos", 6)
    for folder, (writer, count) in plan.items():
        (masks if writer == "user" else WRITERS[writer])(base / folder, count)
    index = find_truth(base / "photos", names, catalog=VOC)
    own = {folder: count for folder, (writer, count) in plan.items() if writer == "user"}
    if not own:
        assert (dict(index.files), index.layout) == ({}, "none")
        return
    (taken,) = {path.parent.name for path in index.files.values()}
    most = max(own.values())
    best = [folder for folder, count in own.items() if count == most]
    assert taken in best
    assert len(index) == most
    assert index.certain == (len(best) == 1 and taken != "photos_masks")
    assert set(find_images(base / "photos")) == set(names)


def test_a_project_that_lies_among_the_images_hides_only_its_own_masks(tmp_path: Path) -> None:
    """``atrous photos --project photos`` keeps ``project.db`` and ``masks`` beside the photographs."""
    names = photographs(tmp_path / "photos", 2)
    (tmp_path / "photos/project.db").touch()
    masks(tmp_path / "photos/masks", 2)
    assert not find_truth(tmp_path / "photos", names).files
    masks(tmp_path / "photos/truth", 2)
    index = find_truth(tmp_path / "photos", names)
    assert {path.parent.name for path in index.files.values()} == {"truth"}
    assert len(find_truth(tmp_path / "photos", names, truth_folder=tmp_path / "photos/truth")) == 2


def test_folders_that_share_the_images_among_them_are_a_doubt(tmp_path: Path) -> None:
    """``masks/val`` beside ``labels/train`` may hold predictions; ``trainannot`` and ``valannot`` name their images."""
    mixed, camvid = tmp_path / "mixed", tmp_path / "camvid" / "set"
    images = [f"{part}/{number}.jpg" for part in ("train", "val") for number in range(2)]
    for image in images:
        mask = Path(image).with_suffix(".png")
        (camvid / image).parent.mkdir(parents=True, exist_ok=True)
        shared = mixed / ("labels" if image.startswith("train") else "masks") / mask
        for target in (shared, camvid / f"{mask.parent}annot" / mask.name):
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 4), 3, np.uint8)).save(target)
    found = find_truth(mixed / "photos", images)
    assert not found.certain
    assert f"{mixed / 'labels'} (2) and {mixed / 'masks'} (2) hold masks of different images" in found.reason
    assert {entry.folder for entry in found.alternatives} == {mixed / "labels", mixed / "masks"}
    both = find_truth(camvid, images)
    assert both.certain
    assert both.reason.endswith("have the names of 4 of 4 images")


def test_the_semantic_folder_of_kitti_is_found_with_the_ids_of_cityscapes(tmp_path: Path) -> None:
    ids = np.full((20, 30), 7, np.uint8)
    ids[:10] = 11
    for folder in ("image_2", "semantic", "semantic_rgb", "instance"):
        (tmp_path / folder).mkdir()
    for number in range(2):
        name = f"{number:06}_10.png"
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (20, 30, 3), np.uint8)).save(tmp_path / "image_2" / name)
        Image.fromarray(ids).save(tmp_path / "semantic" / name)
        Image.fromarray(np.repeat(ids[..., None], 3, 2)).save(tmp_path / "semantic_rgb" / name)
        Image.fromarray(ids.astype(np.uint16) * 256).save(tmp_path / "instance" / name)
    images = tmp_path / "image_2"
    survey = survey_truth(images, find_images(images))
    assert survey.matched.certain
    assert {path.parent.name for path in survey.matched.files.values()} == {"semantic"}
    assert survey.classes.catalog is not None
    assert survey.classes.catalog.name == "cityscapes34"


def test_files_of_the_full_release_of_ade20k_are_refused_by_name(tmp_path: Path) -> None:
    colours = np.zeros((20, 30, 3), np.uint8)
    colours[:, :9] = (10, 231, 3)
    for name in ("ADE_train_00000001_seg.png", "ADE_val_00000001_parts_2.png"):
        Image.fromarray(colours).save(tmp_path / name)
        with pytest.raises(MaskFormatError, match="ADE20K's full release") as caught:
            read_mask(tmp_path / name, get_catalog("ade20k150"))
        assert "scene parsing" in caught.value.remedy
