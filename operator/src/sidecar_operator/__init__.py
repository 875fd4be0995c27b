"""Operator that turns `SidecarEvaluation` resources into evaluator Jobs and reports on them.

The files read in the order of the data: `api` names things, `desired` says what should exist, `training`, `pods` and
`status` say what is seen, `reconcile` makes one from the other through `cluster`, and `handlers` and `controller`
decide when. Importing the package has no effect; `python -m sidecar_operator` runs it.
"""
