import pytest

from sidecar_operator.settings import Settings, SettingsError, from_environment

IMAGE = {"EVALUATOR_IMAGE": "img:1"}


def test_defaults() -> None:
    assert from_environment(IMAGE) == Settings(evaluator_image="img:1")


def test_every_variable() -> None:
    settings = from_environment(
        IMAGE
        | {
            "WATCH_NAMESPACES": "a, b,a,",
            "METRICS_PORT": "0",
            "PROBE_PORT": "9",
            "RESYNC_SECONDS": "30",
            "WORKERS": "2",
            "ROLLOVERS": "0",
            "LEASE_NAMESPACE": "ops",
            "LEASE_NAME": "a-and-b",
            "LEASE_SECONDS": "15",
            "POD_NAME": "operator-0",
            "POD_UID": "0-1-2",
            "LOG_LEVEL": "debug",
        }
    )
    lease = ("ops", "a-and-b", 15, "operator-0_0-1-2")
    assert settings == Settings("img:1", ("a", "b"), 0, 9, 30, 2, 0, *lease, "DEBUG")


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ({}, "EVALUATOR_IMAGE"),
        ({"EVALUATOR_IMAGE": "  "}, "EVALUATOR_IMAGE"),
        (IMAGE | {"WORKERS": "0"}, "WORKERS"),
        (IMAGE | {"METRICS_PORT": "-1"}, "METRICS_PORT"),
        (IMAGE | {"RESYNC_SECONDS": "soon"}, "RESYNC_SECONDS"),
        (IMAGE | {"LEASE_SECONDS": "4"}, "LEASE_SECONDS"),
        (IMAGE | {"LOG_LEVEL": "loud"}, "LOG_LEVEL"),
    ],
)
def test_invalid_values_are_refused_with_the_name_of_the_variable(environment: dict[str, str], variable: str) -> None:
    with pytest.raises(SettingsError, match=f"environment variable {variable} "):
        from_environment(environment)
