"""What Orbax writes: a directory for each step."""
