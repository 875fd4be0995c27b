"""The format that Orbax writes: a directory per step."""
