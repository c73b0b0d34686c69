"""Whole networks: an encoder and a head, or a classic system of its own."""
