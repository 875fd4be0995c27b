"""Operator that turns `SidecarEvaluation` resources into evaluator Jobs and reports on them.

The modules read in the order of the data: `names` and `kube_objects` name and read objects, `resource_view` the
resource; `manifests` renders its children; `pod_diagnosis`, `training_state` and `verdict` say what the observed state
means and `status` what is reported of it; `reconcile` does one pass with `child_objects` and `kube_client`, and
`handlers` and `controller` decide when. Importing the package has no effect; `python -m sidecar_operator` runs it.
"""
