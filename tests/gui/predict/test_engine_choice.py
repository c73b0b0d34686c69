"""The engine is chosen in the inference options of the Model panel, and kept."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QWidget

from app.actions.context import ContextKeys
from app.actions.keymap import Keymap
from app.actions.spec import Group
from app.actions.table import ACTIONS
from app.state.comparison import ModelSetting
from app.state.settings_schema import BY_KEY
from app.ui.predict.model_dock import ModelDock
from app.ui.shell.action_builder import ActionBuilder
from app.ui.shell.theme import load_theme
from app.viewmodels.predict.model_view import RunSettings
from deeplab_core.records import PredictOptions


@pytest.mark.parametrize("engine", ["auto", "onnx", "openvino", "amx"])
def test_the_chosen_engine_is_what_is_asked_for(qtbot, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    monkeypatch.setattr("app.ui.predict.model_dock.multiplies_tiles", lambda: True)
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


def test_amx_is_offered_where_the_processor_has_it_or_it_is_chosen(qtbot, monkeypatch: pytest.MonkeyPatch) -> None:
    """The panel did not know the engine."""
    monkeypatch.setattr("app.ui.predict.model_dock.multiplies_tiles", lambda: False)
    assert BY_KEY["model.engine"].check("amx") == "amx"
    dock = ModelDock()
    qtbot.addWidget(dock)
    for engine, row in (("torch", -1), ("amx", 4)):
        dock.show_run_settings(RunSettings(engine=engine), (16,), [("auto", "auto")])
        assert dock.engine.findData("amx") == row
        assert dock.engine.currentData() == engine
    assert dock.engine.currentText() == "AMX"
    compared = ModelSetting.of("net.safetensors\tengine:amx")
    assert compared.words == "engine AMX"
    assert compared.apply(PredictOptions()).engine == "amx"


def test_without_torch_onnx_runtime_is_the_engine(qtbot, monkeypatch: pytest.MonkeyPatch) -> None:
    """It offered engines that need PyTorch, and called ONNX Runtime torch."""
    monkeypatch.setattr("app.ui.predict.model_dock.has_torch", lambda: False)
    dock = ModelDock()
    qtbot.addWidget(dock)
    dock.show_run_settings(RunSettings(), (16,), [("auto", "auto")])
    assert [dock.engine.itemText(row) for row in range(dock.engine.count())] == ["ONNX Runtime"]
    assert dock.engine.currentData() == "torch"  # the setting is kept for an installation that has it
    assert "PyTorch" in dock.engine.toolTip()


def test_commands_that_need_torch_say_so_where_it_is_missing(qtbot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deeplab_core.flavour.has_torch", lambda: False)
    window, context = QWidget(), ContextKeys()
    qtbot.addWidget(window)
    commands = ActionBuilder(window, context, Keymap(ACTIONS), load_theme("light"))
    commands.bind(lambda _feature: None)
    context.update(model_ready=True, project_writable=True, has_images=True, image_open=True)
    names = ("model.learn", "model.receptive")
    assert all(commands[name].isEnabled() for name in names)
    assert not commands.group_menu(Group.MODEL, window).toolTipsVisible()
    context.update(light=True)
    for name in names:
        assert not commands[name].isEnabled()
        assert "needs PyTorch" in commands[name].toolTip()
        assert "pip install torch" in commands.refusal(name)
    assert commands["model.similar"].isEnabled()
    assert commands["model.compare"].isEnabled() == context.hold("image_open")
    assert commands.group_menu(Group.MODEL, window).toolTipsVisible()
