"""Whether a quota that refuses a new Job has room for it once Jobs that it replaces are deleted.

`child_objects` asks before it deletes a Job for the sake of a new one that the API server has refused in a dry run.
Pure. The numbers are those of the API server's message; a message of any other form counts as a refusal that stands,
so that no Job is deleted on a guess.
"""

import re

_EXCEEDED = re.compile(r"exceeded quota: [^,]+, requested: (\S+), used: (\S+), limited: (\S+)$")
_JOBS = re.compile(r"count/jobs\.batch=(\d+)")


def has_room_after(refusal: str, deleted_jobs: int) -> bool:
    """Tell whether the refusal is a quota of the number of Jobs alone, which so many deletions make fit."""
    exceeded = _EXCEEDED.search(refusal.strip())
    counts = [_JOBS.fullmatch(amount) for amount in exceeded.groups()] if exceeded else []
    numbers = [int(count[1]) for count in counts if count]
    if len(numbers) != 3:
        return False
    requested, used, limited = numbers
    return requested + used - deleted_jobs <= limited
