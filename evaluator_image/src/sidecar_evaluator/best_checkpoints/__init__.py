"""Copies of the best checkpoints in `best/` of the output."""
