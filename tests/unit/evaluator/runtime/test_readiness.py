"""Whether `/readyz` may say yes: the model, the directory, and a way to the API server."""

import contextlib

import pytest

from sidecar_evaluator.runtime.contact import Contact
from sidecar_evaluator.runtime.readiness import Readiness
from unit.evaluator.support.fakes import FakeClock


@pytest.mark.parametrize(
    ("built", "seen", "is_ready"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_model_and_directory_must_be_there(built: bool, seen: bool, is_ready: bool) -> None:
    readiness = Readiness()
    if built:
        readiness.model_built.set()
    if seen:
        readiness.directory_seen.set()
    assert readiness.is_ready() is is_ready


def test_without_contact_for_a_minute_it_is_not_ready_until_an_attempt_succeeds() -> None:
    clock = FakeClock()
    contact, other = Contact(clock.monotonic), Contact(clock.monotonic)
    readiness = Readiness((other, contact))
    readiness.model_built.set()
    readiness.directory_seen.set()
    for _ in range(60):
        assert readiness.is_ready()
        with contextlib.suppress(ConnectionError), contact.attempt():
            raise ConnectionError
        clock.now += 1.0
        other.succeeded()
    assert not readiness.is_ready()
    with contact.attempt():
        pass
    assert readiness.is_ready()


def test_an_attempt_that_hangs_is_noticed_by_the_next_one_alone() -> None:
    clock = FakeClock()
    contact = Contact(clock.monotonic)
    clock.now += 100.0
    assert contact.seconds_lost() == 0.0
    contact.failed()
    clock.now += 7.0
    assert contact.seconds_lost() == 7.0
