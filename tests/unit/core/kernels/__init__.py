"""Tests of deeplab_core.kernels."""
