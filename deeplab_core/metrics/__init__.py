"""Confusion matrices and what follows from them."""
