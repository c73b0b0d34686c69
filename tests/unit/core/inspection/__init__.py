"""Tests of deeplab_core.inspection."""
