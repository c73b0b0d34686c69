"""What is open: project, document, edits, live evaluation. No Qt, no torch."""
