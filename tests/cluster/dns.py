"""One question to the cluster's name server, to see that it answers truly."""

import secrets
import socket
import struct

PORT = 53


def question(name: str, number: int) -> bytes:
    """Return the packet that asks for the IPv4 address of a name."""
    labels = b"".join(struct.pack("B", len(part)) + part.encode() for part in name.rstrip(".").split("."))
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">B2H", 0, 1, 1)


def resolves(server: str, name: str, seconds: float = 5.0) -> bool:
    """Say whether the server answers with an address of the name; where nothing listens, the answer comes at once."""
    number = secrets.randbelow(1 << 16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(seconds)
        try:
            link.connect((server, PORT))
            link.send(question(name, number))
            answer = link.recv(512)
        except OSError:
            return False
    identity, flags, _, answers, _, _ = struct.unpack(">6H", answer[:12])
    return bool(identity == number and flags & 0xF == 0 and answers > 0)
