"""The commands `run`, `check` and `ls`: flags in, exit code out."""
