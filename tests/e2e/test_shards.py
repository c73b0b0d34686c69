"""Shards from command line to figures: torchrun with two and four processes, array jobs, a server, a kill in between."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from app.cli import run
from deeplab_core.atomic import UNFINISHED
from deeplab_core.catalogs.catalog import ClassCatalog, ClassInfo
from deeplab_core.images import decode as decode_module
from deeplab_core.masks.png import encode_png
from deeplab_core.masks.stored import decode_stored
from deeplab_core.shards import retries
from tests.fakes.shards import labels, mask, picture, read_tar, write_tar
from tests.file_server import serving
from tests.unit.app.tiny_model import save_tiny_model

pytestmark = pytest.mark.e2e
SHARDS, EACH = 6, 3
CATALOG = ClassCatalog("tiny", "Tiny", tuple(ClassInfo(i, f"class {i}", (i, 2 * i, 3 * i)) for i in range(5)))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six shards of three images with ground truth, their classes and a network."""
    folder = tmp_path_factory.mktemp("shards")
    save_tiny_model(folder / "tiny.safetensors")
    (folder / "classes.json").write_text(json.dumps(CATALOG.to_dict()))
    for number in range(SHARDS):
        members: dict[str, bytes] = {}
        for place in range(EACH):
            seed = 10 * number + place
            members |= {f"{seed:02}.png": picture(seed, 40, 56), f"{seed:02}.seg.png": mask(labels(seed, 5, 40, 56), CATALOG)}
        write_tar(folder / f"s-{number}.tar", members)
    return folder


def pattern(place: Path | str) -> str:
    return f"{place}/s-{{0..{SHARDS - 1}}}.tar"


def predicting(data: Path, out: Path, place: Path | str | None = None) -> list[str]:
    shards = pattern(place or data)
    return ["predict", "--shards", shards, "--model", str(data / "tiny.safetensors"), "-o", str(out), "--device", "cpu"]


