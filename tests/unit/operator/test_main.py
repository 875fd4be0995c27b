from typing import Any

import kopf
import pytest

from sidecar_operator.__main__ import _run, main
from sidecar_operator.handlers import NoDiffs, NoMemories
from sidecar_operator.settings import from_environment


def test_a_missing_setting_is_named_and_nothing_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("EVALUATOR_IMAGE", raising=False)
    assert main() == 2
    assert "EVALUATOR_IMAGE is not set" in capsys.readouterr().err


async def test_kopf_is_told_to_remember_and_to_compare_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    options_of_kopf: dict[str, Any] = {}

    async def operator(**options: Any) -> None:
        options_of_kopf.update(options)

    monkeypatch.setattr(kopf, "operator", operator)
    await _run(from_environment({"EVALUATOR_IMAGE": "img:1"}), (), kopf.OperatorRegistry())
    assert isinstance(options_of_kopf["memories"], NoMemories)
    assert isinstance(options_of_kopf["settings"].persistence.diffbase_storage, NoDiffs)
