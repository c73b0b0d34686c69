"""Every command says what it does, and no two neighbours look alike."""

from __future__ import annotations

from collections import Counter

import pytest

from app.actions.spec import ActionSpec, Group
from app.actions.table import ACTIONS, TOOLBAR, by_id
from app.ui.shell.icons import icon_path


def plain(text: str) -> str:
    return text.rstrip("…").casefold()


@pytest.mark.parametrize("spec", ACTIONS, ids=lambda spec: spec.id)
def test_the_tip_is_a_sentence_that_says_more_than_the_name(spec: ActionSpec) -> None:
    tip = spec.tip
    assert len(tip.split()) >= 3, "a few words, in the style of the other tips"
    assert plain(tip) != plain(str(spec.text))
    assert tip[0].isupper()
    assert not tip.endswith("."), "a tip is one sentence, without a full stop"


@pytest.mark.parametrize("group", Group)
def test_the_icons_of_a_menu_are_distinct(group: Group) -> None:
    icons = Counter(spec.icon for spec in ACTIONS if spec.group is group and spec.icon)
    assert not {icon for icon, count in icons.items() if count > 1}


def test_the_icons_of_the_top_bar_are_distinct_and_exist() -> None:
    shown = (*TOOLBAR, "edit.undo", "edit.redo", "view.linked", "window.fold", "project.export", "model.run_image")
    icons = Counter(by_id(action).icon for action in shown)
    assert max(icons.values()) == 1
    assert all(icon_path(spec.icon).is_file() for spec in ACTIONS if spec.icon)
