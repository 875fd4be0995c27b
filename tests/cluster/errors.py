"""The one error of this package: what does not hold, and what to do about it.

Every module raises it; the command line prints it as one line and ends with exit code 1. Nothing else may
reach the user as a stack trace unless it is a defect of this package.
"""


class ClusterError(Exception):
    """Something that the cluster needs does not hold; `advice` says what the reader can do."""

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(problem if not advice else f"{problem}\n  what to do: {advice}")
        self.problem = problem
        self.advice = advice
