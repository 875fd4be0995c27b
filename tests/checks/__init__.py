"""Size and naming rules that ruff does not have: `python -m checks`, called by `make lint`.

The limits are in pyproject.toml, in the table `[tool.sidecar-checks]`. `source` reads what a Python file holds,
`rules` compares it with the limits. Nothing here imports the code that it checks.
"""
