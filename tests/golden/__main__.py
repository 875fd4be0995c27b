"""Writes the golden manifests (`PYTHONPATH=tests python -m golden`), or with `--check` names those that differ."""

import sys

from golden import outdated, regenerate

if "--check" in sys.argv[1:]:
    differing = outdated()
    for name in differing:
        print(f"tests/golden/manifests/{name}.yaml is not what the operator renders: run `make generate`")
    sys.exit(1 if differing else 0)
for path in regenerate():
    print(path)
