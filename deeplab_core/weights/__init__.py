"""Checkpoints: whose they are, loading without executing anything, model cards."""
