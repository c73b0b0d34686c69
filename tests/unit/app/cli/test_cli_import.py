"""``atrous import``: what comes in, what is kept, what it says, and its exit status."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.cli import COMMANDS, run
from app.cli.import_labels import FORMATS as KEYS
from app.state.image_record import ImageStatus
from app.state.label_import import ImportTotals, import_items
from app.state.project import Project
from app.state.provenance import Provenance
from app.viewmodels.project.label_summary import summary_of
from deeplab_core.catalogs import get_catalog, save_catalog
from deeplab_core.masks.importing import FORMATS, scan
from deeplab_core.masks.png import write_indexed_png
from tests.unit.core.masks.importing.sources import (
    CATALOG,
    HEIGHT,
    SQUARE,
    WIDTH,
    coco,
    labelme,
    photographs,
    png,
    shape,
    write,
)
from tests.unit.core.masks.samples import blobs

LATER = [[10, 8], [30, 8], [30, 20], [10, 20]]


def images_and_labels(tmp_path: Path) -> tuple[Path, Path]:
    images = photographs(tmp_path / "images", ["a.jpg", "sub/b.jpg", "c.jpg"])
    write(tmp_path / "labels/a.json", labelme("a.jpg", shape("road", SQUARE), shape("car", LATER)))
    write(tmp_path / "labels/b.json", labelme("b.jpg", shape("car", SQUARE)))
    return images, tmp_path / "labels"


def started(images: Path) -> Path:
    with Project.open(images, catalog=CATALOG):
        pass
    return images


def do(*arguments: object) -> int:
    return run(["import", *map(str, arguments)])


def stored(images: Path, name: str) -> Any:
    with Project.open(images, read_only=True) as project:
        record = next(one for one in project.images if one.relative_path == name)
        return project.load(record.id).document


def events(text: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in text.splitlines():
        row = json.loads(line)
        found.setdefault(row["event"], []).append(row)
    return found


def test_the_table_and_the_command_name_the_same_formats() -> None:
    assert {one.key for one in FORMATS} == set(KEYS)
    assert "import" in COMMANDS


def test_labels_become_masks_with_their_provenance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = images_and_labels(tmp_path)
    started(images)
    assert do(labels, "--images", images) == 0
    out = capsys.readouterr().out.replace("\u202f", " ")
    assert "labelme JSON: labels for 2 of 3 images" in out
    assert "2 images took labels: 3 regions, 569 px." in out
    assert "they became background" in out
    assert "1 image has no labels in the source" in out
    document = stored(images, "a.jpg")
    assert (document.labels[5, 5], document.labels[12, 25], document.labels[29, 39]) == (1, 2, 0)
    assert set(np.unique(document.provenance).tolist()) == {Provenance.IMPORT}
    assert stored(images, "sub/b.jpg").labels[5, 5] == 2
    with Project.open(images, read_only=True) as project:
        touched = {record.relative_path: record.status for record in project.images}
        masks = sorted(path.name for path in (project.directory / "masks").rglob("*.png"))
    assert touched == {"a.jpg": ImageStatus.TOUCHED, "sub/b.jpg": ImageStatus.TOUCHED, "c.jpg": ImageStatus.NEW}
    assert masks == ["a.jpg.png", "b.jpg.png"]


def test_a_new_project_takes_the_classes_of_the_source(tmp_path: Path) -> None:
    images, labels = images_and_labels(tmp_path)
    assert do(labels, "--images", images) == 0
    with Project.open(images, read_only=True) as project:
        assert project.catalog.names == ("background", "road", "car")


def test_a_new_project_takes_the_named_classes(tmp_path: Path) -> None:
    images, labels = images_and_labels(tmp_path)
    assert do(labels, "--images", images, "--catalog", "cityscapes19", "--project", tmp_path / "data") == 0
    with Project.open(images, tmp_path / "data", read_only=True) as project:
        assert project.catalog.name == "cityscapes19"
    assert not (images / ".atrous").exists()


def test_what_the_user_did_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from app.state.patch import diff_patch

    images, labels = images_and_labels(tmp_path)
    with Project.open(images, catalog=CATALOG) as project:
        for record in project.images[:2]:
            document = project.load(record.id).document
            painted, by = document.labels.copy(), document.provenance.copy()
            painted[:8], by[:8] = 1, Provenance.USER
            patch = diff_patch(document.labels, document.provenance, painted, by)
            project.append_step(record.id, "Brush", Provenance.USER, patch)
        reviewed = next(record for record in project.images if record.relative_path == "sub/b.jpg")
        project.set_status(reviewed.id, ImageStatus.REVIEWED)
    assert do(labels, "--images", images, "--json") == 0
    summary = events(capsys.readouterr().out)["summary"][0]
    assert (summary["images"], summary["reviewed"], summary["unchanged"]) == (1, 1, 0)
    document = stored(images, "a.jpg")
    assert (document.labels[:8] == 1).all()
    assert (document.provenance[:8] == Provenance.USER).all()
    assert document.labels[12, 25] == 2
    assert not (stored(images, "sub/b.jpg").provenance == Provenance.IMPORT).any()
    assert do(labels, "--images", images, "--json", "--overwrite") == 0
    summary = events(capsys.readouterr().out)["summary"][0]
    assert (summary["images"], summary["reviewed"], summary["kept_px"]) == (2, 0, 0)
    assert stored(images, "a.jpg").labels[0, 0] == 0
    assert do(labels, "--images", images, "--json", "--overwrite") == 0
    assert events(capsys.readouterr().out)["summary"][0]["unchanged"] == 2


def test_the_step_can_be_undone(tmp_path: Path) -> None:
    images, labels = images_and_labels(tmp_path)
    started(images)
    assert do(labels, "--images", images) == 0
    with Project.open(images) as project:
        record = next(one for one in project.images if one.relative_path == "a.jpg")
        loaded = project.load(record.id)
        assert [step.title for step in loaded.steps] == ["Import labelme JSON"]
        loaded.document.apply(loaded.steps[-1].patch.inverted())
        assert (loaded.document.labels == CATALOG.ignore).all()


def test_unmapped_classes_stop_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = images_and_labels(tmp_path)
    write(labels / "c.json", labelme("c.jpg", shape("zebra", SQUARE)))
    assert do(labels, "--images", images, "--catalog", "voc21", "--map", "road=background") == 2
    assert "no class for: zebra" in capsys.readouterr().err
    assert not (images / ".atrous").exists()
    assert do(labels, "--images", images, "--catalog", "voc21", "--map", "road=background", "--map", "zebra=horse") == 0
    assert stored(images, "c.jpg").labels[5, 6] == 13


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--map", "road"], "OLD=NEW"),
        (["--map", "road=car", "--map", "road=void"], "is mapped to"),
        (["--map", "yeti=car"], "no class 'yeti'"),
        (["--unlabelled", "lane"], "no class 'lane'"),
        (["--catalog", "voc21"], "has the classes 'own' already"),
        (["--catalog", "nothing"], "no catalog named"),
        (["--format", "coco"], "not a file of this format"),
        (["--extract-images", "--dry-run"], "leave --dry-run out"),
    ],
)
def test_wrong_use_is_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    images, labels = images_and_labels(tmp_path)
    started(images)
    (labels / "b.json").unlink()
    code = do(labels, "--images", images, *arguments)
    err = capsys.readouterr().err
    assert said in err
    assert code == 2


def test_labels_of_other_images_are_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, labels = images_and_labels(tmp_path)
    others = photographs(tmp_path / "others", ["x.jpg"])
    assert do(labels, "--images", others) == 2
    assert "no image of" in capsys.readouterr().err
    assert not (others / ".atrous").exists()


def test_one_image_fails_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = images_and_labels(tmp_path)
    write(labels / "c.json", labelme("c.jpg", shape("car", SQUARE), size=(9, 9)))
    assert do(labels, "--images", images, "--json") == 1
    found = events(capsys.readouterr().out)
    assert [row["image"] for row in found["failed"]] == ["c.jpg"]
    assert "9 x 9 px" in found["failed"][0]["error"]["what"]
    assert (found["summary"][0]["images"], found["summary"][0]["failed"]) == (2, 1)
    assert found["plan"][0]["format"] == "labelme"
    assert {row["name"]: row["regions"] for row in found["plan"][0]["classes"]} == {"road": 1, "car": 3}
    assert {row["image"]: row["regions"] for row in found["image"]} == {"a.jpg": 2, "sub/b.jpg": 1}


def test_a_dry_run_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = images_and_labels(tmp_path)
    assert do(labels, "--images", images, "--dry-run", "--json") == 0
    assert events(capsys.readouterr().out)["summary"][0]["pixels"]["car"] == 465
    assert not (images / ".atrous").exists()


def test_pixels_without_a_label_are_what_the_user_says(tmp_path: Path) -> None:
    images, labels = images_and_labels(tmp_path)
    started(images)
    assert do(labels, "--images", images, "--unlabelled", "void") == 0
    assert stored(images, "a.jpg").labels[29, 39] == CATALOG.ignore


def test_images_within_the_labels_are_written_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "images"
    images.mkdir()
    data = base64.b64encode(png(np.full((HEIGHT, WIDTH, 3), 9, np.uint8))).decode()
    write(tmp_path / "labels/a.json", labelme("a.png", shape("car", SQUARE)) | {"imageData": data})
    assert do(tmp_path / "labels", "--images", images) == 2
    assert "--extract-images" in capsys.readouterr().err
    assert do(tmp_path / "labels", "--images", images, "--extract-images") == 0
    assert stored(images, "a.png").labels[5, 6] == 1
    capsys.readouterr()
    assert do(tmp_path / "labels", "--images", images, "--extract-images") == 1
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize("named", [False, True])
def test_plain_masks_are_read_in_their_own_classes(tmp_path: Path, named: bool) -> None:
    city, voc = get_catalog("cityscapes19"), get_catalog("voc21")
    images = photographs(tmp_path / "images", ["a.jpg"])
    labels = np.full((HEIGHT, WIDTH), city.ignore, np.uint8)
    labels[3:9], labels[12:15] = 13, 11  # car and person
    (tmp_path / "masks").mkdir()
    if named:
        Image.fromarray(labels).save(tmp_path / "masks/a.png")
    else:
        write_indexed_png(tmp_path / "masks/a.png", labels, city)
    with Project.open(images, catalog=voc):
        pass
    maps = [part for name in city.names for part in ("--map", f"{name}=void") if voc.by_name(name) is None and name != "rider"]
    maps += ["--map", "rider=person"]
    code = do(tmp_path / "masks", "--images", images, *(["--mask-classes", "cityscapes19"] if named else []), *maps)
    assert code == 0
    found = stored(images, "a.jpg").labels
    assert [int(found[row, 0]) for row in (0, 4, 13)] == [255, 7, 15]


def test_masks_in_the_project_s_classes(tmp_path: Path) -> None:
    catalog = tmp_path / "own.json"
    save_catalog(CATALOG, catalog)
    images = photographs(tmp_path / "images", ["a.jpg"])
    labels = blobs(CATALOG, (HEIGHT, WIDTH), 2)
    (tmp_path / "masks").mkdir()
    write_indexed_png(tmp_path / "masks/a.png", labels, CATALOG)
    assert do(tmp_path / "masks", "--images", images, "--catalog", catalog) == 0
    assert np.array_equal(stored(images, "a.jpg").labels, labels)


def test_masks_without_classes_need_a_catalog(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = photographs(tmp_path / "images", ["a.jpg"])
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.full((HEIGHT, WIDTH), 3, np.uint8)).save(tmp_path / "masks/a.png")
    assert do(tmp_path / "masks", "--images", images) == 2
    assert "--mask-classes" in capsys.readouterr().err


def test_frames_of_a_photograph_are_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "images"
    images.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (WIDTH, HEIGHT)).save(images / "a.jpg", exif=exif)
    values = coco({"category_id": 2, "segmentation": [[value for point in SQUARE for value in point]]}, names=["a.jpg"])
    path = write(tmp_path / "a.json", values)
    assert do(path, "--images", images) == 1
    assert "--mask-frame" in capsys.readouterr().err
    assert do(path, "--images", images, "--mask-frame", "stored") == 0
    found = stored(images, "a.jpg").labels
    assert found[HEIGHT - 6, WIDTH - 7] == 2
    assert found[5, 6] == 0


def test_a_project_that_another_process_holds_is_not_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = images_and_labels(tmp_path)
    with Project.open(images, catalog=CATALOG):
        assert do(labels, "--images", images) != 0
    assert "cannot be changed" in capsys.readouterr().err
    assert (stored(images, "a.jpg").labels == CATALOG.ignore).all()


@pytest.mark.parametrize("reviewed", [False, True])
def test_who_set_the_pixels_comes_back_with_an_export(tmp_path: Path, reviewed: bool) -> None:
    from app.state.patch import diff_patch
    from app.state.samples import ExportSource
    from deeplab_core.masks.export import export_masks, get_exporter

    first, second = photographs(tmp_path / "first", ["a.jpg"]), photographs(tmp_path / "second", ["a.jpg"])
    with Project.open(first, catalog=CATALOG) as project:
        record = project.images[0]
        document = project.load(record.id).document
        labels, by = np.ones_like(document.labels), np.full_like(document.provenance, Provenance.MODEL)
        labels[:8], by[:8], by[8:10] = 2, Provenance.USER, Provenance.RECLASSIFIED
        patch = diff_patch(document.labels, document.provenance, labels, by)
        project.append_step(record.id, "Brush", Provenance.USER, patch)
        if reviewed:
            project.set_status(record.id, ImageStatus.REVIEWED)
        item = replace(ExportSource(project, record.id).item(), provenance=lambda: by, reviewed=reviewed)
        assert export_masks([item], get_exporter("indexed"), tmp_path / "out", provenance=True).failed == ()
    with Project.open(second, catalog=CATALOG):
        pass
    assert do(tmp_path / "out", "--images", second, "--format", "masks") == 0
    document = stored(second, "a.jpg")
    assert np.array_equal(document.labels, labels)
    expected = np.where(by == Provenance.MODEL, Provenance.IMPORT, by) if reviewed else by
    assert np.array_equal(document.provenance, expected)
    with Project.open(second, read_only=True) as project:
        assert project.images[0].reviewed == reviewed


@pytest.mark.parametrize("edit", ["merge", "delete"])
@pytest.mark.parametrize("form", ["masks", "numpy", "voc"])
def test_ids_of_classes_that_are_gone_follow_the_edit(tmp_path: Path, form: str, edit: str) -> None:
    images = started(photographs(tmp_path / "images", ["a.jpg"]))
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[3:9], labels[12:20] = 1, 2
    source = tmp_path / "in"
    if form == "numpy":
        source.mkdir()
        np.save(source / "a.npy", labels)
    elif form == "voc":
        assert run(["export", str(_painted(images, labels)), "-o", str(source), "--format", "voc", "--scope", "touched"]) == 0
        with Project.open(images) as project:
            project.start_over(project.images[0].id)
    else:
        source.mkdir()
        write_indexed_png(source / "a.png", labels, CATALOG)
    option = ["--merge", "car=road"] if edit == "merge" else ["--delete", "car"]
    assert run(["classes", "edit", str(images), *option]) == 0
    assert do(source, "--images", images) == 0
    assert np.array_equal(stored(images, "a.jpg").labels, np.where(labels == 2, 1 if edit == "merge" else 255, labels))


def _painted(images: Path, labels: np.ndarray) -> Path:
    from app.state.label_import import store_labels

    with Project.open(images) as project:
        store_labels(project, project.images[0].id, labels, "Brush", overwrite=True)
    return images


def test_binary_masks_are_warned_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = photographs(tmp_path / "images", ["a.jpg"])
    masks = tmp_path / "masks"
    masks.mkdir()
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[4:9] = 255
    Image.fromarray(labels).save(masks / "a.png")
    assert do(masks, "--images", images, "--mask-classes", "voc21", "--catalog", "voc21") == 0
    assert "The masks hold only 0 (background) and 255" in capsys.readouterr().out


def test_a_new_project_keeps_the_ids_of_atrous_s_own_masks(tmp_path: Path) -> None:
    from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo

    own = ClassCatalog("own", "Own", (ClassInfo(3, "road", (1, 2, 3)), ClassInfo(8, "car", (4, 5, 6))), file_ignore=255)
    images = photographs(tmp_path / "images", ["a.jpg"])
    labels = np.full((HEIGHT, WIDTH), 3, np.uint8)
    labels[4:9] = 8
    with Project.open(images, tmp_path / "first", catalog=own):
        pass
    from app.state.label_import import store_labels

    with Project.open(images, tmp_path / "first") as project:
        store_labels(project, project.images[0].id, labels, "Brush", overwrite=True)
    for form in ("indexed", "raw_ids", "coco_rle", "ids_16bit"):
        out, again = tmp_path / form, tmp_path / f"again-{form}"
        done = run(["export", str(images), "--project", str(tmp_path / "first"), "-o", str(out), "--format", form,
                    "--scope", "touched"])  # fmt: skip
        assert done == 0
        assert do(out, "--images", images, "--project", again) == 0
        with Project.open(images, again) as project:
            assert project.catalog.ids.tolist() == [3, 8]
            assert np.array_equal(project.load(project.images[0].id).document.labels, labels)


def test_an_unknown_class_for_the_rest_stops_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = images_and_labels(tmp_path)
    assert do(labels, "--images", images, "--unlabelled", "nope") == 2
    assert capsys.readouterr().err.count("has no class 'nope'") == 1
    assert not (images / ".atrous").exists()


def test_what_is_not_read_names_its_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = images_and_labels(tmp_path)
    write(labels / "a.json", labelme("a.jpg", shape("road", SQUARE), shape("road", [[1, 1], [2, 2]])))
    assert do(labels, "--images", images) == 1  # an object that the user drew did not come in
    assert "not read: a.jpg: a shape: it has 2 of at least 3 points" in capsys.readouterr().out
    write(labels / "b.json", labelme("b.jpg", shape("road", [[1, 1], [2, 2]]), shape("road", SQUARE)))
    assert do(labels, "--images", images, "--dry-run", "--json") == 1
    rows = events(capsys.readouterr().out)["summary"][0]["not_read"]
    assert rows == [{"name": "a shape", "why": "it has 2 of at least 3 points", "count": 2, "damaged": True, "image": "a.jpg"}]


@pytest.mark.parametrize("form", ["coco", "yolo", "cvat", "labelme", "labelstudio"])
def test_an_image_without_any_readable_region_fails_and_does_not_become_empty(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Boxes and lines have no area in these formats: the image of b would become background all over."""
    images, labels = photographs(tmp_path / "images", ["a.jpg", "b.jpg"]), tmp_path / "labels"
    size = f"width='{WIDTH}' height='{HEIGHT}'"
    if form == "coco":
        outline = {"category_id": 1, "segmentation": [[5, 4, 20, 4, 20, 15]]}
        box_only = {"category_id": 2, "image_id": 2, "bbox": [5, 4, 10, 10], "segmentation": []}
        write(labels / "a.json", coco(outline, box_only))
    elif form == "yolo":
        write(labels / "data.yaml", "names: [road, car]\n")
        write(labels / "labels/a.txt", "0 0.1 0.1 0.5 0.1 0.5 0.5\n")
        write(labels / "labels/b.txt", "1 0.5 0.5 0.2 0.2\n")
    elif form == "cvat":
        area, line = "<polygon label='road' points='5,4;20,4;20,15'/>", "<polyline label='car' points='5,4;20,4'/>"
        rows = f"<image name='a.jpg' {size}>{area}</image><image name='b.jpg' {size}>{line}</image>"
        write(labels / "a.xml", f"<annotations><version>1.1</version>{rows}</annotations>")
    elif form == "labelme":
        write(labels / "a.json", labelme("a.jpg", shape("road", SQUARE)))
        write(labels / "b.json", labelme("b.jpg", shape("car", [[1, 1], [2, 2]], "unknown")))
    else:
        value = {"polygonlabels": ["road"], "points": [[10, 10], [50, 10], [50, 50]]}
        sized = {"original_width": WIDTH, "original_height": HEIGHT}
        drawn = {"type": "polygonlabels", "value": value, **sized}
        point = {"type": "keypointlabels", "value": {"keypointlabels": ["car"], "x": 1, "y": 1}, **sized}
        day = {"type": "choices", "value": {"choices": ["day"]}, **sized}
        tasks = [("a.jpg", [drawn, day]), ("b.jpg", [point, day])]
        write(labels / "a.json", [{"data": {"image": name}, "annotations": [{"result": rows}]} for name, rows in tasks])
    assert do(labels, "--images", images) == 1
    assert "b.jpg: " in (said := capsys.readouterr().err)
    assert "none of the labels of this image can be read" in said
    assert (stored(images, "a.jpg").labels == 1).any()
    assert (stored(images, "b.jpg").provenance == Provenance.UNSET).all()


