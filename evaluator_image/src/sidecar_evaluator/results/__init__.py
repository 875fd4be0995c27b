"""What became of each checkpoint, and what of that outlives the process."""
