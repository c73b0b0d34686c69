"""Tests of deeplab_core.metrics."""
