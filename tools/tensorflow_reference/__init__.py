"""TensorFlow's side of the comparison: real checkpoints and frozen graphs, and what TensorFlow computes from them."""
