"""Mask files: reading truth of every layout, writing indexed PNG and exports, read back and compared."""
