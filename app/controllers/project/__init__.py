"""The project: opening it, moving through its images, import, export."""
