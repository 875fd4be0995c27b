"""The largest value that a schema of the API allows, and its size as the API server stores it.

Tests of the bounds of a status use it. A schema without a bound has no largest value: the test fails and names it.
"""

import json
import re
from typing import Any

Schema = dict[str, Any]

WORST = "<"
"""A character that the API server stores as six bytes."""
ESCAPED = '<>&"\\\x00\x1f\u2028\u00e4\U0001f600'
TIME = "2026-11-23T11:00:04.{}+00:00"


def stored_size(value: Any) -> int:
    """Return the size in bytes of a value as the API server stores it: JSON in which some characters are escaped."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode()) + sum(text.count(character) * 5 for character in "<>&")


def largest(schema: Schema, free_text: str = WORST, path: str = "") -> Any:
    """Return a value with every field as large as the schema allows, `free_text` where it allows any character.

    A list whose rule bounds the sum of its items is left out: what it adds is `bound_of`.
    """
    kind = schema["type"]
    if kind == "object":
        assert not schema.get("additionalProperties"), f"{path} may have any field"
        fields = {name: largest(part, free_text, f"{path}.{name}") for name, part in schema["properties"].items()}
        return {name: value for name, value in fields.items() if value is not None}
    if kind == "array":
        if bound_of(schema):
            return None
        return [largest(schema["items"], free_text, f"{path}[]")] * schema["maxItems"]
    return (
        {"integer": -(2**63) + 1, "boolean": False, "string": None}[kind]
        if kind != "string"
        else _text(schema, free_text, path)
    )


def bound_of(schema: Schema) -> int:
    """Return how many bytes a rule allows the items of a list to take together, 0 where there is no such rule."""
    rules = [rule["rule"] for rule in schema.get("x-kubernetes-validations", ())]
    bounds = [match[1] for rule in rules if (match := re.search(r"sum\(\) <= (\d+)$", rule.strip()))]
    return int(bounds[0]) if bounds else 0


def bounds_in(schema: Schema) -> int:
    """Return the sum of the bounds of all lists that have one."""
    if schema["type"] == "object":
        return sum(bounds_in(part) + len(name) + 6 for name, part in schema["properties"].items())
    return bound_of(schema) if schema["type"] == "array" else 0


def _text(schema: Schema, free_text: str, path: str) -> str:
    if "enum" in schema:
        return str(max(schema["enum"], key=len))
    assert "maxLength" in schema, f"{path} has no maxLength"
    length: int = schema["maxLength"]
    if schema.get("format") == "date-time":
        return TIME.format("1" * (length - len(TIME) + 2))
    pattern = schema.get("pattern")
    is_plain = pattern and not any(re.search(pattern, f"a{character}a") for character in ESCAPED)
    return ("1" if is_plain else free_text) * length
