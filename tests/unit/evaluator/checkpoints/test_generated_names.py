"""Names are compared as Keras makes them up: by their order among those of one kind."""

import pytest

from sidecar_evaluator.checkpoints.generated_names import positions_by_rank, split_numbers


@pytest.mark.parametrize(
    ("name", "words", "numbers"),
    [
        ("dense", ("dense",), (-1,)),
        ("dense_10", ("dense",), (10,)),
        ("conv2d_3", ("conv2d",), (3,)),
        ("float_normalized_4_preprocessor", ("float", "normalized", "preprocessor"), (-1, 4, -1)),
        ("block_1_2", ("block", "2"), (1, -1)),
        ("1_", ("1", ""), (-1, -1)),
    ],
)
def test_a_name_has_words_and_numbers(name: str, words: tuple[str, ...], numbers: tuple[int, ...]) -> None:
    assert split_numbers(name) == (words, numbers)


@pytest.mark.parametrize(
    ("saved", "wanted", "places"),
    [
        (["m_dense_kernel", "m_dense_1_kernel"], ["m_3_dense_9_kernel", "m_3_dense_10_kernel"], [0, 1]),
        (["m_dense_1_kernel", "m_dense_kernel"], ["m_3_dense_9_kernel", "m_3_dense_10_kernel"], [1, 0]),
        (["head_momentum", "body_momentum"], ["body", "head"], [1, 0]),
        (["dense_kernel_delta_var", "dense_bias_delta_var"], ["dense_7_kernel", "dense_7_bias"], [0, 1]),
        (["n_dense_kernel", "n_dense_1_kernel"], ["m_dense_kernel", "m_dense_1_kernel"], None),
        (["dense"], ["m_dense"], None),
        ([], ["dense"], None),
    ],
)
def test_saved_names_are_found_by_their_order(saved: list[str], wanted: list[str], places: list[int] | None) -> None:
    assert positions_by_rank(saved, wanted) == places
