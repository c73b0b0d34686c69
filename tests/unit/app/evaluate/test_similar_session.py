"""Features of an image in the compute process, without the process."""

from __future__ import annotations

from pathlib import Path

from app.worker.messages import Loaded, LoadModel
from app.worker.session import ComputeSession
from app.worker.similar_messages import Embed, Embedded
from tests.unit.app.tiny_model import save_photograph, save_tiny_model


def test_features_say_which_model_has_them(tmp_path: Path) -> None:
    image = save_photograph(tmp_path / "photo.png", 70, 90)
    session = ComputeSession()
    loaded = session.answer(LoadModel(request_id=1, path=str(save_tiny_model(tmp_path / "a.safetensors")), device="cpu"))
    assert isinstance(loaded, Loaded)
    found = session.answer(Embed(request_id=2, image=str(image), source_key="key"))
    assert isinstance(found, Embedded)
    assert found.card_id == loaded.card.id
    assert found.vectors.ndim == 2
