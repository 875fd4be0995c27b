"""Loads the entry point: imports the user's module, calls the function, and validates what it returns.

`commands.model_setup` calls `load` once at start. Every mistake in the user's code becomes a
`ConfigurationError` whose message says what to do and whose detail holds the traceback of the user's code.
This module must not import Keras or TensorFlow.
"""

import importlib
import inspect
import operator
import traceback
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar_evaluator.errors import ConfigurationError, first_line

_NAMED = 5  # names in a message, however many there are
_NAME_LENGTH = 80
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass
class Evaluation:
    """What an entry point returns: a compiled model and the data to evaluate it on.

    `data` is anything that `model.evaluate` accepts as its first argument, a tuple (x, y) or
    (x, y, sample_weight) of arrays, or a dict of such data by dataset name. `steps` is the number of
    batches per evaluation, None for all batches. `callbacks` are Keras callbacks.
    """

    model: Any
    data: Any
    steps: int | None = None
    callbacks: Sequence[Any] | None = None


def load(entrypoint: str, parameters: Mapping[str, str], code_dir: Path | None = None) -> Evaluation:
    """Import `module:callable`, call it with the parameters as keyword arguments and return its evaluation.

    `code_dir` is where the user's modules are expected, None for the working directory; messages name what it holds.

    Raises ConfigurationError: the import or the call fails, or the returned value is not a valid evaluation.
    """
    code_dir = code_dir or Path.cwd()
    function = _import(entrypoint, code_dir)
    arguments = _arguments(entrypoint, function, parameters)
    try:
        returned = function(**arguments)
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"The entry point {entrypoint} raised {first_line(error)}{_modules_instead(error, code_dir)}",
            _user_traceback(error),
        ) from error
    if not isinstance(returned, Evaluation):
        raise ConfigurationError(
            f"The entry point {entrypoint} returned {type(returned).__name__}; it must return "
            "sidecar_evaluator.Evaluation(model, data)."
        )
    require_valid(returned)
    return returned


def require_valid(evaluation: Evaluation, owner: str = "The evaluation") -> None:
    """Check every field except `model`; messages name `owner` as the object that has the fields.

    Raises ConfigurationError: a field has an invalid value.
    """
    steps, callbacks, data = evaluation.steps, evaluation.callbacks, evaluation.data
    if steps is not None and not is_positive(steps):
        raise ConfigurationError(f"{owner}'s steps is {steps!r}; it must be a whole number above 0, or None.")
    if callbacks is not None and not isinstance(callbacks, Sequence):
        raise ConfigurationError(f"{owner}'s callbacks is a {type(callbacks).__name__}; give a list of callbacks.")
    if data is None or (isinstance(data, dict) and not data):
        raise ConfigurationError(f"{owner} has no data; give a tf.data.Dataset, arrays, or a dict of datasets.")


def is_positive(value: Any) -> bool:
    """Return whether the value is a whole number above 0, of Python or NumPy."""
    try:
        return not isinstance(value, bool) and operator.index(value) > 0
    except TypeError:
        return False


def _import(entrypoint: str, code_dir: Path) -> Callable[..., object]:
    module_name, _, attribute = entrypoint.partition(":")
    if not module_name or not attribute:
        raise ConfigurationError(f"The entry point {entrypoint!r} must have the form module:callable.")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise ConfigurationError(_import_error_message(module_name, error, code_dir), _user_traceback(error)) from error
    function = getattr(module, attribute, None)
    if function is None:
        raise ConfigurationError(
            f"The module {module_name} has no {attribute}; it defines {_few(_callables(module)) or 'no function'}: "
            "correct spec.evaluator.entrypoint (--entrypoint)."
        )
    if not callable(function):
        raise ConfigurationError(f"The entry point {entrypoint} is a {type(function).__name__}; name a function.")
    return typing.cast("Callable[..., object]", function)


def _import_error_message(module_name: str, error: BaseException, code_dir: Path) -> str:
    if "/" in module_name or module_name.endswith(".py"):
        return (
            f"The module of the entry point is named as a file, {module_name}; use the module's name, without "
            "directories and without .py."
        )
    if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
        return (
            f"The module {module_name} of the entry point is not found in --code-dir, in the working directory or on "
            f"PYTHONPATH{_modules_instead(error, code_dir)}"
        )
    message = f"The module {module_name} of the entry point cannot be imported: {first_line(error)}"
    return f"{message}{_modules_instead(error, code_dir)}"


def _modules_instead(error: BaseException, code_dir: Path) -> str:
    """Say which modules there are where a missing one was expected, and where to put it; "" for other errors."""
    if not isinstance(error, ModuleNotFoundError):
        return ""
    return (
        f"; {code_dir} holds {_few(_modules_in(code_dir)) or 'no module'}. Put a module of your own there (in "
        "Kubernetes as another key of the ConfigMap that spec.evaluator.code names); install a package in the image."
    )


def _modules_in(directory: Path) -> list[str]:
    try:
        return sorted(path.name for path in directory.iterdir() if path.suffix == ".py")
    except OSError:
        return []


def _callables(module: types.ModuleType) -> list[str]:
    """Return the public functions and classes that the module itself defines."""
    items = vars(module).items()
    local = (name for name, value in items if callable(value) and getattr(value, "__module__", "") == module.__name__)
    return sorted(name for name in local if not name.startswith("_"))


def _few(names: Sequence[str]) -> str:
    few = ", ".join(name[:_NAME_LENGTH] for name in names[:_NAMED])
    return few if len(names) <= _NAMED else f"{few} and {len(names) - _NAMED} more"


def _arguments(entrypoint: str, function: Callable[..., object], parameters: Mapping[str, str]) -> dict[str, Any]:
    try:
        signature = inspect.signature(function)
        signature.bind(**parameters)
    except TypeError as error:
        raise ConfigurationError(
            f"The parameters do not match the entry point {entrypoint}: {error}; its signature is {signature}."
        ) from error
    hints = _type_hints(function)
    return {name: _convert(name, value, hints.get(name)) for name, value in parameters.items()}


def _type_hints(function: Callable[..., object]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # annotations may use names that are not imported
        return {}


def _convert(name: str, value: str, annotation: Any) -> Any:
    """Convert a parameter to the int, float or bool of the callable's annotation; other types stay str."""
    scalar_type = _scalar_type(annotation)
    try:
        if scalar_type is bool:
            return _BOOLEANS[value.lower()]
        return scalar_type(value)
    except (ValueError, KeyError) as error:
        raise ConfigurationError(
            f"The parameter {name}={value} must be of type {scalar_type.__name__}; correct its value."
        ) from error


def _scalar_type(annotation: Any) -> type[Any]:
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        annotation = next((part for part in typing.get_args(annotation) if part in (bool, int, float)), str)
    return annotation if annotation in (bool, int, float) else str


def _user_traceback(error: BaseException) -> str:
    """Return the traceback without the frames of this module and of the import system."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and "importlib" not in frame.filename
    ]
    return "".join([*traceback.format_list(frames), *traceback.format_exception_only(error)])
