"""Every command, declared once as data. No Qt."""
