"""The project: open, walk through its images, import, export."""
