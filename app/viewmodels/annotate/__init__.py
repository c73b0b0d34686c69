"""Correcting labels: classes, tools, view, undo."""
