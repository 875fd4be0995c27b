"""Builds both distributions as a release would, installs each into an environment of its own, and starts it.

The wheel is built from the sdist, with the pinned tools of the images' builds; its dependencies are the locked ones.
So what is proven is that the sdist is complete, that the wheel installs, and that it reports the right version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from release.commands import CommandError, Commands

BUILD_TOOLS = Path("operator/build.txt")
"""The build backend with its hashes."""

VERSION_OF = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"


@dataclass(frozen=True)
class Distribution:
    """One distribution, and a start of its program that needs neither cluster nor model."""

    name: str
    locked: tuple[str, ...]
    """What `uv export` is given beyond the name."""
    arguments: tuple[str, ...]
    code: int
    words: str
    """What the program must write when it is started with these arguments."""


DISTRIBUTIONS = (
    Distribution("sidecar-operator", (), (), 2, "EVALUATOR_IMAGE is not set"),
    Distribution(
        "sidecar-evaluator",
        ("--extra", "cpu", "--no-emit-package", "tensorflow"),
        ("run", "--help"),
        0,
        "--checkpoint-dir",
    ),
)


@dataclass(frozen=True)
class Packages:
    """Builds and installs below a temporary folder, with the uv of the cache."""

    root: Path
    folder: Path
    uv: Path
    python: Path
    environment: Mapping[str, str]

    def check(self, distribution: Distribution, version: str) -> None:
        """Build, install and start a distribution; CommandError says what did not work."""
        wheel = self.build(distribution, version)
        environment = self.install(distribution, wheel)
        self.start(distribution, environment, version)

    def build(self, distribution: Distribution, version: str) -> Path:
        """Build the sdist, and from it the wheel; return the wheel."""
        target = self.folder / "dist"
        build = (self.uv, "build", "--quiet", "--package", distribution.name, "--python", self.python)
        pinned = ("--require-hashes", "--build-constraints", self.root / BUILD_TOOLS)
        self._commands().succeed(*build, "--out-dir", target, *pinned)
        stem = f"{distribution.name.replace('-', '_')}-{version}"
        for name in (f"{stem}.tar.gz", f"{stem}-py3-none-any.whl"):
            if not (target / name).is_file():
                built = ", ".join(sorted(path.name for path in target.iterdir()))
                raise CommandError(f"the build of {distribution.name} gave no {name}, but {built}")
        return target / f"{stem}-py3-none-any.whl"

    def install(self, distribution: Distribution, wheel: Path) -> Path:
        """Install a wheel with its locked dependencies into a fresh environment; return the environment."""
        environment = self.folder / distribution.name
        requirements = self.folder / f"{distribution.name}.txt"
        commands = self._commands()
        export = (self.uv, "export", "--quiet", "--frozen", "--no-dev", "--no-emit-workspace", "--no-header")
        commands.succeed(*export, "--package", distribution.name, *distribution.locked, "--output-file", requirements)
        commands.succeed(self.uv, "venv", "--quiet", "--python", self.python, environment)
        install = (self.uv, "pip", "install", "--quiet", "--python", environment, "--no-deps")
        commands.succeed(*install, "--require-hashes", "-r", requirements)
        commands.succeed(*install, wheel)
        return environment

    def start(self, distribution: Distribution, environment: Path, version: str) -> None:
        """Start what was installed, away from the sources; CommandError if it is not of this version."""
        commands = Commands(self.folder, {"PATH": "/usr/bin:/bin", "HOME": str(self.folder)})
        reported = commands.succeed(environment / "bin" / "python", "-c", VERSION_OF, distribution.name).strip()
        if reported != version:
            raise CommandError(f"{distribution.name} reports the version {reported}, the project has {version}")
        output = commands.output(environment / "bin" / distribution.name, *distribution.arguments)
        if output.code != distribution.code or distribution.words not in output.text:
            raise CommandError(f"{distribution.name} does not start ({output.code}): {output.text.strip()[-2000:]}")

    def _commands(self) -> Commands:
        return Commands(self.root, self.environment)
