"""Atrous, the desktop program."""
