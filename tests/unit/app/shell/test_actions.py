"""The table of commands is whole: unique ids and keys, icons that exist, known context keys, presets without conflicts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.actions.context import CONTEXT_KEYS, ContextKeys
from app.actions.keymap import FORMER_IDS, PRESETS, Keymap, ShortcutConflict, normalise
from app.actions.palette import named
from app.actions.spec import Group
from app.actions.table import ACTIONS, TOOLBAR, by_id
from app.paths import RESOURCES
from app.state.tools import TOOLS, Tool


def test_ids_are_unique():
    assert len({spec.id for spec in ACTIONS}) == len(ACTIONS)


def test_no_two_commands_share_a_key():
    assert Keymap(ACTIONS).conflicts() == []


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_presets_have_no_conflicts(preset):
    keymap = Keymap(ACTIONS)
    keymap.use_preset(preset)
    assert keymap.conflicts() == []
    assert set(PRESETS[preset]) <= {spec.id for spec in ACTIONS}


def test_every_icon_exists():
    missing = [spec.icon for spec in ACTIONS if spec.icon and not (RESOURCES / "icons" / f"{spec.icon}.svg").is_file()]
    assert missing == []


def test_every_context_key_is_known():
    assert {key for spec in ACTIONS for key in spec.context_keys} <= set(CONTEXT_KEYS)


def test_each_tool_is_declared_once_and_has_the_rest_from_there():
    assert sorted(spec.tool for spec in TOOLS) == sorted(Tool)
    for spec in TOOLS:
        command = by_id(spec.action)
        assert (command.argument, command.icon, command.checked_from) == (spec.tool, spec.tool, spec.context_key)
        assert spec.context_key in CONTEXT_KEYS
        assert (spec.action in TOOLBAR) is spec.in_bar
    places = sorted(spec.gives_way for spec in TOOLS if spec.gives_way)
    assert places == list(range(1, len(places) + 1))
    assert all(spec.in_bar for spec in TOOLS if spec.gives_way)


def test_bars_name_commands_that_exist():
    assert [by_id(name).id for name in TOOLBAR] == [*TOOLBAR]


@pytest.mark.parametrize(
    ("action", "key"),
    [
        ("tool.brush", "B"),
        ("tool.eraser", "E"),
        ("tool.fill", "G"),
        ("tool.lasso", "L"),
        ("tool.polygon", "P"),
        ("tool.pick", "I"),
        ("class.void", "`"),
        ("class.previous", "Q"),
        ("class.next", "W"),
        ("class.swap", "X"),
        ("go.next", "D"),
        ("go.previous", "A"),
        ("go.next_unreviewed", "Ctrl+Shift+D"),
        ("go.previous_unreviewed", "Ctrl+Shift+A"),
        ("go.next_worst", "N"),
        ("go.reviewed_next", "Return"),
        ("view.blink", "Tab"),
        ("view.trimap", "T"),
        ("view.uncertainty", "U"),
        ("view.errors", "R"),
        ("view.linked", "S"),
        ("view.overlay", "V"),
        ("view.contours", "C"),
        ("edit.undo", "Ctrl+Z"),
        ("edit.redo", "Ctrl+Shift+Z"),
        ("project.save", "Ctrl+S"),
        ("project.open", "Ctrl+O"),
        ("project.export", "Ctrl+E"),
        ("view.fit", "F"),
        ("view.actual_size", "Ctrl+0"),
        ("help.keys", "F1"),
        ("class.key_1", "1"),
        ("class.key_0", "0"),
    ],
)
def test_default_keys_are_the_design_s(action, key):
    assert by_id(action).shortcuts[0] == key


def test_a_taken_key_is_refused_and_nothing_changes():
    keymap = Keymap(ACTIONS)
    with pytest.raises(ShortcutConflict, match="Eraser"):
        keymap.assign("tool.brush", ["Ctrl+Alt+B", "e"])
    assert keymap.keys("tool.brush") == ("B",)
    assert keymap.overrides == {}


def test_a_freed_key_may_be_taken_and_reset_is_refused_while_it_is():
    keymap = Keymap(ACTIONS)
    keymap.assign("tool.eraser", ["Ctrl+Alt+E"])
    keymap.assign("tool.brush", ["E"])
    with pytest.raises(ShortcutConflict):
        keymap.reset("tool.eraser")
    keymap.reset("tool.brush")
    keymap.reset("tool.eraser")
    assert keymap.overrides == {}


def test_keys_of_commands_with_a_former_id_are_kept():
    assert Keymap(ACTIONS, {"truth.evaluate_folder": ("F8",)}).overrides == {"evaluate.folder": ("F8",)}
    assert not set(FORMER_IDS) & {spec.id for spec in ACTIONS}
    assert set(FORMER_IDS.values()) <= {spec.id for spec in ACTIONS}


def test_unknown_overrides_are_ignored():
    assert Keymap(ACTIONS, {"from.the_future": ("Z",)}).overrides == {}


@pytest.mark.parametrize(
    ("written", "spelling"),
    [
        ("shift+ctrl+z", "Ctrl+Shift+Z"),
        ("Ctrl++", "Ctrl++"),
        ("+", "+"),
        ("b", "B"),
        ("pgDown", "PgDown"),
        ("Control+a", "Ctrl+A"),
        ("/", "/"),
    ],
)
def test_normalise(written, spelling):
    assert normalise(written) == spelling


@pytest.mark.parametrize("written", ["", "  ", "Ctrl", "Foo+A", "Ctrl+Shift"])
def test_normalise_refuses_what_is_no_key(written):
    with pytest.raises(ValueError):
        normalise(written)


@given(st.permutations(["Ctrl", "Alt", "Shift"]), st.sampled_from("ABCXYZ019/[]`"))
def test_order_of_modifiers_does_not_matter(modifiers, key):
    assert normalise("+".join([*modifiers, key])) == f"Ctrl+Alt+Shift+{key}"


def test_context_keys_emit_only_real_changes():
    context = ContextKeys()
    heard = []
    context.changed.connect(heard.append)
    context.update(image_open=True, can_undo=False)
    context.update(image_open=True)
    context.changed.disconnect(heard.append)
    context.update(image_open=False)
    assert heard == [frozenset({"image_open"})]


def test_context_keys_hold_and_refuse_spelling_mistakes():
    context = ContextKeys()
    context.update(image_open=True)
    assert context.hold("image_open", "!can_undo")
    assert not context.hold("image_open", "can_undo")
    with pytest.raises(KeyError):
        context.update(imageopen=True)


def test_the_page_about_the_keyboard_lists_every_key():
    rows = []
    for group in Group:
        specs = [spec for spec in ACTIONS if spec.group is group and spec.shortcuts and not spec.id.startswith("class.key_")]
        rows += ["", f"**{group.value}**", "", "| key | command |", "|---|---|"] if specs else []
        for spec in specs:
            keys = ", ".join(f"`` {key} ``" if key == "`" else f"`{key}`" for key in spec.shortcuts)
            rows.append(f"| {keys} | {named(spec)} |")
    page = (RESOURCES.parent / "docs" / "keyboard.md").read_text(encoding="utf-8")
    assert page.partition("compares -->\n")[2] == "\n".join(rows) + "\n", "Write the list again; this is it:\n" + "\n".join(rows)
