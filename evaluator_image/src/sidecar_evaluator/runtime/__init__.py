"""The process around the evaluation loop: clock, signals, heartbeat, HTTP server, progress and log format."""
