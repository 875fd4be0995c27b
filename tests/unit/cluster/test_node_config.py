import re
from pathlib import Path
from typing import Any

import pytest

from cluster import control_plane, node_config
from cluster.containerd import Containerd, cni_network, config
from cluster.control_plane import ControlPlane
from cluster.errors import ClusterError
from cluster.node import BUILT, ROLES, USERS
from cluster.node_config import NodeFiles
from cluster.programs import MODULES, PROGRAMS
from cluster.settings import Network

NETWORK = Network()
PLANE = ControlPlane(Path("/s"), NETWORK.host, NETWORK.api_port, NETWORK.services)


def kubelet() -> dict[str, Any]:
    return node_config.kubelet(NodeFiles(Path("/s")), NETWORK, Path("/s/containerd/containerd.sock"))


def test_the_kubelet_goes_with_either_version_of_control_groups() -> None:
    rendered = kubelet()
    assert rendered["failCgroupV1"] is False
    assert (rendered["cgroupDriver"], rendered["cgroupsPerQOS"], rendered["enforceNodeAllocatable"]) == (
        "cgroupfs",
        False,
        [],
    )


def test_the_kubelet_lets_only_the_api_server_in() -> None:
    rendered = kubelet()
    assert rendered["authentication"]["anonymous"] == {"enabled": False}
    assert rendered["authentication"]["x509"]["clientCAFile"] == "/s/kubelet-client.crt"
    assert rendered["authorization"] == {"mode": "Webhook"}


def test_every_listener_is_on_the_node_s_own_address() -> None:
    proxy = node_config.kube_proxy(NETWORK, "local", Path("/s/p"))
    addresses = [kubelet()["address"], proxy["bindAddress"], proxy["metricsBindAddress"], proxy["healthzBindAddress"]]
    assert all(address.startswith(NETWORK.host) for address in addresses)
    assert f"bind {NETWORK.host}" in node_config.corefile(NETWORK, Path("/s/d"))
    assert "--secure-port=0" in control_plane.scheduler(Path("/s/k"))
    assert "--secure-port=0" in control_plane.controller_manager(PLANE, Path("/s/k"))


def test_etcd_is_reached_by_its_socket_alone() -> None:
    assert "--listen-client-urls=unix:///s/etcd.sock" in control_plane.etcd(PLANE)
    assert "--etcd-servers=unix:///s/etcd.sock" in control_plane.apiserver(PLANE)


def test_a_socket_s_path_that_the_kernel_would_cut_is_refused() -> None:
    with pytest.raises(ClusterError, match="too long"):
        control_plane.etcd(ControlPlane(Path("/" + "x" * 100), "127.0.0.1", 1, "10.0.0.0/24"))


def test_containerd_keeps_to_its_own_folder() -> None:
    node = Containerd(Path("/s/containerd"), Path("/usr/bin/containerd"), Path("/usr/sbin/runc"), Path("/usr/lib/cni"))
    rendered = config(node)
    for line in ('root = "/s/containerd/root"', "netns_mounts_under_state_dir = true", 'Root = "/s/containerd/runc"'):
        assert line in rendered
    assert '"io.containerd.grpc.v1.cri"]' not in rendered.split("[grpc]")[0]
    assert '"io.containerd.grpc.v1.cri"]' in config(node, disabled=["io.containerd.grpc.v1.cri"]).split("[grpc]")[0]
    assert f'"subnet": "{NETWORK.pods}"' in cni_network(NETWORK, Path("/s/ipam"))


def test_every_role_has_a_program_and_every_client_a_user() -> None:
    assert set(ROLES) - {"containerd"} <= set(BUILT) <= set(PROGRAMS)
    assert {"kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns", "admin"} == set(USERS)
    assert [name for name, user in USERS.items() if "system:masters" in user.groups] == ["admin"]


def test_coredns_is_built_with_the_plugins_of_the_corefile_and_no_other() -> None:
    source = (MODULES / "coredns" / "coredns" / "main.go").read_text()
    configured = re.findall(r"^  (\w+)", node_config.corefile(NETWORK, Path("/k")), re.MULTILINE)
    assert re.findall(r"coredns/plugin/(\w+)", source) == configured
