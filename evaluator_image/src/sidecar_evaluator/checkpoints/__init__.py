"""Finding and reading checkpoints: one module a format, all behind `interface`."""
