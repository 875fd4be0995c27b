"""Finds the cause in the message of an error, which libraries surround with where it happened.

`errors.first_line` calls it for all that is logged and recorded. TensorFlow's executor begins with the nodes of
the graph and where they were defined, AutoGraph with the frames of the user's code, Keras with the layer that it
called, and an error of the user's Python function ends in a traceback. It works on text alone: it must not import
these libraries, and the complete error stays with whoever logs its traceback.
"""

import re
from collections.abc import Callable, Sequence

Lines = Sequence[str]

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_TRACEBACK = "Traceback (most recent call last):"
_CLASS = re.compile(r"[A-Za-z_][\w.]*: ")
_PLACE = re.compile(r'Detected at node|Node: |<stack traces unavailable>|\s*File "|\s{4}|\s*$')
_ROOT = re.compile(r"\s*\(\d+\) (?!CANCELLED)(?:[A-Z_ ]+: +)?")
_TRIMMED = (
    (re.compile(r"\{\{function_node [^{}]*\}\} *"), ""),
    (re.compile(r"^\t \[\[.*$", re.MULTILINE), ""),
    (re.compile(r" *\[Op:\w+\](?: name:.*)?$", re.MULTILINE), ""),
    (re.compile(r"'\{\{node [^{}]*\}\} = (\w+).*?\)'"), r"\1"),
    (re.compile(r"(?: compatible with node)? ?\{\{node [^{}]*\}\}"), ""),
    (re.compile(r"__inference_(\w+?)_\d+(?:\[\])?"), r"\1"),
    (re.compile(r"/job:\w+/replica:\d+/task:\d+/device:"), ""),
    (re.compile(r"Error in user-defined function passed to \S+ transformation with iterator: \S+: "), ""),
    (re.compile(r"(?<=\.)  Label values: [-\d ]+$", re.MULTILINE), ""),
)
_TENSOR_NAME = re.compile(r" \([\w./-]+:\d+\)")
"""In what `tf.debugging.assert_…` says."""


def cause_in(name: str, message: str) -> str:
    """Return the class and the line of the message that tells what happened, or the class `name` alone."""
    lines = _unwrapped(_trimmed(message).splitlines())
    if not lines:
        return name
    line = lines[0].strip()
    if line.startswith("assertion failed:"):
        line = _TENSOR_NAME.sub("", line)
    is_of_python_function = _TRACEBACK in lines and _CLASS.match(line)
    return line if is_of_python_function else f"{name}: {line}"


def _trimmed(message: str) -> str:
    """Remove colours, names of nodes, and the definitions of ops."""
    message = _COLOURS.sub("", message)
    for pattern, replacement in _TRIMMED:
        message = pattern.sub(replacement, message)
    return message


def _unwrapped(lines: Lines) -> Lines:
    """Return the lines from the one that tells what happened; where nothing follows a preamble, from the preamble."""
    lines = _from_text(lines)
    while lines:
        wrapper = next((unwrap for preamble, unwrap in _WRAPPERS if preamble.match(lines[0])), None)
        inner = _from_text(wrapper(lines[1:])) if wrapper else ()
        if not inner:
            break
        lines = inner
    return lines


def _from_text(lines: Lines) -> Lines:
    first = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    return lines[first:]


def _after_places(lines: Lines) -> Lines:
    """Leave out the nodes of the graph and where they were defined."""
    first = next((number for number, line in enumerate(lines) if not _PLACE.match(line)), len(lines))
    return lines[first:]


def _of_first_root(lines: Lines) -> Lines:
    """Return the first of several errors that happened side by side and was not cancelled for another."""
    for number, line in enumerate(lines):
        if root := _ROOT.match(line):
            return [line[root.end() :], *lines[number + 1 :]]
    return ()


def _after_frames(lines: Lines) -> Lines:
    """Leave out the frames that AutoGraph shows, and the class of the error below them, which is the outer one's."""
    inner = [line[4:] for line in lines]
    for number, line in enumerate(inner):
        if line.strip() and not line.startswith((" ", 'File "')):
            return [_CLASS.sub("", line, count=1), *inner[number + 1 :]]
    return ()


_WRAPPERS: tuple[tuple[re.Pattern[str], Callable[[Lines], Lines]], ...] = (
    (re.compile(r"Exception encountered when calling"), _from_text),
    (re.compile(r"Could not automatically infer .* Error encountered:$"), _from_text),
    (re.compile(r"Graph execution error:"), _after_places),
    (re.compile(r"\d+ root error\(s\) found"), _of_first_root),
    (re.compile(r"in user code:"), _after_frames),
)