def evaluating(data: Path, predictions: Path, parts: Path) -> list[str]:
    shared = ["--catalog", str(data / "classes.json"), "--partials", str(parts)]
    return ["evaluate", "--shards", pattern(data), "--prediction", str(predictions), *shared]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def by_torchrun(processes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.run([*launch, "-m", "app", *arguments], env=environment(), capture_output=True, text=True, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def alone(data: Path) -> Path:
    """The masks of one process."""
    out = data / "alone"
    assert run(predicting(data, out)) == 0
    return out


def test_results_are_shards_under_the_same_names(data: Path, alone: Path) -> None:
    names = [f"s-{n}.{end}" for n in range(SHARDS) for end in ("json", "tar")]
    assert [path.name for path in sorted(alone.iterdir())] == ["atrous-run.json", *names]
    members = read_tar(alone / "s-2.tar")
    assert list(members) == [f"2{place}.{end}" for place in range(EACH) for end in ("seg.png", "json")]
    found = decode_stored(members["20.seg.png"], Path("20.seg.png"))
    assert found.size == (56, 40)
    assert json.loads(members["20.json"])["frame"] == "stored"
    assert json.loads((alone / "s-2.json").read_text())["images"] == EACH


def test_two_processes_write_the_bytes_of_one(data: Path, alone: Path, tmp_path: Path) -> None:
    done = by_torchrun(2, *predicting(data, tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == contents(alone)


def test_four_processes_give_the_figures_of_one(data: Path, alone: Path, tmp_path: Path) -> None:
    one, many = tmp_path / "one.json", tmp_path / "many.json"
    assert run([*evaluating(data, alone, tmp_path / "parts"), "--json", str(one)]) == 0
    done = by_torchrun(4, *evaluating(data, alone, tmp_path / "parts-many"), "--json", str(many))
    assert done.returncode == 0, done.stderr
    figures, others = (json.loads(path.read_text()) for path in (one, many))
    del figures["ground_truth"], others["ground_truth"]
    assert figures == others
    assert len(figures["images"]) == SHARDS * EACH


def test_an_evaluation_knows_the_threshold_of_the_run(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As over folders: it stands beside precision and recall."""
    two = ClassCatalog("two", "Two", CATALOG.classes[:2], background=0)
    (tmp_path / "two.json").write_text(json.dumps(two.to_dict()))
    confidence = b"".join(encode_png(np.full((24, 32), 200, np.uint8)))
    members: dict[str, bytes] = {}
    for number in range(3):
        members |= {f"{number}.seg.png": mask(labels(number, 2), two), f"{number}.confidence.png": confidence}
    (tmp_path / "masks").mkdir()
    for folder in (tmp_path, tmp_path / "masks"):
        write_tar(folder / "s.tar", members)
    (tmp_path / "masks" / "atrous-run.json").write_text('{"threshold": 0.3}')
    command = ["evaluate", "--shards", str(tmp_path / "s.tar"), "--prediction", str(tmp_path / "masks")]
    command += ["--catalog", str(tmp_path / "two.json"), "--partials", str(tmp_path / "parts")]
    assert run([*command, "--json", str(tmp_path / "a.json")]) == 0, capsys.readouterr().err
    assert "at the threshold 0.3" in capsys.readouterr().out
    assert run(["evaluate", "--merge", str(tmp_path / "parts"), "--json", str(tmp_path / "b.json")]) == 0
    for name in ("a.json", "b.json"):
        assert json.loads((tmp_path / name).read_text())["precision_recall"]["threshold"] == 0.3


def test_shares_of_an_array_job_merge_to_the_figures_of_one_process(
    data: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for share in ("1/3", "0/3"):
        monkeypatch.setenv("ATROUS_SHARE", share)
        assert run(predicting(data, tmp_path / "out")) == 0
        assert run(evaluating(data, alone, tmp_path / "parts")) == 0
        assert "atrous evaluate --merge" in capsys.readouterr().err
    monkeypatch.delenv("ATROUS_SHARE")
    assert run(["evaluate", "--merge", str(tmp_path / "parts")]) == 1
    assert "2 of 6 shards are not evaluated yet, e.g. s-2" in capsys.readouterr().err
    # Another number of tasks goes on with what is there.
    assert run([*predicting(data, tmp_path / "out"), "--resume"]) == 0
    assert "6 masks in 2 shards, 4 finished shards kept" in capsys.readouterr().out
    assert contents(tmp_path / "out") == contents(alone)
    assert run([*evaluating(data, alone, tmp_path / "parts"), "--json", str(tmp_path / "a.json")]) == 0
    assert "2 shards counted, 4 shards counted before" in capsys.readouterr().err
    assert run(["evaluate", "--merge", str(tmp_path / "parts"), "--json", str(tmp_path / "b.json")]) == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_shards_come_from_a_server(data: Path, alone: Path, tmp_path: Path) -> None:
    with serving() as server:
        for number in range(SHARDS):
            server.files[f"/set/s-{number}.tar"] = (data / f"s-{number}.tar").read_bytes()
        assert run(predicting(data, tmp_path / "out", server.url("/set"))) == 0
    tars = {name: content for name, content in contents(alone).items() if name.endswith(".tar")}
    assert {name: content for name, content in contents(tmp_path / "out").items() if name.endswith(".tar")} == tars


def test_what_is_damaged_or_out_of_reach_is_named_and_the_rest_is_done(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {path.name: path.read_bytes() for path in sorted(data.glob("s-*.tar"))}
    members = read_tar(data / "s-1.tar")
    members["11.png"] = members["11.png"][:200]
    files["s-1.tar"] = write_tar(tmp_path / "s-1.tar", members).read_bytes()
    files["s-3.tar"] = files["s-3.tar"][: len(files["s-3.tar"]) // 2]
    with serving() as server:
        server.files = {f"/set/{name}": content for name, content in files.items() if name != "s-4.tar"}
        command = predicting(data, tmp_path / "out", server.url("/set"))
        assert run(command) == 1
        said = capsys.readouterr()
        assert "s-1.tar/11.png: the image file is damaged" in said.err
        assert f"{server.url('/set/s-3.tar')}: the shard is damaged" in said.err
        assert f"{server.url('/set/s-4.tar')}: there is no such file" in said.err
        assert len(read_tar(tmp_path / "out" / "s-1.tar")) == 2 * (EACH - 1)
        assert not (tmp_path / "out" / "s-4.tar").exists()
        server.files["/set/s-4.tar"] = files["s-4.tar"]
        assert run([*command, "--resume"]) == 1
        said = capsys.readouterr()
        assert "3 masks in 1 shard, 5 finished shards kept, 2 failed" in said.out
        assert "s-1: 1 image failed when it was made" in said.err


def test_a_server_that_is_busy_for_a_moment_costs_nothing(
    data: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retries, "PAUSES", (0, 0, 0))
    with serving() as server:
        for number in range(SHARDS):
            server.files[f"/set/s-{number}.tar"] = (data / f"s-{number}.tar").read_bytes()
        server.status = [0, 503, 0, 0, 502, 429]
        assert run(predicting(data, tmp_path / "out", server.url("/set"))) == 0
    assert "trying again" in caplog.text
    tars = {name: content for name, content in contents(alone).items() if name.endswith(".tar")}
    assert {name: content for name, content in contents(tmp_path / "out").items() if name.endswith(".tar")} == tars


@pytest.mark.parametrize("how", [(3, 1), (1, 2)], ids=["side by side", "in batches"])
def test_several_images_at_a_time_give_the_same_shards(
    data: Path, alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    how: tuple[int, int],
) -> None:  # fmt: skip
    """As over folders; members stand in the order of the samples, whichever was computed first."""
    monkeypatch.setattr("deeplab_core.inference.images_at_once", lambda *_arguments: how[0])
    monkeypatch.setattr("deeplab_core.inference.images_per_pass", lambda *_arguments: how[1])
    assert run(predicting(data, tmp_path / "out")) == 0
    said = capsys.readouterr().err
    assert said.count("images side by side: 3" if how[0] > 1 else "in a forward pass: up to 2") == 1
    assert contents(tmp_path / "out") == contents(alone)


def test_one_image_is_enough_to_find_how_many_are_computed_at_a_time(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen were decoded and held; of satellite images that was all memory."""
    decoded, decode = [], decode_module.decode_image
    monkeypatch.setattr(decode_module, "decode_image", lambda *given, **more: decoded.append(given[1]) or decode(*given, **more))
    assert run(predicting(data, tmp_path / "out")) == 0
    assert len(decoded) == SHARDS * EACH + 1


def engines(folder: Path) -> set[str]:
    """What the markers of a run say of its engine."""
    return {json.loads(path.read_text())["made_with"]["--engine"] for path in folder.glob("s-*.json")}


def test_all_processes_and_a_later_run_take_the_engine_of_one_trial(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    done = by_torchrun(2, *predicting(data, out), "--engine", "auto")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("engine: ") == 1
    (engine,) = engines(out)
    assert engine in ("torch", "onnx", "openvino")
    assert json.loads((out / "atrous-run.json").read_text()).get("engine", "torch") == engine
    (out / "s-3.json").unlink()
    (out / "s-3.tar").unlink()
    monkeypatch.setattr("deeplab_core.inference.Predictor.choose_engine", lambda *_arguments: pytest.fail("another trial"))
    for more in (["--engine", "auto"], []):
        assert run([*predicting(data, out), "--resume", *more]) == 0
    assert "6 finished shards kept" in capsys.readouterr().out
    assert engines(out) == {engine}


def test_shares_of_an_array_job_take_the_engine_of_the_first(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where both begin their trial before one has written the record."""
    out, command = tmp_path / "out", [*predicting(data, tmp_path / "out"), "--engine", "auto", "--share"]

    def second_first(*_arguments: object) -> str:
        monkeypatch.setattr("deeplab_core.inference.Predictor.choose_engine", lambda *_arguments: "onnx")
        assert run([*command, "1/2"]) == 0
        return "torch"

    monkeypatch.setattr("deeplab_core.inference.Predictor.choose_engine", second_first)
    assert run([*command, "0/2"]) == 0
    assert engines(out) == {"onnx"}
    assert len(list(out.glob("*.tar"))) == SHARDS
    for more in (["--overwrite"], ["-o", "memory://bucket/shards-out"]):
        assert run([*command, "0/2", *more]) == 2
        assert "need one engine" in capsys.readouterr().err


def test_a_killed_run_goes_on_with_another_number_of_processes(data: Path, alone: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "app", *predicting(data, out)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (list(out.glob("s-*.json")) and list(out.glob(UNFINISHED))):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    done = by_torchrun(2, *predicting(data, out), "--resume")
    assert done.returncode == 0, done.stderr
    assert contents(out) == contents(alone)  # and no unfinished file


def test_masks_never_replace_the_shards(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "set"
    place.mkdir()
    for path in data.glob("s-*.tar"):
        (place / path.name).write_bytes(path.read_bytes())
    before = contents(place)
    (tmp_path / "link").symlink_to(place)
    for out in (place, tmp_path / "link", tmp_path / "elsewhere" / ".." / "set"):
        for more in ([], ["--resume"], ["--overwrite"]):
            assert run([*predicting(data, out, place), *more]) == 2
            assert "s-0.tar is one of the shards, which masks never replace" in capsys.readouterr().err
            assert contents(place) == before


def test_what_no_run_wrote_is_replaced_by_overwrite_alone(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write_tar(out / "s-0.tar", {"mine.txt": b"mine"})
    before = contents(out)["s-0.tar"]
    command = predicting(data, out)
    assert run([*command, "--resume"]) == 1
    assert "s-0.tar is there, and nothing says that a run like this one wrote it" in capsys.readouterr().err
    assert contents(out)["s-0.tar"] == before
    assert run([*command, "--overwrite"]) == 0
    assert contents(out)["s-0.tar"] != before


def test_mistakes_get_one_line_and_status_2(data: Path, alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = predicting(data, alone)
    for more, words in (
        ([], "is already there; add --resume"),
        (["--resume", "--flip"], "--flip was not given and is given"),
        (["--resume", "--save-confidence"], "--save-confidence was not given and is given"),
        (["--resume", "--engine", "onnx"], "--engine was torch and is onnx"),
        (["--share", "6/6"], "not a share such as 0/4"),
    ):
        assert run([*command, *more]) == 2
        assert words in capsys.readouterr().err
    assert run(["predict", str(data), "--share", "0/2", "--model", "x", "-o", "y"]) == 2
    assert "--share goes with --shards" in capsys.readouterr().err
    assert run(["predict", "--model", "x", "-o", "y"]) == 2
    assert "or shards with --shards" in capsys.readouterr().err
    assert run(["evaluate", "--shards", pattern(data), "--partials", str(tmp_path / "p")]) == 2
    assert "name them with --catalog" in capsys.readouterr().err
    assert run(["evaluate", "--shards", pattern(data)]) == 2
    assert "--shards goes with --partials" in capsys.readouterr().err
    assert run(["evaluate"]) == 2
    assert "--prediction" in capsys.readouterr().err


RECIPE = """
[recipe]
network = "deeplabv3plus"
backbone = "mobilenet_v2"
backbone_options = { width = 0.25 }
options = { aspp_channels = 16, decoder_channels = 16 }
steps = 6
batch = 4
crop = [32, 32]
rate = 0.01
class_weighting = "log_1.10"

[data]
catalog = "classes.json"
[[data.train]]
shards = "s-{0..4}.tar"
[[data.val]]
shards = ["s-5.tar"]
"""


@pytest.fixture(scope="module")
def trained(data: Path) -> Path:
    """A run of one process."""
    (data / "recipe.toml").write_text(RECIPE)
    assert run(["train", "--recipe", str(data / "recipe.toml"), "-o", str(data / "run"), "--threads", "1"]) == 0
    return data / "run"


def losses(folder: Path) -> list[float]:
    with (folder / "log.csv").open() as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream)]


def test_two_processes_train_on_shards_as_one_does(data: Path, trained: Path, tmp_path: Path) -> None:
    """Each reads its own shards once for the index, and its own blocks from then on."""
    done = by_torchrun(2, "train", "--recipe", str(data / "recipe.toml"), "-o", str(tmp_path / "run"), "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert losses(tmp_path / "run") == pytest.approx(losses(trained), rel=0.02)
    assert losses(tmp_path / "run")[0] == pytest.approx(losses(trained)[0], rel=1e-3)
    kept = [sorted(path.relative_to(folder) for path in folder.rglob("*.index.json")) for folder in (trained, tmp_path / "run")]
    assert kept[0] == kept[1]
    assert len(kept[0]) == SHARDS


def test_a_run_on_shards_goes_on_by_its_folder_alone(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    base = ["train", "-o", str(out), "--threads", "1"]
    (data / "recipe.toml").write_text(RECIPE)
    assert run([*base, "--recipe", str(data / "recipe.toml"), "--steps", "3"]) == 0
    assert run([*base, "--resume", "--steps", "6"]) == 0
    assert "continuing after step 3 of 6" in capsys.readouterr().err
    assert (out / "model.safetensors").is_file()


def test_mistakes_with_shards_of_a_training(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = ["train", "-o", str(tmp_path / "run"), "--shards", pattern(data)]
    for more, words in (
        ([], "name them with --catalog"),
        (["--catalog", "voc21", "--images", str(data)], "trains on shards, or on folders"),
        (
            ["--catalog", str(data / "classes.json"), "--set", 'hard_classes=["class 1"]'],
            "'hard_classes' does not work with shards",
        ),
    ):
        assert run([*shards, *more]) in (1, 2)
        assert words in capsys.readouterr().err
