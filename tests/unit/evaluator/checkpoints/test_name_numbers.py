"""The numbers of a name: which are counted, all of them, and the one that a checkpoint is called by."""

import pytest

from sidecar_evaluator.checkpoints.name_numbers import number_in, numbers_in, says_what_is_counted


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("ckpt-7", 7),
        ("ckpt-0003", 3),
        ("ckpt-0", 0),
        ("weights.05-0.32", 5),
        ("weights.05.0.32", 5),
        ("12", 12),
        ("step_00000120", 120),
        ("epoch_10_val", 10),
        ("cp-0001.ckpt", 1),
        ("ckpt-3-val0.91", 3),
        ("epoch_03-valacc_0.912", 3),
        ("ckpt-12-3.21e-02", 12),
        ("ckpt-12-1e-05", 12),
        ("ckpt-3--0.25", 3),
        ("model.h5-2", 2),
        ("ckpt-07-0.25", 7),
        ("resnet-50-0001", 1),
        ("run-42-ckpt-7", 7),
        ("v1.2-ckpt-0005", 5),
        ("2024-01-31_ckpt-7", 7),
        ("best", None),
        ("run2", None),
        ("v2.ckpt", None),
        ("model-v2.1.3", None),
        ("ckpt-0.25", None),
        ("ckpt-99999999999999999999", None),
        ("07-.25", 7),
        ("ckpt-7-.1e-05", 7),
        ("resnet_224_ep01", 1),
        ("epoch_7_lr_0.001_bs_32", 7),
        ("epoch=07-val_loss=0.25", 7),
        ("Epoch7_final", 7),
        ("epoch-02-step-0100", 100),
        ("epoch02step0100", 100),
        ("iter500", 500),
        ("deep7", None),
    ],
)
def test_numbers(name: str, number: int | None) -> None:
    assert number_in(name) == number


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("ckpt-7", (7,)),
        ("ckpt-01-0100", (1, 100)),
        ("resnet_224_ep01", (224, 1)),
        ("epoch_7_lr_0.001_bs_32", (7, 32)),
        ("07-.25", (7,)),
        ("weights.05-0.32", (5,)),
        ("2024-01-31_ckpt-7", (2024, 1, 31, 7)),
        ("ckpt-99999999999999999999-7", (7,)),
        ("best", ()),
    ],
)
def test_all_numbers_are_in_the_order_of_the_name(name: str, numbers: tuple[int, ...]) -> None:
    assert numbers_in(name) == numbers


@pytest.mark.parametrize(("name", "says_so"), [("ckpt-01-0100", False), ("epoch_7_bs_32", True), ("224-ep1", True)])
def test_words_say_what_is_counted(name: str, says_so: bool) -> None:
    assert says_what_is_counted(name) is says_so
