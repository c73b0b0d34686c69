"""What is open: project, document, edits, judgement. No Qt, no torch."""
