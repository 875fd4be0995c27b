"""The version in one place, and whether the tree is ready to be released: `python -m release`.

`make generate` and `make verify` call it to stamp the version, `make release-check` to check the tree. Nothing here
tags, pushes or publishes.
"""
