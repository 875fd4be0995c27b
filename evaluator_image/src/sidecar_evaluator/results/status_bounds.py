"""The bounds of `status.results`, which keep the whole status of a resource small whatever is evaluated. Pure.

`serialization` cuts what it renders to them, and the resource's schema refuses what exceeds them. A character of free
text counts six bytes, because JSON may need as many for it; names of metrics are plain text, so theirs count one.
"""

import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

Json = dict[str, Any]

NAME_LENGTH = 255
MESSAGE_LENGTH = 512
POD_LENGTH = 63
METRIC_NAME_LENGTH = 128
METRICS = 64
METRICS_SIZE = 3584
"""Bytes that the metrics of one result take."""
HISTORY_SIZE = 19456
"""Bytes that all results of the history take."""
_SCORE_LENGTH = 256
_FIXED_SIZE = 540
_METRIC_SIZE = 36
_ESCAPED = 6
_NOT_PLAIN = re.compile(r"[^ !#-%'-;=?-\[\]-~]")
"""What JSON writes as more than one byte."""


def bounded(entry: Json) -> Json:
    """Cut one result; of two metrics that have the same name afterwards, which is an error there, one is left."""
    named = {
        (_plain(metric["name"]), _plain(metric["dataset"])): metric["value"] for metric in entry.get("metrics", ())
    }
    metrics = [{"name": name, "dataset": dataset, "value": value} for (name, dataset), value in named.items()]
    limits = {"checkpoint": NAME_LENGTH, "message": MESSAGE_LENGTH}
    cut = {name: entry[name][:limit] for name, limit in limits.items() if name in entry}
    if "score" in entry:
        cut["score"] = plain(entry["score"], _SCORE_LENGTH)
    return {**entry, **cut, **({"metrics": _fitting(metrics[:METRICS], METRICS_SIZE, metric_size)} if metrics else {})}


def newest(history: list[Json]) -> list[Json]:
    """Return as many of the bounded results, newest first, as fit."""
    return _fitting(history, HISTORY_SIZE, result_size)


def metric_size(metric: Json) -> int:
    """Return how many bytes a metric takes, as the schema counts them."""
    return _METRIC_SIZE + sum(len(metric[field]) for field in ("name", "dataset", "value"))


def result_size(entry: Json) -> int:
    """Return how many bytes a result takes at most, as the schema counts them."""
    free = _ESCAPED * sum(len(entry.get(field, "")) for field in ("checkpoint", "message"))
    plain = sum(len(entry.get(field, "")) for field in ("score", "imageID"))
    return _FIXED_SIZE + free + plain + sum(metric_size(metric) for metric in entry.get("metrics", ()))


def plain(text: str, limit: int) -> str:
    """Cut a text to so many bytes."""
    return _NOT_PLAIN.sub("_", text)[:limit]


def _plain(name: str) -> str:
    return plain(name, METRIC_NAME_LENGTH)


def _fitting(items: list[Json], limit: int, size: Any) -> list[Json]:
    sizes: Iterable[int] = accumulate(size(item) for item in items)
    return [item for item, total in zip(items, sizes, strict=True) if total <= limit]
