"""What a file may cause is unreadable and tried again; what the model's code raises is not."""

import zipfile

import pytest

from sidecar_evaluator.checkpoints.model_code import code_of_model
from sidecar_evaluator.checkpoints.snapshot import consistent_snapshot
from sidecar_evaluator.errors import CheckpointIncompatible, CheckpointUnreadable, ModelCodeError
from sidecar_evaluator.results.outcome import Reason, reason_of


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), KeyError("vars"), zipfile.BadZipFile("odd")])
def test_any_error_of_a_library_is_of_the_file(error: Exception) -> None:
    with pytest.raises(CheckpointUnreadable, match=type(error).__name__), consistent_snapshot(lambda: 1):
        raise error


def test_data_loss_is_of_the_file() -> None:
    import tensorflow as tf

    with pytest.raises(CheckpointUnreadable, match="DataLossError: bad block"), consistent_snapshot(lambda: 1):
        raise tf.errors.DataLossError(None, None, "bad block")


@pytest.mark.parametrize("error", [AttributeError("no gain"), OSError(2, "No such file"), SystemExit(3)])
def test_an_error_of_the_models_code_is_none_of_the_file(error: BaseException) -> None:
    with pytest.raises(ModelCodeError) as caught, consistent_snapshot(lambda: 1), code_of_model():
        raise error
    assert f"raised {type(error).__name__}: {error}, which no checkpoint causes" in str(caught.value)
    assert reason_of(caught.value) is Reason.EVALUATION_ERROR


def test_what_the_models_code_refuses_stays_what_it_is() -> None:
    with pytest.raises(CheckpointIncompatible), consistent_snapshot(lambda: 1), code_of_model():
        raise CheckpointIncompatible("another architecture")


def test_a_file_that_changes_under_the_models_code_is_tried_again() -> None:
    saves = iter([1, 2])
    with (
        pytest.raises(CheckpointUnreadable, match="written again"),
        consistent_snapshot(lambda: next(saves)),
        code_of_model(),
    ):
        raise AttributeError("no gain")
