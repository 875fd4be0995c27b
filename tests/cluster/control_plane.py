"""The command lines of etcd, API server, controller manager and scheduler, for both shapes of the cluster.

Pure: values in, arguments out. etcd listens on a Unix socket alone, so no one but its owner reaches it and no
port can be taken; the API server makes its own serving certificate, which is its own authority.
"""

from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ClusterError

ISSUER = "https://kubernetes.default.svc"
EAGER = ("--kube-api-qps=500", "--kube-api-burst=1000")  # by default controllers take 5 s to start, one after another
LONGEST_SOCKET = 100  # bytes; the kernel takes 107


@dataclass(frozen=True)
class ControlPlane:
    """The folder, address and ranges of one control plane."""

    folder: Path
    host: str
    port: int
    services: str

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://{self.host}:{self.port}"

    @property
    def certificate(self) -> Path:
        """The serving certificate that the API server makes at its first start."""
        return self.folder / "certs" / "apiserver.crt"

    @property
    def key(self) -> Path:
        """The key that signs ServiceAccount tokens."""
        return self.folder / "sa.key"

    @property
    def tokens(self) -> Path:
        """The static token file."""
        return self.folder / "tokens.csv"

    @property
    def socket(self) -> str:
        """The URL of etcd's socket."""
        path = self.folder / "etcd.sock"
        if len(str(path).encode()) > LONGEST_SOCKET:
            raise ClusterError(
                f"the path of etcd's socket is too long for the kernel: {path}", "use a folder with a shorter path"
            )
        return f"unix://{path}"


def etcd(plane: ControlPlane) -> list[str]:
    """Return etcd's arguments: one member, its peer address never used, no fsync (the data dies with the cluster)."""
    nowhere = "http://127.0.0.1:1"
    return [
        f"--data-dir={plane.folder / 'etcd'}",
        f"--listen-client-urls={plane.socket}",
        f"--advertise-client-urls={nowhere}",
        f"--listen-peer-urls={plane.socket}-peer",
        f"--initial-advertise-peer-urls={nowhere}",
        f"--initial-cluster=default={nowhere}",
        "--unsafe-no-fsync",
        "--logger=zap",
        "--log-level=warn",
    ]


def apiserver(plane: ControlPlane, *extra: str) -> list[str]:
    """Return the API server's arguments: default admission, Node and RBAC authorisation."""
    return [
        f"--etcd-servers={plane.socket}",
        f"--cert-dir={plane.certificate.parent}",
        f"--bind-address={plane.host}",
        f"--advertise-address={plane.host}",
        f"--secure-port={plane.port}",
        f"--token-auth-file={plane.tokens}",
        f"--service-account-key-file={plane.key}",
        f"--service-account-signing-key-file={plane.key}",
        f"--service-account-issuer={ISSUER}",
        f"--service-cluster-ip-range={plane.services}",
        "--authorization-mode=Node,RBAC",
        *extra,
    ]


def controller_manager(plane: ControlPlane, kubeconfig: Path) -> list[str]:
    """Return the controller manager's arguments; it serves nothing itself."""
    return [
        f"--kubeconfig={kubeconfig}",
        f"--service-account-private-key-file={plane.key}",
        f"--root-ca-file={plane.certificate}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--secure-port=0",
        *EAGER,
    ]


def scheduler(kubeconfig: Path) -> list[str]:
    """Return the scheduler's arguments; it serves nothing itself."""
    return [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0", *EAGER]
