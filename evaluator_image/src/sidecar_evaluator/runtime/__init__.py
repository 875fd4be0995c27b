"""What a process needs around its loop: clock, signals, heartbeat, HTTP, log lines."""
