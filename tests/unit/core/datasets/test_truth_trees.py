"""Generated folder trees: wherever Atrous writes its masks, none of them is ever found as ground truth."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deeplab_core.catalogs import get_catalog
from deeplab_core.datasets import find_images, find_truth, read_marker
from deeplab_core.errors import PredictedTruthError
from deeplab_core.masks import mark_output
from deeplab_core.masks.export import ExportItem, export_masks, get_exporter

VOC = get_catalog("voc21")
LABELS = np.array([[0, 1, 1], [0, 2, 2]], np.uint8)

#: Sub-folders of the opened folder that hold images.
PLACES = st.lists(st.sampled_from(["", "a", "a/b", "images", "train", "train/ulm"]), min_size=1, max_size=3, unique=True)
#: Where masks go, relative to the opened folder.
TARGETS = st.sampled_from(
    [
        "", "masks", "a/masks", "a", "labels", "truth", "images/labels", "trainannot", "gtFine", "out", "SegmentationClass",
        "../masks", "../set_masks", "../setannot", "../truth/set", "../labels", "../deep/er/masks", "..",
    ]
)  # fmt: skip
WRITERS = st.sampled_from(["predict", "refine", "export", "killed export", "predict of 8f62d5b"])


def save(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(LABELS).save(path)
    return path


def write(writer: str, target: Path, images: list[str]) -> set[Path]:
    """Let Atrous write the masks of some images to a folder, and return them."""
    outputs = {image: str(PurePosixPath(image).with_suffix(".png")) for image in images}
    if "export" in writer:
        killed = writer.startswith("killed")

        def progress(done: int, _total: int) -> None:
            if killed and done == len(images):
                raise KeyboardInterrupt

        items = [ExportItem(name=image, catalog=VOC, labels=lambda: LABELS) for image in images]
        try:
            export_masks(items, get_exporter("indexed"), target, on_existing="replace", progress=progress)
        except KeyboardInterrupt:
            assert killed
    else:
        if writer == "predict of 8f62d5b":
            target.mkdir(parents=True, exist_ok=True)
            (target / "atrous-run.json").write_text(json.dumps({"model": "m", "catalog": "voc21", "options": "o"}))
        else:
            kind = "prediction" if writer == "predict" else "refined"
            mark_output(target, kind, dict.fromkeys(outputs.values()), catalog=VOC, earlier=read_marker(target))  # type: ignore[arg-type]
        for output in outputs.values():
            save(target / output)
    return {Path(os.path.realpath(target / output)) for output in outputs.values()}


@settings(max_examples=120)
@given(places=PLACES, writer=WRITERS, target=TARGETS, count=st.integers(1, 2), users=st.none() | TARGETS)
def test_nothing_that_atrous_wrote_is_found(
    tmp_path_factory: pytest.TempPathFactory, places: list[str], writer: str, target: str, count: int, users: str | None
) -> None:
    root = tmp_path_factory.mktemp("tree") / "home" / "set"
    images = [f"{place}/{n}.jpg" if place else f"{n}.jpg" for place in places for n in range(count)]
    for image in images:
        (root / image).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (3, 2)).save(root / image)
    ours = write(writer, root / target, images)
    # Masks of the user, written after ours: if both would be the same file, it is the user's, but that cannot be known.
    theirs = set()
    if users is not None and users != target:
        theirs = {Path(os.path.realpath(save(root / users / PurePosixPath(image).with_suffix(".png")))) for image in images}
        ours -= theirs
    listed = [name for name in find_images(root) if name.endswith(".jpg")]
    assert set(listed) == set(images)
    index = find_truth(root, images, catalog=VOC)
    found = {Path(os.path.realpath(path)) for path in index.files.values()}
    assert not found & ours, f"{writer} into '{target}' was found as ground truth"
    assert found <= theirs
    # And from inside: a sub-folder that is opened on its own.
    for place in places:
        own = [image.rpartition("/")[2] for image in images if image.rpartition("/")[0] == place]
        found = {Path(os.path.realpath(path)) for path in find_truth(root / place, own).files.values()}
        assert not found & ours, f"{writer} into '{target}' was found from '{place}'"


@pytest.mark.parametrize("writer", ["predict", "refine", "predict of 8f62d5b"])
@pytest.mark.parametrize("target", ["masks", "out/deep", "../masks", "../set_masks"])
def test_the_same_folder_is_refused_when_it_is_named(tmp_path: Path, writer: str, target: str) -> None:
    root = tmp_path / "home" / "set"
    root.mkdir(parents=True)
    Image.new("RGB", (3, 2)).save(root / "0.jpg")
    write(writer, root / target, ["0.jpg"])
    with pytest.raises(PredictedTruthError):
        find_truth(root, ["0.jpg"], truth_folder=root / target)
    assert len(find_truth(root, ["0.jpg"], truth_folder=root / target, allow_predicted=True)) == 1


def test_a_link_to_a_folder_of_predictions_is_not_found(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    Image.new("RGB", (3, 2)).save(root / "0.jpg")
    write("predict", tmp_path / "elsewhere/run/out", ["0.jpg"])
    (tmp_path / "masks").symlink_to(tmp_path / "elsewhere/run/out")
    assert not find_truth(root, ["0.jpg"]).files
    (tmp_path / "masks").unlink()
    mark_output(tmp_path / "elsewhere", "prediction", {"run/out/0.png": None}, catalog=VOC)
    (tmp_path / "elsewhere/run/out/.atrous-output.json").unlink()
    (tmp_path / "masks").symlink_to(tmp_path / "elsewhere/run/out")
    assert not find_truth(root, ["0.jpg"]).files


@pytest.mark.parametrize("place", ["", "a", "a/b"])
@pytest.mark.parametrize("target", ["", ".."])
def test_an_older_run_into_or_above_the_images_is_known_by_the_paths_that_it_kept(
    tmp_path: Path, place: str, target: str
) -> None:
    root = tmp_path / "home" / "set"
    image = str(PurePosixPath(place, "0.jpg"))
    (root / place).mkdir(parents=True)
    Image.new("RGB", (3, 2)).save(root / image)
    write("predict of 8f62d5b", root / target, [image])
    assert not find_truth(root, [image]).files
    theirs = save(root / place / "truth" / "0.png")
    assert dict(find_truth(root, [image]).files) == {image: theirs}, "masks of the user below that folder are found"
