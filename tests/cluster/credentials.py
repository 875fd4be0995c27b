"""Keys, tokens and kubeconfigs, made with the standard library alone.

Tokens are made anew at every start and live in files that only the owner can read. The signing key of
ServiceAccount tokens is an EC key: its DER form is a fixed frame around 32 random bytes.
"""

import base64
import csv
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# RFC 5915 ECPrivateKey: version 1, 32 bytes of key, parameters = OID prime256v1.
_BEFORE_KEY = bytes.fromhex("303102010104 20".replace(" ", ""))
_AFTER_KEY = bytes.fromhex("a00a06082a8648ce3d030107")


@dataclass(frozen=True)
class User:
    """A user of the API server, known by a static token."""

    name: str
    groups: tuple[str, ...] = ()
    token: str = ""

    def with_token(self) -> "User":
        """Return the same user with a fresh random token."""
        return User(self.name, self.groups, secrets.token_hex(24))


def signing_key() -> str:
    """Return a fresh P-256 private key as PEM."""
    secret = (secrets.randbelow(P256_ORDER - 1) + 1).to_bytes(32, "big")
    body = base64.encodebytes(_BEFORE_KEY + secret + _AFTER_KEY).decode()
    return f"-----BEGIN EC PRIVATE KEY-----\n{body}-----END EC PRIVATE KEY-----\n"


def token_file(users: list[User]) -> str:
    """Return the text of a static token file: token, name, uid, quoted groups."""
    return "".join(f'{user.token},{user.name},{user.name},"{",".join(user.groups)}"\n' for user in users)


def token_of(name: str, text: str) -> str:
    """Return the token of a user in the text of a static token file."""
    return next(row[0] for row in csv.reader(text.splitlines()) if row[1] == name)


def kubeconfig(url: str, authority: str, token: str) -> str:
    """Return a kubeconfig (JSON is YAML) that holds the certificate authority (PEM text) and the token itself."""
    cluster = {"server": url, "certificate-authority-data": base64.b64encode(authority.encode()).decode()}
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": cluster}],
            "users": [{"name": "local", "user": {"token": token}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "local"}}],
            "current-context": "local",
        },
        indent=1,
    )


def write_secret(path: Path, text: str) -> Path:
    """Write a file that only its owner can read, complete from its first moment."""
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.rename(path)
    return path
