"""TensorFlow's files read without TensorFlow: frozen graphs, checkpoints and packed releases, never executing anything."""

from deeplab_core.weights.tensorflow.files import is_tensorflow, read_tensorflow

__all__ = ["is_tensorflow", "read_tensorflow"]
