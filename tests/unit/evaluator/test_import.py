"""What importing the package costs: no TensorFlow, no Keras, no Kubernetes client."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["sidecar_evaluator", "sidecar_evaluator.loop", "sidecar_evaluator.cli"])
def test_nothing_heavy_is_imported(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


HEAVY = ["tensorflow", "keras", "tf_keras", "kubernetes", "h5py", "numpy"]
