from pathlib import Path

from cluster.mounts import below

MOUNTINFO = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:40 / /state/kubelet/pods/a rw - tmpfs tmpfs rw
31 30 0:41 / /state/kubelet/pods/a/with\040space rw - tmpfs tmpfs rw
32 27 0:42 / /state-of-another rw - tmpfs tmpfs rw
""".strip()


def test_mounts_below_a_folder_are_listed_innermost_first() -> None:
    assert below(Path("/state"), MOUNTINFO) == ["/state/kubelet/pods/a/with space", "/state/kubelet/pods/a"]


def test_the_folder_itself_counts() -> None:
    assert below(Path("/state-of-another"), MOUNTINFO) == ["/state-of-another"]
