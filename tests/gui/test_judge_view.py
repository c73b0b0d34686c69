"""The Judge view by the verbs of a person: from a number to its pixels and back."""

from __future__ import annotations

from PySide6.QtCore import Qt

from tests.gui.studio import Studio


def test_one_key_opens_the_view_and_escape_goes_back_to_the_picture(studio: Studio, folder):
    studio.open(folder)
    canvas = studio.window.stack.currentWidget()
    studio.press(Qt.Key.Key_O)
    view = studio.application.binding.inspect.view
    assert studio.window.stack.currentWidget() is view
    assert studio.program.facts["judge_open"]
    studio.press(Qt.Key.Key_Escape, on=view)
    assert studio.window.stack.currentWidget() is canvas
    assert not studio.program.facts["judge_open"]
    assert studio.view.hasFocus()


def test_the_view_goes_with_its_project(studio: Studio, folder):
    studio.open(folder)
    studio.press(Qt.Key.Key_O)
    studio.program.projects.close()
    assert studio.window.stack.currentWidget() is studio.window.start_page
    assert not studio.program.facts["judge_open"]
