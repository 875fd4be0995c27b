"""The node's own links and packet filter chains: made by `up`, taken away by `down`, other people's left alone.

Two bridges: one bears the node's address, the CNI plugin joins pods to the other. Pods have no way out of the
machine on purpose, so that no test leans on the internet. IPv4 forwarding is switched on and stays on.
"""

import json
import shutil
from itertools import pairwise
from pathlib import Path

from cluster.commands import run, succeeds
from cluster.preflight import SEARCHED
from cluster.settings import Network

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
OWN_CHAIN = "SEVAL-PODS"
PREFIXES = ("KUBE-", "SEVAL-")  # chains of kube-proxy and kubelet, and our own
TABLES = ("filter", "nat", "mangle", "raw")


def create(network: Network) -> None:
    """Make the node's link and let its pods through whatever firewall the machine has."""
    if not succeeds(["ip", "link", "show", network.host_link]):
        run(["ip", "link", "add", network.host_link, "type", "bridge"])
    run(["ip", "address", "replace", f"{network.host}/32", "dev", network.host_link])
    run(["ip", "link", "set", network.host_link, "up"])
    if FORWARDING.read_text().strip() != "1":
        FORWARDING.write_text("1\n")
    run(["iptables-restore", "--noflush", "--wait"], stdin=accepting(network.pods))


def accepting(pods: str) -> str:
    """Return the iptables-restore script of the chain that lets pods reach the node and each other."""
    return "\n".join(
        [
            "*filter",
            f":{OWN_CHAIN} - [0:0]",
            f"-A {OWN_CHAIN} -s {pods} -j ACCEPT",
            f"-A {OWN_CHAIN} -d {pods} -j ACCEPT",
            f"-I INPUT -j {OWN_CHAIN}",
            f"-I FORWARD -j {OWN_CHAIN}",
            "COMMIT\n",
        ]
    )


def remove(network: Network) -> None:
    """Take away both bridges, the pods' links on them and every chain with one of our prefixes."""
    for name in members(network.pod_link):
        succeeds(["ip", "link", "delete", name])
    for name in (network.pod_link, network.host_link):
        if exists(name):
            run(["ip", "link", "delete", name])
    for tool in ("iptables", "ip6tables"):
        if shutil.which(f"{tool}-save", path=SEARCHED):
            _remove_chains(tool)


def exists(link: str) -> bool:
    """Say whether there is a link of this name."""
    return succeeds(["ip", "link", "show", link])


def members(bridge: str) -> list[str]:
    """Return the links that are joined to a bridge; none if there is no such bridge."""
    if not exists(bridge):
        return []
    return [link["ifname"] for link in json.loads(run(["ip", "-json", "link", "show", "master", bridge]) or "[]")]


def _remove_chains(tool: str) -> None:
    for table in TABLES:
        if not succeeds([f"{tool}-save", "-t", table]):
            continue  # a table that this kernel does not have
        script = removal(run([f"{tool}-save", "-t", table]))
        if script:
            run([f"{tool}-restore", "--noflush", "--wait"], stdin=script)


def removal(saved: str) -> str:
    """Return the script that takes our chains out of a table as iptables-save prints it; empty if it has none."""
    chains = [line[1:].split()[0] for line in saved.splitlines() if line.startswith(":")]
    our_chains = [chain for chain in chains if chain.startswith(PREFIXES)]
    if not our_chains:
        return ""
    table = next(line for line in saved.splitlines() if line.startswith("*"))
    jumps = [line.replace("-A ", "-D ", 1) for line in saved.splitlines() if _jumps_to_us(line)]
    flushes = [f"-F {chain}" for chain in our_chains]
    return "\n".join([table, *jumps, *flushes, *(f"-X {chain}" for chain in our_chains), "COMMIT\n"])


def _jumps_to_us(rule: str) -> bool:
    words = rule.split()
    if len(words) < 4 or words[0] != "-A" or words[1].startswith(PREFIXES):
        return False
    return any(flag in {"-j", "-g"} and target.startswith(PREFIXES) for flag, target in pairwise(words))
