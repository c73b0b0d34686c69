"""Tests of deeplab_core.boundary."""
