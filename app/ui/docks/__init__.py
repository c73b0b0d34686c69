"""Docks around the picture."""
