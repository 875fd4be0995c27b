"""Install the pinned uv into the cache: the first step of every `make` target on a fresh machine.

The Makefile runs it with whatever `python3` the machine has, before anything of the project is installed. So it must
not import anything but the standard library, and must say in one line what the machine lacks and what to do about it.
It is here because users of every target need it, also those who have no use for `tests/`; which uv it installs is what
the operator's image is built with.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "operator" / "uv.txt"
"""The uv that uv.lock pins, with the sums of its wheels (`make generate`); pip refuses anything else."""

OLDEST, NEWEST = (3, 11), (3, 13)
"""Versions of Python that TensorFlow has wheels for and Keras 3 accepts."""


def check_python(version: tuple[int, int]) -> None:
    """End with a clear line unless TensorFlow can be installed for this version."""
    if not OLDEST <= version <= NEWEST:
        low, high = (".".join(map(str, bound)) for bound in (OLDEST, NEWEST))
        current = ".".join(map(str, version))
        sys.exit(f"Python {low} to {high} is needed, this is {current}: name another one with `make PYTHON=...`")


def ensure_venv() -> None:
    """Install Debian's python3-venv where `venv` could not make an environment with pip."""
    if importlib.util.find_spec("ensurepip"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit("Python's venv module is incomplete here: install it (Debian, Ubuntu: apt-get install python3-venv)")
    print("python3-venv: installing with apt", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment)
    package = f"python3.{sys.version_info.minor}-venv"
    subprocess.run(["apt-get", "install", "-qq", "--no-install-recommends", package], check=True, env=environment)


def install_uv(folder: Path) -> None:
    """Make a virtual environment in `folder` that holds the pinned uv and nothing else of interest."""
    venv.create(folder, clear=True)
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "ensurepip", "--default-pip"], check=True, stdout=subprocess.DEVNULL)
    command = [python, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", str(REQUIREMENTS)]
    subprocess.run(command, check=True, env=environment)


def main() -> None:
    """Install uv into the folder named as the only argument."""
    check_python(sys.version_info[:2])
    ensure_venv()
    install_uv(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
