"""The Judge view: from a number to the pixels behind it."""
