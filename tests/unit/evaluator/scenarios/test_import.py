"""What importing the package costs: no TensorFlow, no Keras, no Kubernetes client, and nothing that is not used."""

import subprocess
import sys

import pytest

HEAVY = ["tensorflow", "keras", "tf_keras", "kubernetes", "h5py", "numpy", "tensorboard", "tensorstore", "urllib3"]
FOR_SERVING = ["prometheus_client", "wsgiref", "inotify_simple"]


@pytest.mark.parametrize(
    ("module", "unused"),
    [
        ("sidecar_evaluator", HEAVY + FOR_SERVING),
        ("sidecar_evaluator.loop", HEAVY + FOR_SERVING),
        ("sidecar_evaluator.commands.main", HEAVY + FOR_SERVING),
        ("sidecar_evaluator.commands.run", HEAVY),
    ],
)
def test_nothing_heavy_is_imported(module: str, unused: list[str]) -> None:
    code = f"import sys, {module}; print([name for name in {unused} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
