"""`python -m sidecar_evaluator` and the console script `sidecar-evaluator`."""

import sys

from sidecar_evaluator.commands.main import main as _main


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(_main())


if __name__ == "__main__":
    main()
