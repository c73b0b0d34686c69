"""The picture: views, overlay, tools."""
