from pathlib import Path

from cluster.leftovers import remove_files


def test_only_the_cluster_s_own_files_go(tmp_path: Path) -> None:
    for name in ("etcd/member/wal", "kubelet/pods/a", "containerd/root/image", "log/etcd.log", "notes/mine.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in (
        "admin.kubeconfig",
        "etcd.sock",
        "sa.key",
        "tokens.csv",
        "kubelet-client.key",
        "Corefile",
        "lock",
        "my.txt",
    ):
        (tmp_path / name).touch()
    remove_files(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["containerd", "lock", "log", "my.txt", "notes"]
