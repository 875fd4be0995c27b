"""What of an object is kept: only fields that a pass reads, and of other people's objects only so much.

`cache` trims each object before it stores it. A resource, its children and their pods keep what they are compared and
judged by; of a training, whose status may hold anything, a bounded outline is kept.
"""

from sidecar_operator import names
from sidecar_operator.kube_objects import JsonObject, object_at, objects_at, text_at, value_at

METADATA = frozenset(
    {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"}
)
"""Fields of metadata that are kept of every object."""
CHILD_METADATA = METADATA | {"labels", "ownerReferences"}
"""Those of a child and of its pods; of the annotations, those of the project's own group are kept too."""
DEPTH = 4
"""How many levels of a training's status are kept: a field of an object in a list is on the last one."""
ROOM = 8192
"""How many characters of it, about; what is short and the conditions come first."""
TEXT = 1024
"""How many characters of each text in it."""


def trimmed(raw: JsonObject) -> JsonObject:
    """Return a resource, a child or its pod without what no pass reads."""
    kept: JsonObject = {**raw, "metadata": {**_metadata(raw), **_own_annotations(raw)}}
    if raw.get("kind") == "Pod":
        kept.pop("spec", None)
    elif value_at(raw, "spec", "template") is not None:
        kept["spec"] = {field: value for field, value in raw["spec"].items() if field != "template"}
    if history := objects_at(raw, "status", "results", "history"):
        results = {**object_at(raw, "status", "results"), "history": history[:1]}
        kept["status"] = {**object_at(raw, "status"), "results": results}
    return kept


def outlined(raw: JsonObject) -> JsonObject:
    """Return a training with its metadata and the outline of its status, and without its spec."""
    kept: JsonObject = {field: raw[field] for field in ("apiVersion", "kind") if field in raw}
    return {**kept, "metadata": _fields(raw, METADATA), "status": _Outline(ROOM).of(raw.get("status"), DEPTH)}


def _metadata(raw: JsonObject) -> JsonObject:
    return _fields(raw, METADATA if raw.get("kind") == names.KIND else CHILD_METADATA)


def _fields(raw: JsonObject, fields: frozenset[str]) -> JsonObject:
    return {field: value for field, value in object_at(raw, "metadata").items() if field in fields}


def _own_annotations(raw: JsonObject) -> JsonObject:
    """Return the annotations of the project's own group, in a field of that name; anybody may write long ones."""
    annotations = object_at(raw, "metadata", "annotations")
    kept = {name: text_at(annotations, name)[:TEXT] for name in annotations if name.startswith(f"{names.GROUP}/")}
    return {"annotations": kept} if kept else {}


class _Outline:
    """Copies a value as far as there is room."""

    def __init__(self, room: int) -> None:
        self._room = room

    def of(self, value: object, depth: int) -> object:
        """Return the copy, without what is deeper."""
        if isinstance(value, str):
            return value[: self._taken(min(len(value), TEXT))]
        if isinstance(value, dict):
            fields = sorted(value.items(), key=_precedence) if depth else []
            return {name: self.of(part, depth - 1) for name, part in fields if self._taken(len(name) + ENTRY)}
        if isinstance(value, list):
            return [self.of(item, depth - 1) for item in value if depth and self._taken(ENTRY)]
        return value

    def _taken(self, characters: int) -> int:
        """Take so much of the room, or nothing where there is too little; return how much."""
        taken = characters if characters <= self._room else 0
        self._room -= taken
        return taken


ENTRY = 16
"""Characters that an entry takes beside its name and its value, about."""


def _precedence(field: tuple[str, object]) -> tuple[bool, bool]:
    name, value = field
    return isinstance(value, dict | list), name != "conditions"
