"""A table inside a page that people write: everything between two marks is the run's, the rest is theirs. Pure."""

BEGIN = "<!-- what `make bench` printed: begin -->"
END = "<!-- what `make bench` printed: end -->"


def with_table(page: str, table: str) -> str:
    """Return the page with the table between its marks in place of what was there.

    Raises ValueError: the page has not exactly one pair of marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"the page needs one line {BEGIN} and after it one line {END}")
    return f"{before}{BEGIN}\n\n{table.strip()}\n\n{END}{after}"
