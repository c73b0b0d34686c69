"""Loops compiled by numba, with one switch and one rule for compiling them (:mod:`compiled`); plain numpy where it is missing."""
