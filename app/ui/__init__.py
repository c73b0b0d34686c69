"""Widgets. They draw and forward; they never compute metrics and never touch files."""
