"""Qt core without widgets: compute client, jobs, undo, autosave, thumbnails, notifications, settings."""
