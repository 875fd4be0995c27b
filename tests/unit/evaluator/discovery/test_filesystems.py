"""Which file system a directory lies on, from mount tables as kernels write them."""

from pathlib import Path, PurePosixPath

import pytest

from sidecar_evaluator.discovery.filesystems import FileSystem, file_system_of, file_system_type

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
    ("path", "kind"),
    [
        ("/home/me/run", "ext4"),
        ("/checkpoints", "fuse.gcsfuse"),
        ("/checkpoints/run-42/ckpt", "fuse.gcsfuse"),
        ("/checkpoints/local/run", "tmpfs"),
        ("/checkpoints-2/run", "xfs"),  # a longer name, not a place below
        ("/data/val set/x", "nfs4"),
        ("/later/x", "virtiofs"),  # mounted over another
        ("/dev/shm", "devtmpfs"),
        ("/cut/x", "ext4"),  # a line that says nothing
    ],
)
def test_a_path_lies_on_the_deepest_mount_above_it(path: str, kind: str) -> None:
    assert file_system_type(PurePosixPath(path), TABLE) == kind


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ext4", (True, True, 0.0, True, 16)),
        ("fuse.gcsfuse", (False, False, 60.0, False, 2)),
        ("nfs4", (False, False, 60.0, False, 2)),
    ],
)
def test_what_is_expected_of_a_file_system(kind: str, expected: tuple[object, ...], tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(f"21 1 8:1 / / rw,relatime shared:1 - {kind} source rw")
    system = file_system_of(tmp_path, table)
    assert system.type == kind
    qualities = (system.is_local, system.tells_changes, system.listing_age, system.shows_open_files, system.revisits)
    assert qualities == expected


def test_without_a_table_nothing_is_known() -> None:
    assert file_system_type(PurePosixPath("/x"), "") == ""


def test_another_system_than_linux_has_local_directories_without_events(tmp_path: Path) -> None:
    assert file_system_of(tmp_path, tmp_path / "missing") == FileSystem("", is_local=True, tells_changes=False)
