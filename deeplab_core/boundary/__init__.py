"""Trimap bands: distances to void or to class edges, and scores inside and outside of them."""
