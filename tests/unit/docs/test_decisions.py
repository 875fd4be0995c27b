"""The decision records: one number each, the same in the file's name and in its title, none left out."""

import re
from pathlib import Path

RECORDS = sorted((Path(__file__).parents[3] / "docs" / "decisions").glob("*.md"))


def test_records_are_numbered_one_by_one() -> None:
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_the_title_has_the_number_of_the_file() -> None:
    for record in RECORDS:
        assert re.match(rf"# {int(record.name[:4])}\. \S", record.read_text()), record.name
