"""Files that outlive the process, on any file system."""
