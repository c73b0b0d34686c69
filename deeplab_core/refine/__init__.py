"""Fully connected CRF."""
