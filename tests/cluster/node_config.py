"""What the programs of the node are told: kubelet, kube-proxy and CoreDNS, as values and as the files they read.

Pure. Every one of them listens on the node's own address, so none can meet another program's port.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.settings import Network

DNS_ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "rules": [
        {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ],
}


@dataclass(frozen=True)
class NodeFiles:
    """Where the node's own files are."""

    state: Path

    @property
    def kubelet_root(self) -> Path:
        """The kubelet's folder: volumes of pods, plugins."""
        return self.state / "kubelet"

    @property
    def pod_logs(self) -> Path:
        """What containers print."""
        return self.state / "pod-logs"

    @property
    def gpu_socket(self) -> Path:
        """Where the GPU plugin listens: a folder that the kubelet watches."""
        return self.kubelet_root / "plugins_registry" / "gpu.sock"

    @property
    def client_certificate(self) -> Path:
        """What the API server shows to the kubelet; its own authority."""
        return self.state / "kubelet-client.crt"

    @property
    def client_key(self) -> Path:
        """The key of that certificate."""
        return self.state / "kubelet-client.key"


def kubelet(files: NodeFiles, network: Network, containerd_socket: Path) -> dict[str, Any]:
    """Return the kubelet's configuration, the same for control groups of version 1 and 2."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.host,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(files.client_certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,  # needs rights over the root group that a machine in a sandbox withholds
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "featureGates": {"KubeletInUserNamespace": True},  # go on where sysctls and limits may not be set
        "containerRuntimeEndpoint": f"unix://{containerd_socket}",
        "clusterDNS": [network.host],
        "clusterDomain": "cluster.local",
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%"},
        "healthzPort": 0,
        "imageGCHighThresholdPercent": 100,  # never: an image that is gone cannot be pulled again
        "nodeStatusUpdateFrequency": "1s",
        "podLogsDir": str(files.pod_logs),
        "volumePluginDir": str(files.state / "volume-plugins"),
    }


def kube_proxy(network: Network, node: str, kubeconfig: Path) -> dict[str, Any]:
    """Return kube-proxy's configuration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "bindAddress": network.host,
        "metricsBindAddress": f"{network.host}:10249",
        "healthzBindAddress": f"{network.host}:10256",
        "hostnameOverride": node,
        "clusterCIDR": network.pods,
        "iptables": {"masqueradeAll": True},  # pod to pod through a Service on one bridge, without br_netfilter
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def corefile(network: Network, kubeconfig: Path) -> str:
    """Return CoreDNS's configuration: names of the cluster, nothing beyond."""
    return f"""\
cluster.local {{
  bind {network.host}
  errors
  kubernetes cluster.local {{
    kubeconfig {kubeconfig} local
  }}
}}
"""


def binding(name: str, role: str, user: str) -> dict[str, Any]:
    """Return the ClusterRoleBinding that gives a role to a user."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
