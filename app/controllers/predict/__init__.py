"""Running a model on an image or the folder."""
