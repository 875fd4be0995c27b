"""Access to the evaluator's own SidecarEvaluation: a small API client, and the three requests made with it."""
