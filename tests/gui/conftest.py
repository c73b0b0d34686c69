"""Fixtures of the window's tests."""

from __future__ import annotations

from tests.gui.studio import folder, shared_studio, shipped, studio

__all__ = ["folder", "shared_studio", "shipped", "studio"]
