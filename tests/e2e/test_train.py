"""``atrous train`` as a user runs it: from files to a model that predicts, after a kill, and with two processes."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from app.cli import run
from app.state.lock import ProjectLock
from deeplab_core.weights import load_model
from tests.unit.app.tiny_model import save_photograph, save_tiny_model
from tests.unit.core.training.made_data import make_folder
from tests.unit.core.training.test_transfer import FOLDED
from tests.unit.core.training.test_transfer import saved as save_checkpoint

RECIPE = """
[recipe]
network = "deeplabv3plus"
backbone = "mobilenet_v2"
backbone_options = { width = 0.25 }
options = { separable = true, aspp_channels = 8, decoder_channels = 8, decoder_dropout = 0.0, aspp_dropout = 0.0 }
name = "toy rooms"
crop = [32, 40]
batch = 4
steps = 8
rate = 0.02
[data]
catalog = "CATALOG"
[[data.train]]
images = "data/images"
[[data.val]]
images = "data/images"
include = ["room_[01].png"]
"""

pytestmark = pytest.mark.e2e


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    make_folder(tmp_path / "data")
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace("CATALOG", (tmp_path / "data" / "toy.json").as_posix()))
    return path


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "app", *map(str, arguments)]


def by_torchrun(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Two processes, started and ended as users start them."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "app"]
    return subprocess.run([*launch, *map(str, arguments)], env=environment(), capture_output=True, text=True, check=False)


def as_two(*arguments: str | Path) -> None:
    """Two processes with what torchrun tells its processes, without torchrun, which imports torch a third time."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        told = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    processes = [
        subprocess.Popen(
            command(*arguments), env={**environment(), **told, "RANK": rank, "LOCAL_RANK": rank}, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        for rank in "01"
    ]  # fmt: skip
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_model(path)[0].state_dict()


def losses(folder: Path) -> list[float]:
    with (folder / "log.csv").open() as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream)]


