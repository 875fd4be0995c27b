"""Durable files: an append-only log that works on any file system, and `fsync`. Nothing here knows their contents."""
