"""What an installation without PyTorch says about adding to it."""

from __future__ import annotations

import importlib.metadata

import pytest

from deeplab_core import flavour

ROWS = [
    "numpy>=2",
    "torch>=2.6",
    "fsspec[http]>=2024.5; extra == 'shards'",
    'pyarrow>=17; extra == "shards"',
    "onnx; extra == 'onnx'",
]


@pytest.mark.parametrize("light", [True, False])
def test_an_extra_of_a_light_installation_does_not_bring_pytorch(monkeypatch: pytest.MonkeyPatch, light: bool) -> None:
    """``pip install 'atrous[shards]'`` takes everything that Atrous depends on, PyTorch with CUDA among it."""
    monkeypatch.setattr(flavour, "has_torch", lambda: not light)
    monkeypatch.setattr(importlib.metadata, "requires", lambda _name: ROWS)
    wanted = "pip install 'fsspec[http]>=2024.5' 'pyarrow>=17'" if light else "pip install 'atrous[shards]'"
    assert flavour.install_command("shards") == wanted


def test_a_source_tree_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(flavour, "has_torch", lambda: False)
    monkeypatch.setattr(importlib.metadata, "requires", missing)
    assert flavour.install_command("hub", "python -m pip") == "python -m pip install 'atrous[hub]'"
