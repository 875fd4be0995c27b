"""Every way in which a user's entry point can be wrong, and the right ones."""

from pathlib import Path
from typing import Any

import pytest

from sidecar_evaluator import Evaluation
from sidecar_evaluator.entrypoint import load
from sidecar_evaluator.errors import ConfigurationError

CODE = """
from sidecar_evaluator import Evaluation
value = 5

def plain():
    return Evaluation("model", "data", steps=3)

def typed(batch: int, rate: float = 0.5, shuffle: bool = False, name: str = "", size: int | None = None, other=None):
    return Evaluation((batch, rate, shuffle, name, size, other), "data")

def nothing():
    return None

def raising():
    return 1 / 0

def leaving():
    raise SystemExit(0)

def evaluation(**fields):
    return Evaluation("model", **{"data": "data", **{name: eval(text) for name, text in fields.items()}})
"""


@pytest.fixture(autouse=True)
def user_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"user_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(CODE)
    (tmp_path / f"{name}_broken.py").write_text("import a_module_that_is_not_there\n")
    (tmp_path / f"{name}_syntax.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_an_entry_point_is_called(user_code: str) -> None:
    assert load(f"{user_code}:plain", {}) == Evaluation("model", "data", steps=3)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"batch": "256"}, (256, 0.5, False, "", None, None)),
        ({"batch": "1", "rate": "1e-3", "shuffle": "true"}, (1, 0.001, True, "", None, None)),
        ({"batch": "1", "shuffle": "No", "name": "7", "size": "8", "other": "9"}, (1, 0.5, False, "7", 8, "9")),
    ],
)
def test_parameters_are_converted(parameters: dict[str, str], expected: tuple[Any, ...], user_code: str) -> None:
    assert load(f"{user_code}:typed", parameters).model == expected


@pytest.mark.parametrize(
    ("entrypoint", "parameters", "message"),
    [
        ("{}", {}, "form module:callable"),
        (":plain", {}, "form module:callable"),
        ("not_there_{}:plain", {}, "is not found in --code-dir, in the working directory or on PYTHONPATH"),
        ("{}_broken:f", {}, "cannot be imported: ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        ("{}_syntax:f", {}, "cannot be imported: SyntaxError"),
        (
            "{}:typo",
            {},
            "has no typo; it defines evaluation, leaving, nothing, plain, raising and 1 more: ",
        ),
        ("{}:typo", {}, "correct spec.evaluator.entrypoint (--entrypoint)"),
        ("{}:value", {}, "is a int; name a function"),
        ("{}:nothing", {}, "returned NoneType; it must return"),
        ("{}:raising", {}, "raised ZeroDivisionError: division by zero"),
        ("{}:leaving", {}, "raised SystemExit: 0"),
        ("{}:plain", {"batch": "1"}, "unexpected keyword argument 'batch'; its signature is ()"),
        ("{}:typed", {}, "missing a required argument: 'batch'"),
        ("{}:typed", {"batch": "many"}, "batch=many must be of type int"),
        ("{}.py:plain", {}, "is named as a file"),
        ("./{}:plain", {}, "is named as a file"),
        ("not_there_{}.below:plain", {}, "is not found in --code-dir, in the working directory or on PYTHONPATH"),
        ("{}:evaluation", {"steps": "'3'"}, "steps is '3'; it must be a whole number above 0"),
        ("{}:evaluation", {"steps": "-1"}, "must be a whole number above 0"),
        ("{}:evaluation", {"steps": "0"}, "must be a whole number above 0"),
        ("{}:evaluation", {"steps": "True"}, "must be a whole number above 0"),
        ("{}:evaluation", {"callbacks": "object()"}, "callbacks is a object; give a list of callbacks"),
        ("{}:evaluation", {"data": "None"}, "has no data"),
        ("{}:evaluation", {"data": "{}"}, "has no data"),
        ("{}:typed", {"batch": "1", "shuffle": "maybe"}, "shuffle=maybe must be of type bool"),
    ],
)
def test_a_mistake_is_a_configuration_error_that_says_what_to_do(
    entrypoint: str, parameters: dict[str, str], message: str, user_code: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(entrypoint.format(user_code), parameters)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": "__import__('numpy').int64(3)"},
        {"callbacks": "()"},
        {"data": "{'val': 1}"},
    ],
)
def test_what_is_right_is_accepted(fields: dict[str, str], user_code: str) -> None:
    assert load(f"{user_code}:evaluation", fields).model == "model"


def test_the_users_own_traceback_is_kept_and_only_that(user_code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(f"{user_code}:raising", {})
    assert "return 1 / 0" in caught.value.detail
    assert "entrypoint.py" not in caught.value.detail


@pytest.mark.parametrize(
    ("module", "text"),
    [("wine_{}", ""), ("evaluate_{}", "import wine"), ("evaluate_{}", "def build():\n    import wine\n")],
)
def test_a_module_that_is_missing_is_told_with_those_that_are_there(
    module: str, text: str, user_code: str, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "data.py").touch()
    if text:
        (tmp_path / f"{module.format(user_code)}.py").write_text(text)
    with pytest.raises(ConfigurationError, match=r"code holds data.py. Put a module of your own there .* ConfigMap"):
        load(f"{module.format(user_code)}:build", {}, code)
