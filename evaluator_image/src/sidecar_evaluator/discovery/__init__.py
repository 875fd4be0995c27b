"""Finding checkpoints: looks at the directory, what comes next, and when training has ended."""
