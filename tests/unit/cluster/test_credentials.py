import base64
import json
from pathlib import Path

from cluster.credentials import P256_ORDER, User, kubeconfig, signing_key, token_file, token_of, write_secret


def test_the_signing_key_is_a_fresh_one_in_its_frame() -> None:
    first, *body, last = signing_key().splitlines()
    assert (first, last) == ("-----BEGIN EC PRIVATE KEY-----", "-----END EC PRIVATE KEY-----")
    der = base64.b64decode("".join(body))
    assert der[1] == len(der) - 2
    assert der[6] == 32
    assert 0 < int.from_bytes(der[7:39], "big") < P256_ORDER
    assert signing_key() != signing_key()


def test_the_token_file_quotes_groups() -> None:
    users = [User("admin", ("system:masters", "more"), "t1"), User("dns", (), "t2")]
    assert token_file(users) == 't1,admin,admin,"system:masters,more"\nt2,dns,dns,""\n'


def test_a_token_is_read_back_whatever_becomes_of_the_kubeconfig() -> None:
    users = [User("dns", (), "t2"), User("admin", ("system:masters", "more"), "t1")]
    assert token_of("admin", token_file(users)) == "t1"


def test_tokens_are_fresh() -> None:
    user = User("admin")
    assert len({user.with_token().token, user.with_token().token, ""}) == 3


def test_a_kubeconfig_holds_authority_and_token() -> None:
    config = json.loads(kubeconfig("https://10.0.0.1:1", "PEM", "secret"))
    assert config["users"][0]["user"] == {"token": "secret"}
    assert base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]) == b"PEM"
    assert config["current-context"] == config["contexts"][0]["name"]


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("old")
    path = write_secret(tmp_path / "secret", "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
