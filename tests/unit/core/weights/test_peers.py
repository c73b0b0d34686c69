"""Every reference case: the peer's own keys in the peer's own wrapper, through load_model, against the peer's own logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from deeplab_core.nn import count_parameters
from deeplab_core.nn.models.deeplab import DeepLab
from deeplab_core.nn.models.fcn import DilatedFCN
from deeplab_core.weights import load_model
from tests.unit.core.weights.peers import MODELS, Case, compare, filled_state, fingerprint, image, manifest

CASES = sorted(path.stem for path in (MODELS / "cases").glob("*.npz"))
#: Sources that the families cover; the other two of the research notes (ENet, meetps' SegNet) are not asked for.
SUPPORTED = (
    "vainf", "jfzhang95", "torchvision", "smp", "kazuto", "fyu", "bubbliiiing", "nyoki", "segmentron", "tiramisu", "milesial",
    "wkentaro", "coincheung", "proto", "seed_deconvnet",
)  # fmt: skip


def wrapped(name: str, state: dict[str, torch.Tensor]) -> Any:
    """What the peer's training script saves."""
    if name.startswith("vainf"):
        return {
            "cur_itrs": 30000,
            "model_state": state,
            "optimizer_state": {"state": {}},
            "scheduler_state": {},
            "best_score": 0.7,
        }
    if name.startswith("jfzhang95"):
        return {"epoch": 50, "state_dict": state, "optimizer": {"state": {}, "param_groups": []}, "best_pred": 0.78}
    if name.startswith("fyu"):
        return {
            "epoch": 250,
            "arch": "drn",
            "state_dict": {f"module.{key}": value for key, value in state.items()},
            "best_prec1": torch.tensor(71.4),
        }
    if name.startswith("segmentron"):
        return {"epoch": 100, "state_dict": state, "optimizer": {}, "lr_scheduler": {}}
    if name.startswith("wkentaro"):
        arch = name.split("_")[1]
        return {"epoch": 10, "iteration": 8, "arch": arch, "optim_state_dict": {}, "model_state_dict": state, "best_mean_iu": 0.6}
    if name.startswith("tiramisu"):
        return {"startEpoch": 300, "loss": 0.2, "error": 0.1, "state_dict": state}
    if name.startswith("milesial"):
        return {**state, "mask_values": [0, 1]}
    return state


def stride_of(name: str) -> int | None:
    return 8 if name.endswith("os8") else 16 if "os16" in name else None


def input_shape(case: Case, letter: str) -> tuple[int, int]:
    height, width = case.meta[f"out_{letter}"]["input"][-2:]
    return height, width


@pytest.mark.skipif(not CASES, reason=f"no reference cases here ({MODELS} is absent)")
@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(SUPPORTED)])
def test_logits_equal_the_peers(name: str, tmp_path: Path) -> None:
    case = Case.load(name)
    path = tmp_path / "checkpoint.pth"
    torch.save(wrapped(name, filled_state(case.meta["manifest"])), path)
    model, card = load_model(path, stride_of(name))
    path.unlink()
    assert not model.training
    assert card.architecture == model.architecture
    assert len(card.catalog) == model.num_classes
    assert {"catalog", "preprocessing"} <= set(card.guessed)
    tolerance = max(1e-4, 10 * case.meta["noise_max_over_std"])
    # The second, larger image of a large network says nothing that the first did not.
    letters = case.images if count_parameters(model) < 10e6 else case.images[:1]
    for letter in letters:
        x = image(*input_shape(case, letter))
        with torch.no_grad():
            agreement = compare(case, letter, model.native_logits(x))
            assert agreement.shape
            assert agreement.largest <= tolerance
            # Where single unpooling switches flip under rounding, a few pixels change class with them.
            assert agreement.argmax <= (0.001 if tolerance > 1e-3 else 0.0)
            if f"aux_{letter}" in case.arrays:
                assert isinstance(model, (DeepLab, DilatedFCN))
                _, auxiliary = model.logits_with_auxiliary(x)
                assert auxiliary is not None
                assert compare_auxiliary(case, letter, auxiliary) <= 1e-4


def compare_auxiliary(case: Case, letter: str, logits: torch.Tensor) -> float:
    want = torch.from_numpy(case.arrays[f"aux_{letter}"])
    stride = int(case.arrays[f"aux_stride_{letter}"])
    return float((logits[:, :, ::stride, ::stride] - want).abs().max() / want.std())


def test_the_filler_of_this_file_is_the_published_one() -> None:
    if not CASES:
        pytest.skip(f"no reference cases here ({MODELS} is absent)")
    name = "vainf_deeplabv3plus_mobilenet"
    assert fingerprint(filled_state(name)) == manifest(name)["fingerprint"]
