"""The engine is chosen in the inference options of the Model panel, and kept."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QWidget

from app.actions.context import ContextKeys
from app.actions.keymap import Keymap
from app.actions.spec import Group
from app.actions.table import ACTIONS
from app.ui.predict.model_dock import ModelDock
from app.ui.shell.action_builder import ActionBuilder
from app.ui.shell.theme import load_theme
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
