import pytest

from sidecar_operator.__main__ import main


def test_a_missing_setting_is_named_and_nothing_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("EVALUATOR_IMAGE", raising=False)
    assert main() == 2
    assert "EVALUATOR_IMAGE is not set" in capsys.readouterr().err
