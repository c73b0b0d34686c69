"""Where the program keeps its own settings, logs and caches on this computer."""

from __future__ import annotations

from pathlib import Path

import platformdirs

_NAME = "Atrous"


def settings_file() -> Path:
    """The settings file; it need not exist."""
    return Path(platformdirs.user_config_dir(_NAME, appauthor=False)) / "settings.toml"


def layout_file() -> Path:
    """Where QSettings keeps the window's geometry."""
    return settings_file().with_name("layout.ini")


def log_folder() -> Path:
    """Folder of the log files and of the last crash's traces."""
    return Path(platformdirs.user_log_dir(_NAME, appauthor=False))


def thumbnail_folder() -> Path:
    """Folder of cached thumbnails, shared by all projects."""
    return Path(platformdirs.user_cache_dir(_NAME, appauthor=False)) / "thumbnails"


def feature_folder() -> Path:
    """Folder of the features that the command ``similar`` keeps, shared by all folders of images."""
    return Path(platformdirs.user_cache_dir(_NAME, appauthor=False)) / "features"


def engine_trials_file() -> Path:
    """Which engine was found fastest for which network on this computer; it need not exist."""
    return Path(platformdirs.user_cache_dir(_NAME, appauthor=False)) / "engines.json"
