"""The engine is chosen in the inference options of the Model panel, and kept."""

from __future__ import annotations

import pytest

from app.ui.predict.model_dock import ModelDock
from app.viewmodels.predict.model_view import RunSettings


@pytest.mark.parametrize("engine", ["auto", "onnx", "openvino"])
def test_the_chosen_engine_is_what_is_asked_for(qtbot, engine: str) -> None:
    dock = ModelDock()
    qtbot.addWidget(dock)
    chosen: list[RunSettings] = []
    dock.settingsChosen.connect(chosen.append)
    dock.show_run_settings(RunSettings(), (16,), [("auto", "auto"), ("cpu", "cpu")])
    assert dock.engine.currentData() == "torch"
    dock.engine.setCurrentIndex(dock.engine.findData(engine))
    dock.engine.activated.emit(dock.engine.currentIndex())
    assert [settings.engine for settings in chosen] == [engine]
    options = chosen[0].options()
    assert options.engine == engine
    assert options.cache_key() != RunSettings().options().cache_key()
    dock.show_run_settings(chosen[0], (16,), [("auto", "auto")])
    assert dock.engine.currentData() == engine
