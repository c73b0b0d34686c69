"""Parts of the comparison's dock."""
