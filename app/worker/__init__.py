"""The compute process. It holds torch and never Qt."""
