import os
from pathlib import Path

import pytest

from cluster import lock
from cluster.errors import ClusterError


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    refused = pytest.raises(ClusterError, match=f"process {os.getpid()}")
    with lock.held(tmp_path / "state"), refused, lock.held(tmp_path / "state"):
        pytest.fail("the lock was given twice")


def test_it_is_free_again_after_its_holder(tmp_path: Path) -> None:
    for _ in range(2):
        with lock.held(tmp_path):
            assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_a_file_left_by_a_crash_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("999999")
    with lock.held(tmp_path):
        assert (tmp_path / "lock").read_text() == str(os.getpid())
