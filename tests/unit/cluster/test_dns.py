import socket
import struct
import threading

import pytest

from cluster import dns
from support.waiting import DEADLINE


def test_a_question_is_one_of_rfc_1035() -> None:
    assert dns.question("a.bc", 7) == b"\0\7\1\0\0\1\0\0\0\0\0\0" + b"\1a\2bc\0" + b"\0\1\0\1"


@pytest.mark.parametrize(("flags", "answers", "good"), [(0x8180, 1, True), (0x8183, 0, False), (0x8180, 0, False)])
def test_only_an_address_counts_as_an_answer(
    monkeypatch: pytest.MonkeyPatch,
    flags: int,
    answers: int,
    good: bool,
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setattr(dns, "PORT", server.getsockname()[1])

        def answer() -> None:
            packet, client = server.recvfrom(512)
            server.sendto(packet[:2] + struct.pack(">5H", flags, 1, answers, 0, 0), client)

        responder = threading.Thread(target=answer)
        responder.start()
        assert dns.resolves("127.0.0.1", "a.b", seconds=DEADLINE) is good
        responder.join()


def test_silence_is_no_answer() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        assert not dns.resolves("127.0.0.1", "a.b", seconds=0.05)


def test_where_nothing_listens_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(dns, "PORT", closed.getsockname()[1])
    answers: list[bool] = []
    asking = threading.Thread(
        target=lambda: answers.append(dns.resolves("127.0.0.1", "a.b", seconds=10 * DEADLINE)), daemon=True
    )
    asking.start()
    asking.join(DEADLINE)
    assert answers == [False]
