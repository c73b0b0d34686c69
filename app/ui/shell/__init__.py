"""The window around the features: bars, menus, keys, theme."""
