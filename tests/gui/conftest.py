"""Fixtures of the window's tests."""

from __future__ import annotations

from tests.gui.studio import folder, studio

__all__ = ["folder", "studio"]
