import pytest

from benchmarks.page import BEGIN, END, with_table

PAGE = f"# Title\n\nabove\n\n{BEGIN}\nold\n{END}\n\nbelow\n"


def test_only_what_is_between_the_marks_is_replaced() -> None:
    assert with_table(PAGE, "new\n") == f"# Title\n\nabove\n\n{BEGIN}\n\nnew\n\n{END}\n\nbelow\n"


def test_writing_again_replaces_what_was_written() -> None:
    assert with_table(with_table(PAGE, "first"), "second") == with_table(PAGE, "second")


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}{BEGIN}", PAGE + PAGE])
def test_a_page_without_one_pair_of_marks_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="needs one line"):
        with_table(page, "new")
