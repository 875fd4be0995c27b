"""The whole node: control plane, containerd, kubelet, kube-proxy, CoreDNS and one advertised GPU, on this machine.

`up` starts clean whatever an earlier one left, and ends when a pod can be scheduled; `down` leaves nothing but
images and logs. The command line calls both, with the cluster's lock held.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException
from pathlib import Path

from cluster import control_plane, dns, leftovers, network, node_config, volumes
from cluster.cgroups import Cgroups
from cluster.client import ApiError, Client
from cluster.commands import run
from cluster.containerd import PAUSE, Containerd
from cluster.control_plane import ControlPlane
from cluster.credentials import User, kubeconfig, signing_key, token_file, token_of, write_secret
from cluster.errors import ClusterError
from cluster.images import write_archive
from cluster.node_config import NodeFiles
from cluster.preflight import Machine
from cluster.processes import ProcessRecord, Records, log_end, naming, poll, spawn
from cluster.programs import Programs
from cluster.progress import Progress
from cluster.settings import Settings

INJECTION = (
    "--feature-gates=MutatingAdmissionPolicy=true",
    "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
)
"""Lets a test add containers to pods at their admission, as the webhook of a service mesh does."""
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
BUILT = (*CONTROL_PLANE, "kubelet", "kube-proxy", "coredns", "gpu-plugin", "kubectl")
ROLES = (*CONTROL_PLANE, "containerd", "kubelet", "kube-proxy", "coredns", "gpu-plugin")
USERS = {
    "admin": User("admin", ("system:masters",)),
    "kube-controller-manager": User("system:kube-controller-manager"),
    "kube-scheduler": User("system:kube-scheduler"),
    "kubelet": User("system:node:local", ("system:nodes",)),
    "kube-proxy": User("system:kube-proxy"),
    "coredns": User("system:coredns"),
}
READY_SECONDS = 300.0
BUSY_SECONDS = 120.0
GPU = "nvidia.com/gpu"


@dataclass
class Node:
    """One node and its folder; `settings` say where."""

    settings: Settings
    machine: Machine
    programs: Programs
    progress: Progress

    @cached_property
    def plane(self) -> ControlPlane:
        """The control plane's place."""
        addresses = self.settings.network
        return ControlPlane(self.settings.state, addresses.host, addresses.api_port, addresses.services)

    @cached_property
    def files(self) -> NodeFiles:
        """The node's files."""
        return NodeFiles(self.settings.state)

    @cached_property
    def records(self) -> Records:
        """The recorded processes."""
        return Records(self.settings.state / "run")

    @cached_property
    def containerd(self) -> Containerd:
        """The node's containerd."""
        tools = {name: self.machine.require(name) for name in ("containerd", "runc", "bridge")}
        return Containerd(self.settings.state / "containerd", tools["containerd"], tools["runc"], tools["bridge"])

    @property
    def admin(self) -> Client:
        """A client with the administrator's rights; their kubeconfig is the user's, who may change it."""
        token = token_of(USERS["admin"].name, self.plane.tokens.read_text())
        return Client(self.plane.url, self.plane.certificate.read_text(), token)

    def up(self) -> None:
        """Start everything and return when a pod can be scheduled; what runs already is left alone if it is well."""
        self.programs.build(BUILT)
        if self._is_well():
            volumes.fill_pool(self.kubectl, self.settings.state / "volumes")
            self.progress.say("the cluster is up already")
            return
        self.clean()
        self._start_control_plane(self._prepare())
        self._start_node()
        self._wait("the node", lambda: not self.ailments())
        self.progress.say(f"the cluster is up: export KUBECONFIG={self.settings.kubeconfig}")

    def clean(self) -> None:
        """End our processes and take away every trace but images and logs."""
        leftovers.remove(self.settings, self.records, self.containerd)

    def down(self) -> None:
        """Take everything away but images and logs."""
        self.clean()
        self.progress.say("the cluster is down")

    def own_processes(self) -> frozenset[int]:
        """Return the ids of this cluster's processes that run, also of those that a crash left unrecorded."""
        recorded = [record for record in self.records.read().values() if record.alive()]
        return frozenset(record.pid for record in [*recorded, *naming(self.settings.state, ROLES)])

    def require_up(self) -> None:
        """Raise unless the node's containerd and API server run."""
        if self.ailments():
            raise ClusterError(f"the cluster is not up: {'; '.join(self.ailments())}", "make cluster")

    def report(self) -> str:
        """Return what runs, in which version, as a table."""
        records = self.records.read()
        rows = [f"{role:26}{_describe(role, records.get(role))}" for role in ROLES]
        ailments = self.ailments()
        verdict = "\n".join(ailments) if ailments else "the node is Ready"
        return "\n".join([*rows, verdict, f"KUBECONFIG={self.settings.kubeconfig}"])

    def ailments(self) -> list[str]:
        """Return what is not as it should be, one line each; none if the cluster is well."""
        records = self.records.read()
        process_ailments = [
            f"{role} {ill}" for role in ROLES if (ill := self._process_ailment(role, records.get(role)))
        ]
        if process_ailments:
            return process_ailments
        try:
            return self._node_ailments()
        except (OSError, HTTPException, ApiError, ValueError, KeyError) as error:
            return [f"the API server does not answer: {error}"]

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator and return what it printed."""
        flags = [f"--kubeconfig={self.settings.kubeconfig}", f"--cache-dir={self.settings.state / 'kubectl'}"]
        return run([self.programs.path("kubectl"), *flags, *arguments], stdin=stdin)

    def _is_well(self) -> bool:
        """Say whether the cluster is up; a busy one gets time, since what replaces it holds nothing of it."""
        records = self.records.read()
        if not all(role in records and records[role].alive() for role in ROLES):
            if records:
                self.progress.say("starting anew: an earlier cluster did not end in order")
            return False
        if poll(lambda: not self.ailments(), BUSY_SECONDS):
            return True
        self.progress.say(f"starting anew: {'; '.join(self.ailments())}")
        return False

    def _process_ailment(self, role: str, record: ProcessRecord | None) -> str:
        if record is None or not record.alive():
            return "does not run"
        another = role in BUILT and record.program != str(self.programs.path(role))
        return "runs in another version than the pinned one" if another else ""

    def _node_ailments(self) -> list[str]:
        node = self.admin.get(f"/api/v1/nodes/{self.settings.node}")
        ready = {entry["type"]: entry for entry in node["status"].get("conditions", [])}.get("Ready", {})
        checks = {
            f"the node is not ready: {ready.get('message')}": ready.get("status") == "True",
            "the node takes no pods yet": not node["spec"].get("taints"),
            "the node advertises no GPU": node["status"]["allocatable"].get(GPU) == "1",
            "CoreDNS does not answer": dns.resolves(self.settings.network.host, "kubernetes.default.svc.cluster.local"),
            "the default ServiceAccount is missing": self.admin.answers(
                "/api/v1/namespaces/default/serviceaccounts/default"
            ),
        }
        return [ailment for ailment, well in checks.items() if not well]

    def _prepare(self) -> dict[str, User]:
        """Make the machine ready and return the users of this start, each with its token."""
        state = self.settings.state
        shutil.rmtree(state / "log", ignore_errors=True)
        (state / "log").mkdir(parents=True)
        Cgroups().enable()
        network.create(self.settings.network)
        write_secret(self.plane.key, signing_key())
        users = {role: user.with_token() for role, user in USERS.items()}
        write_secret(self.plane.tokens, token_file(list(users.values())))
        _make_client_certificate(self.machine.require("openssl"), self.files)
        return users

    def _start_control_plane(self, users: dict[str, User]) -> None:
        self.progress.say("starting the control plane")
        containerd = self._spawn(
            "containerd", self.containerd.command(self.containerd.write_config(self.settings.network))
        )
        self._start("etcd", control_plane.etcd(self.plane))
        self._start("kube-apiserver", self._apiserver_arguments())
        self._load_pause(containerd)
        self._wait("the API server's certificate", self.plane.certificate.exists)
        authority = self.plane.certificate.read_text()
        for role, user in users.items():
            write_secret(self._kubeconfig(role), kubeconfig(self.plane.url, authority, user.token))
        self._wait("the API server", self.admin.answers)
        self._start(
            "kube-controller-manager",
            control_plane.controller_manager(self.plane, self._kubeconfig("kube-controller-manager")),
        )
        self._start("kube-scheduler", control_plane.scheduler(self._kubeconfig("kube-scheduler")))

    def _apiserver_arguments(self) -> list[str]:
        return control_plane.apiserver(
            self.plane,
            "--allow-privileged",
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-client-certificate={self.files.client_certificate}",
            f"--kubelet-client-key={self.files.client_key}",
            *INJECTION,
        )

    def _start_node(self) -> None:
        self.progress.say("starting the node")
        self._grant()
        self._start_kubelet()
        addresses = self.settings.network
        proxy = node_config.kube_proxy(addresses, self.settings.node, self._kubeconfig("kube-proxy"))
        self._start("kube-proxy", [f"--config={self._write('kube-proxy.yaml', json.dumps(proxy, indent=1))}"])
        corefile = node_config.corefile(addresses, self._kubeconfig("coredns"))
        self._start("coredns", ["-conf", str(self._write("Corefile", corefile))])
        volumes.fill_pool(self.kubectl, self.settings.state / "volumes")

    def _start_kubelet(self) -> None:
        self.files.gpu_socket.parent.mkdir(parents=True, exist_ok=True)
        self._start("gpu-plugin", [str(self.files.gpu_socket)])
        configuration = node_config.kubelet(self.files, self.settings.network, self.containerd.socket)
        self._start(
            "kubelet",
            [
                f"--kubeconfig={self._kubeconfig('kubelet')}",
                f"--config={self._write('kubelet.yaml', json.dumps(configuration, indent=1))}",
                f"--root-dir={self.files.kubelet_root}",
                f"--cert-dir={self.files.kubelet_root / 'pki'}",
                f"--hostname-override={self.settings.node}",
                f"--node-ip={self.settings.network.host}",
            ],
        )

    def _grant(self) -> None:
        roles = "/apis/rbac.authorization.k8s.io/v1"
        self.admin.apply(f"{roles}/clusterroles/coredns", node_config.DNS_ROLE | {"metadata": {"name": "coredns"}})
        for name, role, user in (
            ("coredns", "coredns", "system:coredns"),
            ("kube-proxy", "system:node-proxier", "system:kube-proxy"),
        ):
            self.admin.apply(f"{roles}/clusterrolebindings/{name}", node_config.binding(name, role, user))

    def _load_pause(self, containerd: subprocess.Popen[bytes]) -> None:
        self.containerd.wait(containerd)
        if PAUSE not in self.containerd.digests():
            archive = self.settings.state / "pause.tar"
            write_archive(archive, PAUSE, self.machine.require("busybox"), "/busybox", ["sleep", "2147483647"])
            self.containerd.load(archive)
            archive.unlink()

    def _kubeconfig(self, role: str) -> Path:
        return self.settings.state / f"{role}.kubeconfig"

    def _write(self, name: str, text: str) -> Path:
        path = self.settings.state / name
        path.write_text(text)
        return path

    def _start(self, role: str, arguments: list[str]) -> None:
        self._spawn(role, [self.programs.path(role), *arguments])

    def _spawn(self, role: str, argv: list[str | Path]) -> subprocess.Popen[bytes]:
        process = spawn(argv, self._log(role))
        self.records.write(role, ProcessRecord.of(process.pid, program=str(argv[0])))
        return process

    def _log(self, role: str) -> Path:
        return self.settings.state / "log" / f"{role}.log"

    def _wait(self, what: str, condition: Callable[[], object]) -> None:
        def settled() -> bool:
            for role, record in self.records.read().items():
                if not record.alive():
                    raise ClusterError(f"{role} ended; the end of {self._log(role)}:\n{log_end(self._log(role))}")
            return bool(condition())

        if not poll(settled, READY_SECONDS):
            why = "; ".join(self.ailments())
            raise ClusterError(
                f"{what} was not ready within {READY_SECONDS:.0f} s: {why}", f"look into {self.settings.state / 'log'}"
            )


def _describe(role: str, record: ProcessRecord | None) -> str:
    if record is None or not record.alive():
        return "not running"
    folder = Path(record.program).parent.name  # of a built program: NAME-VERSION-goVERSION-DIGEST
    version = folder.split("-go")[0].removeprefix(f"{role}-") if folder.startswith(role) else "the machine's own"
    return f"process {record.pid:<8} {version}"


def _make_client_certificate(openssl: Path, files: NodeFiles) -> None:
    subject = "/O=system:masters/CN=kube-apiserver-kubelet-client"
    key: list[str | Path] = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        files.client_key,
    ]
    run([openssl, "req", "-x509", *key, "-subj", subject, "-days", "3650", "-out", files.client_certificate])