def test_masks_of_0_and_255_are_doubted_and_can_be_imported_as_an_object(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = started(photographs(tmp_path / "images", ["a.jpg", "b.jpg"]))
    (tmp_path / "masks").mkdir()
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:9] = 255
    for name in "ab":
        Image.fromarray(mask).save(tmp_path / f"masks/{name}.png")
    assert do(tmp_path / "masks", "--images", images, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "as binary masks do" in said
    assert "--format binary --map 'masks=CLASS'" in said
    assert do(tmp_path / "masks", "--images", images, "--format", "binary", "--map", "masks=road") == 0
    assert np.array_equal(stored(images, "a.jpg").labels, np.where(mask, 1, 0))


def test_labels_that_fit_several_images_are_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = photographs(tmp_path / "images", ["x/a.jpg", "y/a.jpg", "b.jpg"])
    write(tmp_path / "labels/b.json", labelme("b.jpg", shape("road", SQUARE)))
    write(tmp_path / "labels/other.json", labelme("gone.jpg", shape("road", SQUARE)))
    assert do(tmp_path / "labels", "--images", images) == 0  # a part of a data set is not a failure
    write(tmp_path / "labels/a.json", labelme("a.jpg", shape("road", SQUARE)))
    assert do(tmp_path / "labels", "--images", images) == 1
    assert "Several images have this name" in capsys.readouterr().err
    write(tmp_path / "labels/b2.json", labelme("b.jpg", shape("road", SQUARE)))
    assert do(tmp_path / "labels", "--images", images, "--dry-run") == 2
    said = capsys.readouterr()
    assert "labels for 0 of 3 images" in said.out
    assert "Several label files belong to b.jpg: import one of them" in said.err


def test_what_a_format_loses_by_its_nature_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = photographs(tmp_path / "images", ["ADE_1.jpg"])
    colors = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colors[5:9] = (30, 5, 60)
    for name in ("seg", "parts_1"):
        (tmp_path / "ade").mkdir(exist_ok=True)
        Image.fromarray(colors).save(tmp_path / f"ade/ADE_1_{name}.png")
    assert do(tmp_path / "ade", "--images", images) == 0
    assert "ADE_1_parts_1.png" in capsys.readouterr().err


def test_a_background_of_outlines_has_the_id_0(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["a.jpg"])
    write(tmp_path / "labels/a.json", labelme("a.jpg", shape("road", SQUARE), shape("_background_", LATER)))
    assert do(tmp_path / "labels", "--images", images) == 0
    with Project.open(images, read_only=True) as project:
        assert project.catalog.names == ("_background_", "road")
        assert project.catalog.background == 0


def test_what_is_about_the_image_as_a_whole_leaves_it_empty(tmp_path: Path) -> None:
    images = photographs(tmp_path / "images", ["a.jpg"])
    day = {"type": "choices", "value": {"choices": ["day"]}, "original_width": WIDTH, "original_height": HEIGHT}
    path = write(tmp_path / "a.json", [{"data": {"image": "a.jpg"}, "annotations": [{"result": [day]}]}])
    assert do(path, "--images", started(images)) == 0
    assert (stored(images, "a.jpg").labels == 0).all()


def test_images_that_fail_alike_are_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{number}.jpg" for number in range(7)]
    images = photographs(tmp_path / "images", names)
    exif = Image.Exif()
    exif[0x0112] = 3
    for name in names[:6]:
        Image.new("RGB", (WIDTH, HEIGHT)).save(images / name, exif=exif)
    rows = [{"category_id": 1, "image_id": number, "segmentation": [[5, 4, 20, 4, 20, 15]]} for number in range(1, 8)]
    path = write(tmp_path / "a.json", coco(*rows, names=names))
    assert do(path, "--images", images) == 1
    said = capsys.readouterr().err
    assert said.count("not imported") == said.count("Say which frame") == 1
    assert "not imported: 6 images (0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 1 more)" in said.replace("\u202f", " ")
    assert do(path, "--images", images, "--json") == 1
    assert len(events(capsys.readouterr().out)["failed"]) == 6


@pytest.mark.parametrize("dry", [False, True])
def test_what_a_locked_class_or_the_user_keeps_did_not_come_in(
    tmp_path: Path, dry: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    images = started(photographs(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg"]))
    road = np.ones((HEIGHT, WIDTH), np.uint8)
    _painted(images, road)
    with Project.open(images) as project:
        project.lock_classes(frozenset({1}))
    for name in "abc":
        write(tmp_path / f"labels/{name}.json", labelme(f"{name}.jpg", shape("car" if name == "a" else "road", SQUARE)))
    write(tmp_path / "labels/c.json", labelme("c.jpg", shape("car", SQUARE)))
    options = ["--dry-run"] if dry else []
    assert do(tmp_path / "labels", "--images", images, "--json", "--overwrite", *options) == 0
    summary = events(capsys.readouterr().out)["summary"][0]
    assert [summary[key] for key in ("images", "unchanged", "held")] == [2, 0, 1]
    square = 16 * 12
    total = WIDTH * HEIGHT
    assert summary["locked_px"] == total + square
    assert summary["pixels"] == {"background": 2 * (total - square), "car": square}
    assert do(tmp_path / "labels", "--images", images, *options) == 0
    out = capsys.readouterr().out.replace("\u202f", " ")
    assert f"{1 if dry else 2} image" in out
    assert "took nothing: all that is new to" in out
    assert "the source has 3 regions" in out
    assert summary["filled_px"] == 2 * (total - square)
    assert ("have no label" in out) is dry  # the second import stores nothing more


def test_a_class_of_damaged_shapes_and_missing_images_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = photographs(tmp_path / "images", ["a.jpg"])
    write(tmp_path / "labels/a.json", labelme("a.jpg", shape("road", SQUARE), shape("lamp", [[None, 1], [2, 3], [4, 5]])))
    write(tmp_path / "labels/gone.json", labelme("gone.jpg", shape("kite", SQUARE)))
    assert do(tmp_path / "labels", "--images", images, "--dry-run") == 1
    assert "No pixel came in of 2 classes: lamp, kite." in capsys.readouterr().out
    plan = scan(tmp_path / "labels", images, ["a.jpg"])
    plan, totals = plan.mapped(plan.own_catalog()), ImportTotals()
    list(import_items(None, {}, plan, totals))
    assert [name for name, text in summary_of(plan, totals, "background").unread if "No pixel" in text] == ["lamp", "kite"]


def test_an_image_that_is_not_exported_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = images_and_labels(tmp_path)
    assert do(labels, "--images", images) == 0
    out = ["export", str(images), "--scope", "all", "--format", "cityscapes", "-o", str(tmp_path / "out")]
    assert run(out) == 1
    line = next(line for line in capsys.readouterr().err.splitlines() if "not exported: 2 images (a.jpg, sub/b.jpg)" in line)
    assert line.count("a.jpg") == 1
    assert "Cityscapes has no class for background" in line


def test_groups_without_splits_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, labels = images_and_labels(tmp_path)
    assert do(labels, "--images", images) == 0
    assert run(["export", str(images), "--scope", "all", "--group", "parent", "-o", str(tmp_path / "out")]) == 2
    assert "give --split" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["labelme", "coco", "supervisely", "labelstudio"])
def test_other_files_beside_labels_are_listed_and_a_damaged_one_is_a_failure(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Captions beside COCO's instances, settings beside labelme's files: what no label file is does not fail."""
    images, labels = photographs(tmp_path / "images", ["a.jpg"]), tmp_path / "labels"
    if form == "labelme":
        write(labels / "a.json", labelme("a.jpg", shape("road", SQUARE)))
    elif form == "coco":
        outline = {"category_id": 1, "segmentation": [[5, 4, 20, 4, 20, 15]]}
        write(labels / "a.json", coco(outline, names=["a.jpg"]))
    elif form == "supervisely":
        road = {"classTitle": "road", "geometryType": "polygon", "points": {"exterior": SQUARE, "interior": []}}
        write(labels / "meta.json", {"classes": [{"title": "road"}], "tags": []})
        write(labels / "ds/ann/a.jpg.json", {"size": {"height": HEIGHT, "width": WIDTH}, "objects": [road]})
    else:
        value = {"polygonlabels": ["road"], "points": [[10, 10], [50, 10], [50, 50]]}
        drawn = {"type": "polygonlabels", "value": value, "original_width": WIDTH, "original_height": HEIGHT}
        write(labels / "a.json", [{"data": {"image": "a.jpg"}, "annotations": [{"result": [drawn]}]}])
    write(labels / "settings.json", {"images": [], "annotations": [], "theme": "dark"})
    assert do(labels, "--images", images) == 0
    assert "settings.json" in capsys.readouterr().err
    write(labels / "half.json", '{"shapes": [')
    assert do(labels, "--images", images) == 1
    assert "half.json: the label file is not valid JSON" in capsys.readouterr().err
