"""What the weights do not tell: shown by ``models show``, said by ``predict``, set by ``--model-option`` or a card."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from app.cli import run
from deeplab_core.catalogs import get_catalog
from deeplab_core.masks.png import write_indexed_png
from tests.unit.core.weights.test_beside import named, other, smp


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A U-Net with bilinear upsampling under its package's keys, its average beside it; nothing says either."""
    _, state = smp("unet", interpolation="bilinear")
    path = tmp_path_factory.mktemp("models") / "unet.pth"
    torch.save({"state_dict": {**named("model", state), **named("ema_model.module", other(state))}}, path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)).save(folder / "a.png")
    return folder


def test_guesses_are_shown_and_can_be_set(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "show", str(checkpoint)]) == 0
    shown = capsys.readouterr().out
    assert "guessed  catalog, preprocessing, interpolation nearest" in shown
    assert "state_dict.model (the file also holds state_dict.ema_model)" in shown
    assert run(["models", "show", str(checkpoint), "--model-option", "interpolation=bilinear", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)["card"]
    assert card["architecture"]["interpolation"] == "bilinear"
    assert "interpolation" not in card["guessed"]


def test_prediction_says_what_it_guesses_and_takes_what_it_is_given(
    checkpoint: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(photos), "--model", str(checkpoint), "-o", str(tmp_path / "a")]) == 0
    said = capsys.readouterr().err
    assert "guessed the classes (" in said
    assert "), preprocessing, interpolation nearest; see 'atrous models show'" in said
    assert "set it with --model-option, or once for all commands" in said
    assert "also holds 'state_dict.ema_model'" in said
    options = ["--model-option", "interpolation=bilinear", "--model-option", "weights=model"]
    assert run(["predict", str(photos), "--model", str(checkpoint), "-o", str(tmp_path / "b"), *options]) == 0
    assert "), preprocessing; see" in capsys.readouterr().err
    first, second = (np.asarray(Image.open(tmp_path / name / "a.png")) for name in ("a", "b"))
    assert (first != second).any()
    # Masks of another network are not mixed with those of this one.
    assert run(["predict", str(photos), "--model", str(checkpoint), "-o", str(tmp_path / "a"), *options, "--resume"]) == 2


@pytest.mark.parametrize(
    ("option", "says"),
    [("rates=1", "no option of a model"), ("interpolation", "NAME=VALUE"),
     ("interpolation=cubic", "nearest, bilinear or bicubic"),
     ("atrous_rates=1,2,3", "no option atrous_rates"), ("weights=teacher", "holds no weights 'teacher'")],
)  # fmt: skip
def test_wrong_options_are_named_with_the_choices(
    option: str, says: str, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "show", str(checkpoint), "--model-option", option]) != 0
    assert says in " ".join(capsys.readouterr().err.split())


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("truth")
    write_indexed_png(folder / "a.png", np.zeros((64, 96), np.uint8), get_catalog("voc21"))
    return folder


COMMANDS = {
    "predict": "{photos} --model {model} -o {out}",
    "bench": "{photos} --model {model}",
    "rank": "{photos} --model {model}",
    "refine": "{photos} --model {model} -o {out}",
    "refine --search": "{photos} --model {model} --truth {truth}",
    "compare": "{model} {model} --images {photos} --truth {truth}",
    "ablate": "{photos} --model {model} --variant flip --truth {truth}",
    "similar": "{photos} --to {query} --model {model}",
    "adapt": "{photos} --model {model} -o {out}.safetensors",
    "figures": "--all --model {model} --image {query} -o {out}",
    "train": "--images {photos} --truth {truth} --catalog voc21 --init {model} --crop 32x32 --steps 1 -o {out}",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_takes_a_model_takes_its_options(
    command: str, checkpoint: Path, photos: Path, truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = tmp_path / "query.png"
    Image.fromarray(np.zeros((64, 96, 3), np.uint8)).save(query)
    places = {"photos": photos, "model": checkpoint, "truth": truth, "out": tmp_path / "out", "query": query}
    line = [*command.split(), *COMMANDS[command].format_map(places).split(), "--model-option", "weights=teacher"]
    assert run(line) != 0
    assert "holds no weights 'teacher'" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("command", ["predict", "compare", "ablate", "train"])
def test_a_fetched_address_is_taken_like_a_file(
    command: str,
    checkpoint: Path,
    photos: Path,
    truth: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.cli.model_choice.find_from_hub", lambda _address, _folders: checkpoint)
    places = {"photos": photos, "model": "hf://owner/name", "truth": truth, "out": tmp_path / "out"}
    assert run([command, *COMMANDS[command].format_map(places).split(), "--model-option", "weights=teacher"]) != 0
    assert "holds no weights 'teacher'" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("line", ["compare {truth} {truth} --truth {truth}", "refine {photos} --masks {truth} -o {out}"])
def test_options_without_a_model_are_refused(
    line: str, photos: Path, truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"photos": photos, "truth": truth, "out": tmp_path / "out"}
    assert run([*line.format_map(places).split(), "--model-option", "interpolation=bilinear"]) == 2
    assert "--model-option is for" in capsys.readouterr().err
