"""A machine within the machine: its own processes, links and mounts, so that a second whole node can be brought up,
crashed and taken down beside the one that is in use.

Only the tests of the cluster itself use it. Folders that no setting moves (the kubelet's, containerd's sockets) are
empty memory file systems in it, so that a test can see what was left in them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.processes import DIE_WITH_PARENT, poll
from cluster.settings import Settings

OWN_FOLDERS = ("/run/containerd", "/run/netns", "/var/lib/kubelet", "/var/log/containers")
# The first process: it lets the kernel reap every orphan, and makes the folders before it says so.
FIRST = """
trap '' CHLD
for folder in {folders}; do mkdir -p "$folder" && mount -t tmpfs none "$folder" || exit 1; done
ip link set lo up
echo ready
exec sleep infinity
"""

LOOK = """
import json, os, pathlib
paths = pathlib.Path("/proc").glob("[0-9]*/cmdline")
found = {path.parent.name: path.read_text().replace(chr(0), " ") for path in paths}
print(json.dumps({pid: text for pid, text in found.items() if text and int(pid) not in (1, os.getpid())}))
"""


@dataclass
class IsolatedMachine:
    """A running machine within the machine; everything in it ends with `stop`, or with the process that started it."""

    process: subprocess.Popen[bytes]
    state: Path

    @classmethod
    def start(cls, state: Path) -> "IsolatedMachine":
        """Start one whose cluster lives in the folder `state`; needs root."""
        script = FIRST.format(folders=" ".join(OWN_FOLDERS))
        apart = ["/usr/bin/unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        launcher = [sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, str(os.getpid())]
        process = subprocess.Popen([*launcher, *apart, "/bin/sh", "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", "the machine within the machine did not start"
        return cls(process, state)

    def run(self, argv: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        """Run a program in it to its end, in a process group of its own."""
        enter = ["nsenter", "--target", str(self._first()), "--net", "--mount", "--pid", "--"]
        return subprocess.run(
            [*enter, *map(str, argv)], env=self._environment(), capture_output=True, text=True, timeout=900, check=False
        )

    def cluster(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the cluster's command line in it."""
        return self.run([sys.executable, "-m", "cluster", *arguments])

    def output(self, *argv: str) -> str:
        """Run a program in it and return what it printed; CalledProcessError if it fails."""
        done = self.run(argv)
        done.check_returncode()
        return done.stdout

    def processes(self) -> dict[int, str]:
        """Return the command lines of its processes by their ids within it, less the first and the one that looks."""
        command_lines: dict[str, str] = json.loads(self.output(sys.executable, "-I", "-S", "-c", LOOK))
        return {int(pid): text for pid, text in command_lines.items()}

    def kill(self, *pids: int) -> None:
        """Kill processes by their ids within it."""
        self.output("/bin/sh", "-c", 'kill -KILL "$@"', "kill", *map(str, pids))

    def stop(self) -> None:
        """End it and all that runs in it."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def _first(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        poll(lambda: children.read_text().strip(), seconds=60)
        return int(children.read_text().split()[0])

    def _environment(self) -> dict[str, str]:
        settings = Settings.from_environment()
        folders = {"SIDECAR_CACHE": str(settings.cache), "SIDECAR_STATE": str(self.state)}
        python_path = str(Path(__file__).parents[1])
        return {**os.environ, **folders, "PYTHONPATH": python_path, "CLUSTER": "local"}
