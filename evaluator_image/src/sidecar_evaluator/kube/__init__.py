"""The evaluator's own resource on the Kubernetes API server."""
