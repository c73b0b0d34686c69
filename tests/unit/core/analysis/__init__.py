"""Tests of deeplab_core.analysis."""
