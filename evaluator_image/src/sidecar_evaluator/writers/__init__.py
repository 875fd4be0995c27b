"""Where scores go: one module a sink, all behind `interface`."""