def test_from_files_to_masks(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert run(["train", "--recipe", str(recipe), "-o", str(out), "--json", "--set", "summary='knows floors'"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["data"] * 2 + ["epoch"] * 4 + ["summary"]
    assert lines[-1]["validation"]["classes"] == 3
    _, card = load_model(out / "model.safetensors")
    assert (card.name, card.summary) == ("toy rooms", "knows floors")
    assert (
        run(["predict", str(tmp_path / "data" / "images"), "--model", str(out / "model.safetensors"), "-o", str(tmp_path / "m")])
        == 0
    )
    assert len(list((tmp_path / "m").glob("*.png"))) == 6
    # a second run in the same folder would destroy the first
    capsys.readouterr()
    assert run(["train", "--recipe", str(recipe), "-o", str(out)]) == 2
    assert "--resume" in capsys.readouterr().err


def test_a_checkpoint_gives_its_encoder_to_another_head(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert run(["train", "--recipe", str(recipe), "-o", str(first), "--set", "steps=1", "--threads", "1"]) == 0
    capsys.readouterr()
    flags = ["--init", str(first / "model.safetensors"), "--init-rate", "0.1", "--freeze", "encoder.stem", "--freeze",
             "encoder.blocks.?", "--fixed-scales", "0.75,1", "--cache-features", "--feature-cache", str(tmp_path / "kept"),
             "--set", "options={aspp_channels=16, decoder_channels=8}", "--set", "steps=3", "--norm", "frozen"]  # fmt: skip
    assert run(["train", "--recipe", str(recipe), "-o", str(second), "--threads", "1", *flags]) == 0
    said = capsys.readouterr().err
    for words in ("init: toy rooms", "taken: encoder (", "new: aspp (", "left: aspp (", "features of"):
        assert words in said
    assert list((tmp_path / "kept").glob("*/*.safetensors"))
    old, new = weights(first / "model.safetensors"), weights(second / "model.safetensors")
    assert all(torch.equal(old[key], new[key]) for key in old if key.startswith(("encoder.stem.", "encoder.blocks.0.")))
    assert not torch.equal(old["encoder.blocks.16.project.conv.weight"], new["encoder.blocks.16.project.conv.weight"])
    _, card = load_model(second / "model.safetensors")
    assert card.extra["training"]["lineage"]["start"] == "toy rooms"
    capsys.readouterr()
    assert run(["train", "--resume", "-o", str(second), "--epochs", "9", "--threads", "1"]) == 2
    assert "steps = 3" in capsys.readouterr().err
    assert run(["train", "--recipe", str(recipe), "-o", str(tmp_path / "x"), "--fixed-scales", "big"]) == 2
    assert "--fixed-scales is like 0.8,1, not 'big'" in capsys.readouterr().err


def test_flags_leave_out_images_of_the_recipe_too(recipe: Path, tmp_path: Path) -> None:
    flags = ["--exclude", "room_[0-3]*", "--set", "steps=1", "--threads", "1"]
    assert run(["train", "--recipe", str(recipe), "-o", str(tmp_path / "run"), *flags]) == 0
    _, card = load_model(tmp_path / "run" / "model.safetensors")
    data = card.extra["training"]["data"]
    assert data["images"] == 2
    assert data["validation_images"] == 2, "what is held out is chosen by the recipe alone"


def test_mistakes_get_one_line_and_status_2(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, named in (
        (["-o", str(tmp_path / "x")], "--images"),
        (["-o", str(tmp_path / "x"), "--recipe", str(recipe), "--crop", "big"], "--crop"),
        (["-o", str(tmp_path / "x"), "--recipe", str(recipe), "--set", "name=mine"], "quotes"),
        (["-o", str(tmp_path / "x"), "--recipe", str(recipe), "--set", "speed=3"], "speed"),
        (["-o", str(recipe / "x"), "--recipe", str(recipe)], "the folder cannot be created"),
        (["-o", str(tmp_path / "x"), "--recipe", str(recipe), "--resize", "321"], "321"),
        (["-o", str(tmp_path / "x"), "--recipe", str(recipe), "--set", "hard_classes=['chiar']"], "chiar"),
        (["-o", str(tmp_path / "x"), "--recipe", str(recipe), "--truth", "masks"], "--truth goes with --images"),
        (["-o", str(tmp_path / "x"), "--recipe", str(recipe), "--val-truth", "masks"], "--val-truth goes with --val-images"),
    ):
        assert run(["train", *arguments]) in (1, 2)
        said = capsys.readouterr().err.strip()
        assert named in said
        assert len(said.splitlines()) == 1


def test_a_run_goes_on_without_being_told_its_recipe(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the program advises works: the folder of the run names its recipe, classes and images."""
    out = tmp_path / "run"
    monkeypatch.chdir(tmp_path)
    flags = ["--set", "steps=1", "--threads", "1"]
    assert run(["train", "--recipe", "recipe.toml", "-o", "run", "--exclude", "room_5.png", *flags]) == 0
    before = weights(out / "model.safetensors")
    (out / "model.safetensors").unlink()
    recipe.unlink()
    monkeypatch.chdir(tmp_path.parent)
    capsys.readouterr()
    assert run(["train", "--resume", "-o", str(out), "--threads", "1"]) == 0
    assert "continuing after step 1 of 1" in capsys.readouterr().err
    after = weights(out / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert run(["train", "--resume", "-o", str(out), "--threads", "1", "--catalog", "voc21"]) == 1
    assert "3 classes, not 21" in capsys.readouterr().err
    assert run(["train", "--resume", "-o", str(tmp_path / "nothing")]) == 2
    assert "no run to go on with" in capsys.readouterr().err
    lock = ProjectLock(out / "run.lock")
    lock.acquire()
    assert run(["train", "--resume", "-o", str(out)]) == 1
    assert "another training writes into this folder" in capsys.readouterr().err
    lock.release()


def test_killed_and_resumed_it_ends_with_the_same_weights(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    steps = ["--set", "steps=40", "--set", "validate_every=0"]
    base = ["train", "--recipe", str(recipe), *steps, "--threads", "1", "--state-minutes", "0"]
    assert run([*base, "-o", str(whole)]) == 0
    state = broken / "state.safetensors"
    with subprocess.Popen(command(*base, "-o", broken), env=environment()) as process:
        while not state.exists() and process.poll() is None:  # the limit of the whole test is that of pytest
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert state.exists()
    assert not (broken / "model.safetensors").exists()
    capsys.readouterr()
    assert run([*base, "-o", str(broken), "--resume"]) == 0
    assert "continuing after step" in capsys.readouterr().err
    one, two = weights(whole / "model.safetensors"), weights(broken / "model.safetensors")
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert losses(whole) == losses(broken)


def test_an_interrupt_keeps_the_state(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = command("train", "--recipe", recipe, "-o", out, "--set", "steps=4000", "--set", "validate_every=0")
    with subprocess.Popen(arguments, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "epoch 1" not in (line := process.stderr.readline()) and line:
            pass
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait() == 130
    assert "--resume" in rest
    assert (out / "state.safetensors").exists()
    assert not (out / "model.safetensors").exists()


@pytest.mark.parametrize("start", ["scratch", "unfolded norms and kept features"])
def test_two_processes_train_as_one(start: str, recipe: Path, tmp_path: Path) -> None:
    """Synchronised norms and shared batches: the losses of one process, to rounding that grows along the way."""
    one, two = tmp_path / "one", tmp_path / "two"
    base = ["train", "--recipe", str(recipe), "--threads", "1"]
    if start != "scratch":
        folded = save_checkpoint(tmp_path / "folded.safetensors", FOLDED)
        base += ["--init", str(folded), "--network", "deeplabv3plus", "--fixed-scales", "0.75,1", "--cache-features"]
        base += ["--freeze", "encoder.stem", "--freeze", "encoder.blocks.?"]
    assert run([*base, "-o", str(one)]) == 0
    if start == "scratch":
        done = by_torchrun(*base, "-o", two)
        assert done.returncode == 0, done.stderr
    else:
        as_two(*base, "-o", two)
    assert losses(two) == pytest.approx(losses(one), rel=0.02)
    assert losses(two)[0] == pytest.approx(losses(one)[0], rel=1e-3)
    assert weights(one / "model.safetensors").keys() == weights(two / "model.safetensors").keys()


def test_two_processes_predict_what_one_predicts_and_a_broken_image_cuts_no_share_off(tmp_path: Path) -> None:
    """torchrun ends all processes once one leaves with an error: the short, broken share waits for the long one."""
    model = save_tiny_model(tmp_path / "tiny.safetensors", slow=True)
    photographs = tmp_path / "in"
    photographs.mkdir()
    for number in range(0, 12, 2):  # process 0 has much to do
        save_photograph(photographs / f"p{number:02}.png", 200 + 8 * number, 300, seed=number)
        (photographs / f"p{number + 1:02}.png").write_bytes(b"")
    base = ["predict", photographs, "--model", model, "--device", "cpu", "-o"]
    assert run([str(part) for part in (*base, tmp_path / "one")]) == 1
    done = by_torchrun(*base, tmp_path / "two")
    assert done.returncode != 0
    assert "p01.png" in done.stderr
    masks = sorted((tmp_path / "two").glob("*.png"))
    assert [path.stem for path in masks] == [f"p{number:02}" for number in range(0, 12, 2)]
    for mask in masks:
        assert (tmp_path / "one" / mask.name).read_bytes() == mask.read_bytes()
