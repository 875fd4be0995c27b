import pytest

from sidecar_operator.job_quota import has_room_after


def exceeded(requested: str = "1", used: str = "3", limited: str = "3", resource: str = "count/jobs.batch") -> str:
    amounts = (
        f"{name}: {resource}={amount}"
        for name, amount in zip(("requested", "used", "limited"), (requested, used, limited), strict=True)
    )
    return f'jobs.batch "mnist-0a1b2c3d" is forbidden: exceeded quota: few, {", ".join(amounts)}'


@pytest.mark.parametrize(
    ("refusal", "deleted_jobs", "fits"),
    [
        (exceeded(), 1, True),
        (exceeded(), 0, False),
        (exceeded(used="4"), 1, False),
        (exceeded(used="4"), 2, True),
        (exceeded(limited="0"), 1, False),
        (exceeded(resource="count/jobs.batch=1,count/pods"), 1, False),
        (exceeded(resource="requests.nvidia.com/gpu"), 1, False),
        (exceeded(used="3k"), 1, False),
        ("exceeded quota", 1, False),
        ("", 1, False),
    ],
)
def test_only_a_count_of_jobs_that_fits_afterwards_is_room(refusal: str, deleted_jobs: int, fits: bool) -> None:
    assert has_room_after(refusal, deleted_jobs) is fits
