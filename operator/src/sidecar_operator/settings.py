"""Settings of the operator: environment variables of its container, read once at start.

`__main__` reads them and passes the values on; no other module reads the environment.
"""

from collections.abc import Mapping
from dataclasses import dataclass


class SettingsError(Exception):
    """An environment variable is missing or has an invalid value; the message names it."""


@dataclass(frozen=True)
class Settings:
    """Settings of one operator process."""

    evaluator_image: str
    """Image of evaluators whose resource names none (EVALUATOR_IMAGE, required)."""
    namespaces: tuple[str, ...] = ()
    """Namespaces to serve; empty for the whole cluster (WATCH_NAMESPACES, separated by commas)."""
    metrics_port: int = 8080
    """Port of `/metrics`; 0 takes any free one (METRICS_PORT)."""
    probe_port: int = 8081
    """Port of `/healthz` (PROBE_PORT)."""
    resync_seconds: float = 300
    """Interval at which everything is listed and reconciled again (RESYNC_SECONDS)."""
    workers: int = 16
    """Number of resources that are reconciled concurrently (WORKERS)."""
    rollovers: int = 2
    """Number of evaluators that get a new default image at the same time after an upgrade; 0 for none (ROLLOVERS)."""
    lease_namespace: str = "sidecar-system"
    """Namespace of the Lease, the operator's own (LEASE_NAMESPACE)."""
    lease_name: str = "sidecar-operator"
    """Name of the Lease: operators that serve different namespaces from one namespace need one each (LEASE_NAME)."""
    lease_seconds: float = 30
    """How long a Lease that is not renewed keeps others waiting (LEASE_SECONDS)."""
    identity: str = ""
    """Name and uid of the pod, as the Lease's holder (POD_NAME, POD_UID); empty outside a pod."""
    log_level: str = "INFO"
    """Lowest level that is logged (LOG_LEVEL)."""


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings; raise SettingsError for a missing or invalid value."""
    image = environment.get("EVALUATOR_IMAGE", "").strip()
    if not image:
        raise SettingsError(
            "environment variable EVALUATOR_IMAGE is not set: set it to the image for resources that name none"
        )
    return Settings(
        evaluator_image=image,
        namespaces=_names(environment.get("WATCH_NAMESPACES", "")),
        metrics_port=_whole_number(environment, "METRICS_PORT", 8080, at_least=0),
        probe_port=_whole_number(environment, "PROBE_PORT", 8081, at_least=1),
        resync_seconds=_whole_number(environment, "RESYNC_SECONDS", 300, at_least=1),
        workers=_whole_number(environment, "WORKERS", 16, at_least=1),
        rollovers=_whole_number(environment, "ROLLOVERS", 2, at_least=0),
        lease_namespace=environment.get("LEASE_NAMESPACE", "").strip() or Settings.lease_namespace,
        lease_name=environment.get("LEASE_NAME", "").strip() or Settings.lease_name,
        lease_seconds=_whole_number(environment, "LEASE_SECONDS", 30, at_least=5),
        identity="_".join(filter(None, (environment.get("POD_NAME"), environment.get("POD_UID")))),
        log_level=_log_level(environment.get("LOG_LEVEL", "INFO")),
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


def _whole_number(environment: Mapping[str, str], variable: str, default: int, *, at_least: int) -> int:
    text = environment.get(variable, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) < at_least:
        raise SettingsError(
            f"environment variable {variable} is {text!r}: set it to a whole number of at least {at_least}"
        )
    return int(text)


def _log_level(text: str) -> str:
    level = text.strip().upper()
    if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise SettingsError(f"environment variable LOG_LEVEL is {text!r}: set it to DEBUG, INFO, WARNING or ERROR")
    return level
