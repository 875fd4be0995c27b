"""containerd of this node alone: its own folders and socket, nothing shared with another on the machine.

Its content (images) outlives `down`, so that a second `up` need not load them again; containers never do. They are
taken away while containerd is down, by their own traces, so it makes no difference whether it was ended or killed.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import mounts
from cluster.cgroups import Cgroups
from cluster.commands import run, succeeds
from cluster.errors import ClusterError
from cluster.processes import naming, poll, require_running, spawn, stop
from cluster.settings import Network

PAUSE = "localhost/pause:1"
NAMESPACE = "k8s.io"
CRI = "io.containerd.grpc.v1.cri"
READY_SECONDS = 300.0
SHIMS = ("containerd-shim-runc-v2",)


@dataclass(frozen=True)
class Containerd:
    """The folder of one containerd and the programs it uses."""

    folder: Path
    containerd: Path
    runc: Path
    plugins: Path

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "containerd.sock"

    @property
    def root(self) -> Path:
        """What outlives `down`: images."""
        return self.folder / "root"

    @property
    def volatile(self) -> Path:
        """What does not: running containers."""
        return self.folder / "state"

    @property
    def networks(self) -> Path:
        """The folder of the CNI configuration."""
        return self.folder / "cni"

    @property
    def log(self) -> Path:
        """Its log file."""
        return self.folder.parent / "log" / "containerd.log"

    def write_config(self, network: Network) -> Path:
        """Write its configuration and the CNI network's, and return the path of the former."""
        self.networks.mkdir(parents=True, exist_ok=True)
        (self.networks / "10-bridge.conflist").write_text(cni_network(network, self.folder / "cni-ipam"))
        return self._write("containerd.toml", config(self))

    def command(self, configuration: Path) -> list[str | Path]:
        """Return its command line."""
        return [self.containerd, "--config", configuration, "--log-level", "warn"]

    def ctr(self, *arguments: str) -> str:
        """Run its client in the kubelet's namespace and return what it printed."""
        client = self.containerd.with_name("ctr")
        options = ["--connect-timeout", "5m", "--namespace", NAMESPACE]
        return run([client, "--address", self.socket, *options, *arguments], seconds=3600)

    def answers(self) -> bool:
        """Say whether it can be asked."""
        return self.socket.exists() and succeeds(
            [self.containerd.with_name("ctr"), "--address", self.socket, "version"]
        )

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until it answers."""

        def settled() -> bool:
            require_running(process, "containerd", self.log)
            return self.answers()

        if not poll(settled, READY_SECONDS, 0.05):
            raise ClusterError(f"containerd was not ready within {READY_SECONDS:.0f} s; see {self.log}")

    def digests(self) -> dict[str, str]:
        """Return the digests of the images in the node by their names."""
        rows = [line.split() for line in self.ctr("images", "list").splitlines()[1:]]
        return {row[0]: row[2] for row in rows}

    def load(self, archive: Path) -> list[str]:
        """Load an image archive (docker or OCI layout) and return the names that are new or mean another image now."""
        before = self.digests()
        self.ctr("images", "import", str(archive))
        return [name for name, digest in self.digests().items() if before.get(name) != digest]

    def clear(self) -> None:
        """Take away every container, its processes, mounts and traces; containerd itself must be down."""
        tasks = self.volatile / "io.containerd.runtime.v2.task" / NAMESPACE
        bundles = [path for path in tasks.glob("*") if path.is_dir()] if tasks.exists() else []
        for bundle in bundles:
            succeeds([self.runc, "--root", self.folder / "runc" / NAMESPACE, "delete", "--force", bundle.name])
            self._forget_shim_socket(bundle)
        for shim in naming(self.folder, SHIMS):
            stop(shim, grace=2.0)
        for bundle in bundles:
            Cgroups().remove(f"{NAMESPACE}/{bundle.name}")
        mounts.detach_below(self.folder)
        for name in ("state", "runc", "cni-ipam", "containerd.sock", "containerd.sock.ttrpc"):
            _delete(self.folder / name)
        for name in ("sandboxes", "containers"):
            _delete(self.root / CRI / name)
        self._forget_containers()

    def _forget_shim_socket(self, bundle: Path) -> None:
        try:
            address = (bundle / "address").read_text()
        except OSError:
            return
        if address.startswith("unix:///run/containerd/s/"):
            Path(address.removeprefix("unix://")).unlink(missing_ok=True)

    def _forget_containers(self) -> None:
        """Delete the containers that containerd still knows by name, asking one that starts none of them."""
        if not (self.root / "io.containerd.metadata.v1.bolt" / "meta.db").exists():
            return
        with self._janitor():
            names = self.ctr("containers", "list", "--quiet").split()
            if names:
                self.ctr("containers", "delete", *names)
        for name in ("state", "containerd.sock", "containerd.sock.ttrpc"):
            _delete(self.folder / name)

    @contextmanager
    def _janitor(self) -> Iterator[None]:
        configuration = self._write("janitor.toml", config(self, disabled=[CRI]))
        self.log.parent.mkdir(parents=True, exist_ok=True)
        process = spawn(self.command(configuration), self.log)
        try:
            self.wait(process)
            yield
        finally:
            process.terminate()
            process.wait()

    def _write(self, name: str, text: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        path.write_text(text)
        return path


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def config(node: Containerd, disabled: list[str] | None = None) -> str:
    """Return containerd's configuration (version 2 of the format, which 1.6 to 2.x read)."""
    unused = [f"io.containerd.snapshotter.v1.{name}" for name in ("aufs", "btrfs", "devmapper", "zfs")]
    names = ", ".join(f'"{name}"' for name in [*unused, *(disabled or [])])
    return f"""\
version = 2
root = "{node.root}"
state = "{node.volatile}"
disabled_plugins = [{names}]
[grpc]
  address = "{node.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{node.folder}/opt"
[plugins."{CRI}"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true          # a machine may withhold CAP_SYS_RESOURCE
  disable_apparmor = true
  netns_mounts_under_state_dir = true    # so that network namespaces are known as ours
  [plugins."{CRI}".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."{CRI}".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."{CRI}".containerd.runtimes.runc.options]
        BinaryName = "{node.runc}"
        Root = "{node.folder}/runc"
        SystemdCgroup = false
  [plugins."{CRI}".cni]
    bin_dir = "{node.plugins}"
    conf_dir = "{node.networks}"
"""


def cni_network(network: Network, leases: Path) -> str:
    """Return the CNI network: pods on one bridge, the bridge their gateway, no masquerading."""
    return f"""\
{{"cniVersion": "0.4.0", "name": "{network.pod_link}", "plugins": [{{
  "type": "bridge", "bridge": "{network.pod_link}", "isGateway": true, "ipMasq": false, "hairpinMode": true,
  "ipam": {{"type": "host-local", "dataDir": "{leases}", "ranges": [[{{"subnet": "{network.pods}"}}]],
            "routes": [{{"dst": "0.0.0.0/0"}}]}}
}}]}}
"""
