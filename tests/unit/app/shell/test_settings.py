"""Settings survive a restart, refuse what does not fit, keep what a newer version wrote, and lose nothing to a damaged file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.settings import FORMER_KEYS, MOST, RecentFolders, SettingsStore
from app.state.settings_schema import BY_KEY, SETTINGS
from deeplab_core.errors import StorageError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "config" / "settings.toml"


@pytest.fixture
def store(qapp, path):
    return SettingsStore(path)


def test_every_default_fits_its_own_setting():
    for setting in SETTINGS:
        assert setting.check(setting.default) == setting.default


def test_shown_settings_say_what_they_are():
    assert all((setting.label and setting.help) or setting.choices for setting in SETTINGS if setting.group)


def test_defaults_hold_and_nothing_is_written_before_a_change(store, path):
    assert store["appearance.theme"] == "dark"
    assert not path.exists()


def test_a_change_is_emitted_once_and_survives(store, path):
    heard = []
    store.changed.connect(heard.append)
    store.set("canvas.opacity", 60)
    store.set("canvas.opacity", 60)
    store.set("keys", {"tool.brush": ["Ctrl+B", "\\"]})
    store.flush()
    assert heard == ["canvas.opacity", "keys"]
    again = SettingsStore(path)
    assert again["canvas.opacity"] == 60
    assert again["keys"] == {"tool.brush": ["Ctrl+B", "\\"]}
    assert again.problems == []


def test_only_differences_stand_in_the_file(store, path):
    store.set("canvas.opacity", 60)
    store.set("canvas.opacity", 50)
    store.set("work.autosave_seconds", 9)
    store.flush()
    assert path.read_text().count("=") == 2  # the version and one setting


@pytest.mark.parametrize(
    ("key", "value"),
    [("canvas.opacity", 101), ("canvas.opacity", "60"), ("canvas.opacity", True), ("appearance.theme", "pink"),
     ("canvas.contours", 1), ("work.autosave_seconds", 1.5), ("folders.recent", "a"), ("keys", {"tool.brush": "B"}),
     ("model.path", 3)],
)  # fmt: skip
def test_what_does_not_fit_is_refused(store, key, value):
    before = store[key]
    with pytest.raises(ValueError, match=key):
        store.set(key, value)
    assert store[key] == before


def test_unknown_names_are_refused(store):
    with pytest.raises(KeyError):
        store.set("appearance.colour", "red")


def test_keys_of_a_newer_version_and_bad_values_are_kept_and_said(qapp, path):
    path.parent.mkdir()
    path.write_text('version = 1\nappearance.theme = "pink"\nfuture.thing = [1, 2]\ncanvas.opacity = 30\n')
    store = SettingsStore(path)
    assert (store["appearance.theme"], store["canvas.opacity"]) == ("dark", 30)
    assert len(store.problems) == 2
    store.set("canvas.contours", False)
    store.flush()
    kept = tomllib.loads(path.read_text())
    assert kept == {
        "version": 1,
        "appearance": {"theme": "pink"},
        "future": {"thing": [1, 2]},
        "canvas": {"opacity": 30, "contours": False},
    }


def test_settings_of_an_earlier_version_move_to_their_new_names(qapp, path):
    path.parent.mkdir()
    path.write_text('version = 1\nlook.theme = "light"\n')
    store = SettingsStore(path)
    assert store["appearance.theme"] == "light"
    assert not store.problems
    store.set("canvas.opacity", 60)
    store.flush()
    assert tomllib.loads(path.read_text()) == {"version": 1, "appearance": {"theme": "light"}, "canvas": {"opacity": 60}}


def test_of_an_old_and_a_new_name_of_a_setting_the_new_one_counts(qapp, path):
    path.parent.mkdir()
    path.write_text('look.theme = "system"\nappearance.theme = "light"\n')
    store = SettingsStore(path)
    assert store["appearance.theme"] == "light"
    assert not store.problems


@pytest.mark.parametrize(("former", "key"), FORMER_KEYS.items())
def test_every_former_name_has_a_setting(former, key):
    assert former not in BY_KEY
    assert key in BY_KEY


def test_a_setting_wins_over_a_foreign_value_that_has_the_name_of_its_group(qapp, path):
    path.parent.mkdir()
    path.write_text('appearance = 5\nfuture = {a = 1, "b c" = {}}\n')
    store = SettingsStore(path)
    store.set("appearance.theme", "light")
    store.flush()
    assert tomllib.loads(path.read_text()) == {"version": 1, "appearance": {"theme": "light"}, "future": {"a": 1}}
    assert SettingsStore(path)["appearance.theme"] == "light"


def test_a_damaged_file_is_set_aside_not_overwritten(qapp, path):
    path.parent.mkdir()
    path.write_text("appearance.theme = = dark")
    store = SettingsStore(path)
    store.set("canvas.opacity", 50)
    store.flush()
    assert path.with_suffix(".damaged.toml").read_text() == "appearance.theme = = dark"
    assert "set aside" in store.problems[0]


def test_a_file_that_cannot_be_written_is_said_and_the_value_holds(qapp, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    store = SettingsStore(blocked / "settings.toml")
    heard = []
    store.failed.connect(heard.append)
    store.set("canvas.opacity", 50)
    store.flush()
    assert store["canvas.opacity"] == 50
    assert isinstance(heard[0], StorageError)


@given(text=st.text(st.characters(blacklist_categories=["Cs"]), max_size=40))
def test_any_text_survives_the_file(qapp, tmp_path_factory, text):
    path = tmp_path_factory.mktemp("settings") / "settings.toml"
    store = SettingsStore(path)
    store.set("model.path", text)
    store.flush()
    again = SettingsStore(path)
    assert again.problems == []
    assert again["model.path"] == text


def test_recent_folders_are_newest_first_bounded_and_real(store, tmp_path):
    recent = RecentFolders(store)
    folders = [tmp_path / f"f{number}" for number in range(MOST + 3)]
    for folder in folders:
        folder.mkdir()
        recent.remember(folder)
    recent.remember(folders[5])
    folders[7].rmdir()
    found = recent.folders()
    assert found[0] == folders[5]
    assert len(found) == MOST - 1
    assert folders[7] not in found
    recent.forget(folders[5])
    assert folders[5] not in recent.folders()


_DAMAGED = (b"a = " + b"[" * 3000, b"a = " + b"9" * 6000, b"\0", b"a = 1979-99-99", b"look = 3\nlook.theme = 1")


@pytest.mark.parametrize("content", _DAMAGED)
def test_no_settings_file_stops_the_program_and_none_is_lost(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "settings.toml"
    for number in range(2):
        path.write_bytes(content + b"#%d" % number)
        store = SettingsStore(path)
        assert "set aside" in store.problems[0]
        store.set("appearance.theme", "light")
        store.flush()
        assert SettingsStore(path)["appearance.theme"] == "light"
        path.unlink()
    kept = {file.read_bytes() for file in tmp_path.glob("*.damaged*.toml")}
    assert kept == {content + b"#0", content + b"#1"}


def test_a_long_wrong_value_is_quoted_shortly(qapp, path):
    path.parent.mkdir()
    path.write_text('look.theme = "' + "x" * 100_000 + '"\ncanvas.opacity = "' + "9" * 5000 + '"\ncanvas.contours = false\n')
    store = SettingsStore(path)
    assert store["canvas.contours"] is False
    assert len(store.problems) == 2
    assert all(len(problem) < 400 for problem in store.problems)
