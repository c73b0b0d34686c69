"""``atrous predict`` from image files to masks, with a tiny network of random weights."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.cli import run
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks import read_marker
from deeplab_core.masks.read import read_mask
from deeplab_core.nn import create_model
from deeplab_core.records import ModelCard, Preprocessing
from deeplab_core.weights import save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    network = create_model("deeplabv3", backbone="mobilenet_v2", num_classes=21, output_stride=16).eval()
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    card = ModelCard(
        id="tiny", name="Tiny", architecture={}, catalog=get_catalog("voc21"), preprocessing=Preprocessing(resize="long_side:64")
    )
    save_model(path, network, card)
    return path


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Three images in two folders; one is rotated by its EXIF tag."""
    folder = tmp_path / "photographs"
    rng = np.random.default_rng(0)
    for name, size in (("a.jpg", (40, 30)), ("b.png", (33, 47)), ("deep/turned.jpg", (50, 20))):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))
        exif = Image.Exif()
        if "turned" in name:
            exif[0x0112] = 6
        image.save(path, exif=exif)
    return folder


def predict(model: Path, photographs: Path, out: Path, *options: str) -> int:
    return run(["predict", str(photographs), "--model", str(model), "-o", str(out), "--device", "cpu", *options])


def sizes(out: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in sorted(out.rglob("*.png")):
        with Image.open(path) as image:
            found[path.relative_to(out).as_posix()] = image.size
    return found


def test_evaluation_without_photographs_says_what_it_cannot_know(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out, truth = tmp_path / "photos", tmp_path / "out", tmp_path / "truth"
    photos.mkdir()
    for number, orientation in enumerate((1, 3, 6)):  # 6 changes the sides: the size of a mask tells its frame
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.full((20, 30, 3), 9 * number, np.uint8)).save(photos / f"{number}.jpg", exif=exif)
    assert predict(model, photos, out) == 0
    noted = out / ".atrous-output.json"
    killed = {key: value for key, value in json.loads(noted.read_text()).items() if key != "turned"}
    noted.write_text(json.dumps(killed))  # as a run that was killed leaves it
    assert predict(model, photos, out, "--resume") == 0
    marker = read_marker(out)
    assert marker is not None
    assert marker.turned == {"1.png"}
    shutil.copytree(out, truth, ignore=lambda _folder, names: [name for name in names if not name.endswith(".png")])
    base = ["evaluate", "--prediction", str(out), "--truth", str(truth), "--catalog", "voc21"]
    capsys.readouterr()
    assert run(base) == 0
    assert "1 photograph with an EXIF orientation: nothing says" in capsys.readouterr().err
    assert run([*base, "--images", str(photos), "--mask-frame", "stored"]) == 0
    assert "nothing says" not in capsys.readouterr().err


def test_one_indexed_mask_per_image_that_fits_the_raw_pixels(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert predict(model, photographs, out) == 0
    assert sizes(out) == {"a.png": (40, 30), "b.png": (33, 47), "deep/turned.png": (50, 20)}
    assert "3 written" in capsys.readouterr().out
    with Image.open(out / "a.png") as mask:
        assert mask.mode == "P"
        assert mask.getpalette()[:6] == [0, 0, 0, 128, 0, 0]


def test_oriented_frame_and_confidence(model: Path, photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert predict(model, photographs, out, "--frame", "oriented", "--save-confidence") == 0
    assert sizes(out)["deep/turned.png"] == (20, 50)
    with Image.open(out / "deep" / "turned.confidence.png") as confidence:
        assert confidence.mode == "L"
        assert confidence.size == (20, 50)
        assert np.asarray(confidence).min() >= 255 // 21


def test_the_two_frames_are_one_mask(model: Path, photographs: Path, tmp_path: Path) -> None:
    assert predict(model, photographs, tmp_path / "stored") == 0
    assert predict(model, photographs, tmp_path / "oriented", "--frame", "oriented") == 0
    voc = get_catalog("voc21")
    stored = read_mask(tmp_path / "stored" / "deep" / "turned.png", voc)
    oriented = read_mask(tmp_path / "oriented" / "deep" / "turned.png", voc)
    np.testing.assert_array_equal(np.rot90(stored, -1), oriented)


def test_masks_that_are_there_are_neither_overwritten_nor_trusted_unasked(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert predict(model, photographs, out) == 0
    kept = (out / "a.png").read_bytes()
    (out / "a.png").write_bytes(b"")
    capsys.readouterr()
    assert predict(model, photographs, out) == 2
    assert "--resume" in capsys.readouterr().err
    assert (out / "a.png").read_bytes() == b""
    assert predict(model, photographs, out, "--resume", "--json") == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (summary["written"], summary["kept"], summary["failed"]) == (1, 2, 0)
    assert (out / "a.png").read_bytes() == kept
    assert predict(model, photographs, out, "--overwrite") == 0


def test_resume_refuses_to_mix_two_runs(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert predict(model, photographs, out) == 0
    assert predict(model, photographs, out, "--resume", "--flip") == 2
    said = capsys.readouterr().err
    assert "masks of another run (--flip was not given and is given)" in said
    assert predict(model, photographs, out, "--resume", "--scales", "0.5,1", "--crf") == 2
    said = capsys.readouterr().err
    assert "--scales was 1 and is 0.5,1" in said
    assert "--crf was not given and is " in said
    record = json.loads((out / "atrous-run.json").read_text())
    assert not any(str(value) in said for value in record.values() if isinstance(value, str) and value == record["options"])
    del record["settings"]  # as an older version wrote it
    (out / "atrous-run.json").write_text(json.dumps(record))
    assert predict(model, photographs, out, "--resume", "--flip") == 2
    assert "its options were other ones than --scales 1, --flip, --precision auto" in capsys.readouterr().err


@pytest.mark.parametrize("engine", ["onnx", "openvino", "auto"])
def test_a_run_keeps_its_engine(
    engine: str,
    model: Path,
    photographs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for package in ("onnx", "onnxruntime", "openvino"):
        pytest.importorskip(package, reason=f"{package} is not installed: only torch can run a network")
    monkeypatch.setattr("deeplab_core.inference.engine_trial._WORTH", 1e-9)  # this machine's load does not decide
    out = tmp_path / "out"
    assert predict(model, photographs, out, "--engine", engine, "--json") == 0
    devices = {json.loads(line).get("device") for line in capsys.readouterr().out.splitlines()[:-1]}
    record = json.loads((out / "atrous-run.json").read_text())
    used = record.get("engine", "torch")
    assert used == ("torch" if engine == "auto" else engine)
    assert devices == {"cpu"} if used == "torch" else all(used.removesuffix("runtime") in str(name) for name in devices)
    kept = (out / "a.png").read_bytes()
    (out / "a.png").unlink()
    assert predict(model, photographs, out, "--resume", "--json") == 0
    assert (out / "a.png").read_bytes() == kept
    assert json.loads((out / "atrous-run.json").read_text()) == record
    other = "openvino" if used == "onnx" else "onnx"
    assert predict(model, photographs, out, "--resume", "--engine", other) == 2
    assert "masks of another run" in capsys.readouterr().err


def test_a_run_whose_engine_is_gone_is_not_mixed_with_another(
    model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert predict(model, photographs, out) == 0
    record = json.loads((out / "atrous-run.json").read_text())
    (out / "atrous-run.json").write_text(json.dumps({**record, "engine": "openvino"}))
    monkeypatch.setattr("deeplab_core.backends.engines.installed_engines", lambda: ("onnx",))
    assert predict(model, photographs, out, "--resume") == 2
    assert "which is not installed" in capsys.readouterr().err


def test_a_broken_image_fails_alone(model: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photographs / "broken.jpg").write_bytes(b"\xff\xd8\xff not a photograph")
    out = tmp_path / "out"
    assert predict(model, photographs, out, "--json") == 1
    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]
    failed = [event for event in events if event["event"] == "failed"]
    assert [Path(event["image"]).name for event in failed] == ["broken.jpg"]
    assert failed[0]["error"]["kind"] == "ImageReadError"
    assert len(sizes(out)) == 3
    assert "broken.jpg" in captured.err


def test_processes_of_one_launch_share_the_images(
    model: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, expected in (("0", 2), ("1", 3)):
        monkeypatch.setenv("RANK", rank)
        assert predict(model, photographs, out) == 0
        assert len(sizes(out)) == expected


def test_models_are_found_by_name(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ATROUS_MODEL_DIR", str(model.parent))
    assert run(["models", "list"]) == 0
    assert "tiny" in capsys.readouterr().out
    assert run(["models", "show", "Tiny", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)["card"]
    assert card["catalog"]["name"] == "voc21"
    assert run(["models", "show", "tiny"]) == 0
    assert "PASCAL VOC" in capsys.readouterr().out


@pytest.mark.slow
def test_real_photographs_give_the_published_figure(shared_real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All photographs with VOC-21 truth: pooled mIoU 0.59 over present classes, as the network's notes state."""
    monkeypatch.setenv("ATROUS_MODEL_DIR", str(shared_real / "weights"))
    inputs = [str(shared_real / "voc"), str(shared_real / "coco")]
    masks, figures = tmp_path / "masks", tmp_path / "figures.json"
    assert run(["predict", *inputs, "--model", "deeplabv3_mnv2_voc_folded", "-o", str(masks), "--device", "cpu"]) == 0
    truths = [part for place in ("voc/labels", "coco/labels_voc21") for part in ("--truth", str(shared_real / place))]
    assert run(["evaluate", "--prediction", str(masks), *truths, "--catalog", "voc21", "--json", str(figures)]) == 0
    result = json.loads(figures.read_text())
    assert len(result["images"]) == 99
    assert result["pooled"]["mean_iou"] == pytest.approx(0.59, abs=0.02)


def test_images_side_by_side_give_the_same_files(
    model: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (photographs / "broken.jpg").write_bytes(b"no image")
    assert predict(model, photographs, tmp_path / "one", "--save-confidence") == 1
    monkeypatch.setattr("deeplab_core.inference.images_at_once", lambda *_: 2)
    assert predict(model, photographs, tmp_path / "two", "--save-confidence") == 1
    assert "side by side: 2" in capsys.readouterr().err
    files = [path.relative_to(tmp_path / "one") for path in sorted((tmp_path / "one").rglob("*.png"))]
    assert len(files) == 6
    for file in files:
        assert (tmp_path / "two" / file).read_bytes() == (tmp_path / "one" / file).read_bytes()
    before = {file: (tmp_path / "two" / file).stat().st_mtime_ns for file in files}
    (tmp_path / "two" / files[0]).unlink()
    assert predict(model, photographs, tmp_path / "two", "--save-confidence", "--resume") == 1
    after = {file: (tmp_path / "two" / file).stat().st_mtime_ns for file in files}
    assert sum(after[file] != before[file] for file in files) in (1, 2)  # one mask, or its confidence with it
    assert (tmp_path / "two" / files[0]).read_bytes() == (tmp_path / "one" / files[0]).read_bytes()


def test_a_resumed_run_removes_what_a_killed_one_left_half_written(model: Path, photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert predict(model, photographs, out) == 0
    left, mine = out / "deep" / ".atrous-0123456789abcdef.tmp", out / "deep" / ".atrous-notes.tmp"
    for path in (left, mine):
        path.write_bytes(b"half a mask")
        os.utime(path, (1_700_000_000, 1_700_000_000))
    young = out / ".atrous-fedcba9876543210.tmp"
    young.write_bytes(b"of a run that goes on")
    os.utime(young, (4_000_000_000, 4_000_000_000))
    (out / "deep" / "turned.png").unlink()
    assert predict(model, photographs, out, "--resume") == 0
    assert (left.exists(), mine.exists(), young.exists()) == (False, True, True)


def test_images_in_batches_give_the_same_masks(
    model: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (photographs / "broken.jpg").write_bytes(b"no image")
    assert predict(model, photographs, tmp_path / "one") == 1
    monkeypatch.setattr("deeplab_core.inference.images_per_pass", lambda *_: 2)
    assert predict(model, photographs, tmp_path / "two") == 1
    captured = capsys.readouterr().err
    assert "images of one size in a forward pass: up to 2" in captured
    assert captured.count("broken.jpg") >= 2
    files = [path.relative_to(tmp_path / "one") for path in sorted((tmp_path / "one").rglob("*.png"))]
    assert len(files) == 3
    for file in files:
        one, two = (np.asarray(Image.open(tmp_path / run / file)) for run in ("one", "two"))
        assert (one == two).mean() >= 0.999  # a batch rounds otherwise: labels differ at ties
    before = {file: (tmp_path / "two" / file).stat().st_mtime_ns for file in files}
    (tmp_path / "two" / files[0]).unlink()
    assert predict(model, photographs, tmp_path / "two", "--resume") == 1
    assert sum((tmp_path / "two" / file).stat().st_mtime_ns != before[file] for file in files) == 1
