"""The command line: `python -m cluster up|down|status|build|load|kubeconfig|training-operator`.

CLUSTER=current leaves the machine alone and means the cluster that the user's own kubeconfig points at.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from cluster import lock, training_operator
from cluster.current import Current
from cluster.errors import ClusterError
from cluster.node import Node
from cluster.preflight import Machine, check, require_root
from cluster.programs import PROGRAMS, Programs
from cluster.progress import Progress
from cluster.settings import Settings

Command = Callable[[argparse.Namespace, Settings, Progress], int]


def up(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    """Bring the cluster up; nothing to do if it is."""
    node = _node(settings, progress)
    check(node.machine, progress, node.own_processes())
    with lock.held(settings.state):
        node.up()
    return 0


def down(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    """Take the cluster down and leave nothing but images and logs."""
    if not settings.state.exists():
        return 0
    node = _node(settings, progress)
    require_root(node.machine)
    with lock.held(settings.state):
        node.down()
    return 0


def status(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    """Print what runs; 0 only if all is well."""
    node = _node(settings, progress)
    print(node.report())
    return 1 if node.ailments() else 0


def build(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    """Build the named programs, or all, and print their paths."""
    unknown = set(arguments.names) - set(PROGRAMS)
    if unknown:
        raise ClusterError(f"no such program: {', '.join(sorted(unknown))}", f"choose from {', '.join(PROGRAMS)}")
    for path in Programs.of(settings.cache, progress).build(arguments.names or PROGRAMS):
        print(path)
    return 0


def load(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    """Load image archives into the node."""
    node = _node(settings, progress)
    node.require_up()
    for archive in arguments.archives:
        if not archive.is_file():
            raise ClusterError(f"no such image archive: {archive}", "build it first: make images")
        names = node.containerd.load(archive)
        progress.say(f"loaded {archive.name}: {', '.join(names) or 'nothing new'}")
    return 0


def kubeconfig(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    """Print the path of the administrator's kubeconfig."""
    print(settings.kubeconfig)
    return 0


def install_training_operator(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    """Install the Kubeflow training-operator and wait until it takes jobs."""
    node = _node(settings, progress)
    node.require_up()
    training_operator.install(node)
    return 0


def _node(settings: Settings, progress: Progress) -> Node:
    return Node(settings, Machine.this(), Programs.of(settings.cache, progress), progress)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    root = argparse.ArgumentParser(prog="cluster", description="the project's own local Kubernetes")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        entry = commands.add_parser(name, help=(command.__doc__ or "").strip())
        if name == "build":
            entry.add_argument("names", nargs="*", metavar="PROGRAM", help=f"of {', '.join(PROGRAMS)}; default: all")
        if name == "load":
            entry.add_argument("archives", nargs="+", type=Path, metavar="ARCHIVE", help="docker or OCI archive")
    return root


COMMANDS: dict[str, Command] = {
    "up": up,
    "down": down,
    "status": status,
    "build": build,
    "load": load,
    "kubeconfig": kubeconfig,
    "training-operator": install_training_operator,
}


def main() -> int:
    """Run one command; a `ClusterError` becomes one message and exit code 1."""
    arguments = parser().parse_args()
    try:
        if os.environ.get("CLUSTER") == "current" and arguments.command != "build":
            return Current.from_environment().run(arguments)
        return COMMANDS[arguments.command](arguments, Settings.from_environment(), Progress())
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cluster: interrupted; the next `up` starts clean, `down` takes away what was started", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
