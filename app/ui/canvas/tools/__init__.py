"""What the left button does: one strategy per tool, chosen by the tool in hand. They speak image px and call EditController."""
