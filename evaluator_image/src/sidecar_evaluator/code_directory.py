"""The directory of the user's code: its place on the module search path, and which code it is.

`commands` call it before the entry point is imported. Python's own modules come before the directory: a file `types.py`
in front of them would keep Python itself from starting. Nothing is imported here.
"""

import hashlib
import sys
from enum import StrEnum
from pathlib import Path, PurePath

from sidecar_evaluator.errors import ConfigurationError

_INSTALLED = {"site-packages", "dist-packages"}
_MODULES = {".py", ".pyc", ".so"}


class OnChange(StrEnum):
    """What becomes of results that other code has made."""

    WARN = "Warn"
    RESTART = "Restart"


def add_to_path(directory: Path) -> None:
    """Let the modules in the directory be imported, before what is installed and after Python's own.

    Raises ConfigurationError: there is no such directory, or a file has the name of a module of Python's own.
    """
    try:
        names = sorted(path.name for path in directory.iterdir())
    except OSError as error:
        raise ConfigurationError(
            f"The code in {directory} cannot be read: {error.strerror}; check --code-dir."
        ) from error
    for name in names:
        module = name.partition(".")[0]
        if PurePath(name).suffix in _MODULES and module in sys.stdlib_module_names:
            raise ConfigurationError(
                f"The file {name} in {directory} has the name of Python's own module {module}, which would be imported "
                "in its place; rename it (in Kubernetes the key of the ConfigMap that spec.evaluator.code names), and "
                "where it is imported."
            )
    if str(directory) not in sys.path:
        sys.path.insert(_first_installed(), str(directory))


def digest_of(directory: Path | None) -> str:
    """Return what tells the code in a directory from any other, "" where there is none.

    It is made from names and contents of the files. Directories in it are left out, so that what Kubernetes puts
    beside the keys of a ConfigMap does not count.
    """
    if directory is None or not directory.is_dir():
        return ""
    digest = hashlib.sha256()
    for path in sorted(path for path in directory.iterdir() if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{len(path.name)} {len(content)} {path.name}\n".encode(errors="surrogateescape") + content)
    return f"sha256:{digest.hexdigest()}"


def _first_installed() -> int:
    places = (at for at, place in enumerate(sys.path) if _INSTALLED & set(PurePath(place).parts))
    return next(places, len(sys.path))
