"""Which file system a directory lies on, from mount tables as kernels write them."""

from pathlib import PurePosixPath

import pytest

from sidecar_evaluator.discovery.filesystems import file_system, is_local

TABLE = r"""
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:5 / /dev rw,nosuid - devtmpfs udev rw
31 21 0:30 / /checkpoints ro,nosuid shared:9 master:2 - fuse.gcsfuse my-bucket ro,user_id=0
32 31 0:31 / /checkpoints/local rw - tmpfs tmpfs rw
33 21 0:32 / /data/val\040set ro - nfs4 server:/val ro
34 21 0:33 / /later rw - overlay overlay rw
35 34 0:34 / /later rw - virtiofs share rw
36 21 0:35 /sub /checkpoints-2 rw - xfs /dev/sdb1 rw
37 21 0:36 / /cut
"""


@pytest.mark.parametrize(
    ("path", "kind", "local"),
    [
        ("/home/me/run", "ext4", True),
        ("/checkpoints", "fuse.gcsfuse", False),
        ("/checkpoints/run-42/ckpt", "fuse.gcsfuse", False),
        ("/checkpoints/local/run", "tmpfs", True),
        ("/checkpoints-2/run", "xfs", True),  # a longer name, not a place below
        ("/data/val set/x", "nfs4", False),
        ("/later/x", "virtiofs", False),  # mounted over another
        ("/dev/shm", "devtmpfs", False),
        ("/cut/x", "ext4", True),  # a line that says nothing
    ],
)
def test_a_path_lies_on_the_deepest_mount_above_it(path: str, kind: str, local: bool) -> None:
    assert file_system(PurePosixPath(path), TABLE) == kind
    assert is_local(PurePosixPath(path), TABLE) is local


def test_without_a_table_nothing_is_known() -> None:
    assert (file_system(PurePosixPath("/x"), ""), is_local(PurePosixPath("/x"), "")) == ("", False)
