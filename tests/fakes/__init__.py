"""Stand-ins for parts of the program that tests replace."""
