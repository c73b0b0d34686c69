"""The dense CRF on an image or the folder."""
