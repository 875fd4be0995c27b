"""The local Kubernetes itself: crash and clean start, refusal of a second command, and a `down` that leaves nothing.

It runs in a machine within the machine, so the cluster that is in use is left alone.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CalledProcessError

import pytest

from cluster import lock
from cluster.isolation import OWN_FOLDERS, IsolatedMachine
from cluster.programs import Programs
from cluster.progress import Progress
from cluster.settings import Settings
from support.waiting import CLUSTER_DEADLINE, until

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "probe"},
    "spec": {
        "containers": [
            {"name": "probe", "image": "localhost/pause:1", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
        ]
    },
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IsolatedMachine]:
    apart = IsolatedMachine.start(tmp_path_factory.mktemp("cluster") / "state")
    yield apart
    apart.cluster("down")
    apart.stop()


def bring_up(machine: IsolatedMachine) -> str:
    done = machine.cluster("up")
    assert done.returncode == 0, done.stderr
    return done.stderr


def kubectl(machine: IsolatedMachine, *arguments: str) -> str:
    program = Programs.of(Settings.from_environment().cache, Progress()).path("kubectl")
    return machine.output(str(program), "--kubeconfig", str(machine.state / "admin.kubeconfig"), *arguments)


def run_pod(machine: IsolatedMachine, folder: Path) -> None:
    """Run a new pod that holds the GPU, until it is ready."""
    create_pod(machine, folder)
    kubectl(machine, "wait", "--for=condition=Ready", "pod/probe", f"--timeout={CLUSTER_DEADLINE:.0f}s")


def create_pod(machine: IsolatedMachine, folder: Path) -> None:
    """Create a new pod that holds the GPU, in place of the one before."""
    manifest = folder / "pod.json"
    manifest.write_text(json.dumps(POD))
    kubectl(machine, "delete", "pod", "probe", "--ignore-not-found", "--now")
    kubectl(machine, "create", "--filename", str(manifest))


def runs_pod(machine: IsolatedMachine, folder: Path) -> bool:
    """Tell whether a new pod gets the GPU: the kubelet fails one at once that it takes before it has the GPU again."""
    create_pod(machine, folder)
    until(lambda: phase(machine) in {"Running", "Failed"}, seconds=CLUSTER_DEADLINE)
    return phase(machine) == "Running"


def phase(machine: IsolatedMachine) -> str:
    return kubectl(machine, "get", "pod", "probe", "--output", "jsonpath={.status.phase}")


def recorded(machine: IsolatedMachine) -> dict[str, int]:
    return {path.stem: json.loads(path.read_text())["pid"] for path in (machine.state / "run").glob("*.json")}


def traces(machine: IsolatedMachine) -> dict[str, object]:
    """Return every trace that a cluster may leave in the machine; each is empty where none is left."""
    rules = machine.output("iptables-save") + machine.output("ip6tables-save")
    links = [link["ifname"] for link in json.loads(machine.output("ip", "-json", "link"))]
    return {
        "processes": machine.processes(),
        "mounts": [line for line in machine.output("cat", "/proc/mounts").splitlines() if str(machine.state) in line],
        "links": [name for name in links if name.startswith(("seval", "veth"))],
        "chains": [line for line in rules.splitlines() if "KUBE-" in line or "SEVAL-" in line],
        "files": [path for folder in OWN_FOLDERS for path in files(machine, folder)],
        "state": sorted(
            path.name for path in machine.state.iterdir() if path.name not in {"containerd", "lock", "log"}
        ),
    }


def containers(machine: IsolatedMachine) -> list[str]:
    return [path.name for path in machine.state.glob("containerd/state/io.containerd.runtime.v2.task/k8s.io/*")]


def groups(names: list[str]) -> list[Path]:
    """Return the control groups of these containers; those of other pods may vanish meanwhile."""
    control_groups = (Path(folder) for folder, _, _ in os.walk("/sys/fs/cgroup"))
    return [group for group in control_groups if group.parent.name == "k8s.io" and group.name in names]


def files(machine: IsolatedMachine, folder: str) -> list[str]:
    return machine.output("find", folder, "-mindepth", "1", "-not", "-type", "d").split()


def test_a_second_start_neither_builds_nor_installs(machine: IsolatedMachine) -> None:
    bring_up(machine)
    machine.cluster("down")
    steps = [line.partition("] ")[2] for line in bring_up(machine).splitlines()]
    assert [step for step in steps if step.startswith(("building", "installing", "waiting for another build"))] == []
    assert any(step.startswith("the cluster is up: ") for step in steps)


def test_a_start_has_nothing_to_do_where_all_is_well(machine: IsolatedMachine) -> None:
    bring_up(machine)
    before = recorded(machine)
    assert "the cluster is up already" in bring_up(machine)
    assert recorded(machine) == before


def test_status_tells_health_by_its_exit_code(machine: IsolatedMachine) -> None:
    bring_up(machine)
    well = machine.cluster("status")
    assert (well.returncode, "the node is Ready" in well.stdout) == (0, True)
    machine.kill(recorded(machine)["coredns"])
    ill = machine.cluster("status")
    assert (ill.returncode, "coredns does not run" in ill.stdout) == (1, True)


def test_it_starts_clean_after_every_process_was_killed(machine: IsolatedMachine, tmp_path: Path) -> None:
    bring_up(machine)
    run_pod(machine, tmp_path)
    machine.kill(*recorded(machine).values())
    assert any("containerd-shim" in text for text in machine.processes().values())
    bring_up(machine)
    assert not kubectl(machine, "get", "pods", "--output", "name")
    run_pod(machine, tmp_path)


def test_it_starts_clean_after_its_containers_were_killed_too(machine: IsolatedMachine, tmp_path: Path) -> None:
    bring_up(machine)
    run_pod(machine, tmp_path)
    machine.kill(*machine.processes())
    until(lambda: not machine.processes())
    bring_up(machine)
    run_pod(machine, tmp_path)


def is_killed_half_way(machine: IsolatedMachine) -> bool:
    """Kill a start once the first of its programs runs; return whether that came before its end."""
    machine.cluster("down")
    with ThreadPoolExecutor() as pool:
        start = pool.submit(machine.cluster, "up")
        until(lambda: start.done() or pids_of_start(machine), seconds=CLUSTER_DEADLINE)
        pids = pids_of_start(machine)
        until(lambda: start.done() or (machine.state / "run" / "etcd.json").exists(), seconds=CLUSTER_DEADLINE)
        with contextlib.suppress(CalledProcessError):  # it has ended meanwhile
            machine.kill(*pids)
        return start.result().returncode not in {0, 1}


def pids_of_start(machine: IsolatedMachine) -> list[int]:
    return [pid for pid, text in machine.processes().items() if "-m cluster up" in text]


def test_it_starts_clean_after_a_start_that_was_killed_half_way(machine: IsolatedMachine, tmp_path: Path) -> None:
    until(lambda: is_killed_half_way(machine), seconds=CLUSTER_DEADLINE)
    assert machine.processes()
    bring_up(machine)
    run_pod(machine, tmp_path)


def test_the_gpu_comes_back_with_a_restarted_kubelet(machine: IsolatedMachine, tmp_path: Path) -> None:
    bring_up(machine)
    pid = recorded(machine)["kubelet"]
    command = machine.output("cat", f"/proc/{pid}/cmdline").rstrip("\0").split("\0")
    machine.kill(pid)
    machine.output("setsid", "--fork", "sh", "-c", 'exec "$@" >/dev/null 2>&1 </dev/null', "kubelet", *command)
    until(lambda: runs_pod(machine, tmp_path), seconds=CLUSTER_DEADLINE)


def test_a_command_is_refused_while_another_holds_the_lock(machine: IsolatedMachine) -> None:
    with lock.held(machine.state):
        for command in ("up", "down"):
            done = machine.cluster(command)
            assert done.returncode == 1
            assert "another command" in done.stderr
            assert "Traceback" not in done.stderr


def test_down_leaves_nothing(machine: IsolatedMachine, tmp_path: Path) -> None:
    bring_up(machine)
    run_pod(machine, tmp_path)
    names = containers(machine)
    assert groups(names)
    for _ in range(2):
        done = machine.cluster("down")
        assert done.returncode == 0, done.stderr
        assert not [f"{kind}: {remains}" for kind, remains in traces(machine).items() if remains]
        assert not groups(names)
