"""Keys and focus: what a key means, and that the keyboard belongs to the picture."""
