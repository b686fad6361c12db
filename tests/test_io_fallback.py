"""Where io_uring is forbidden, tarn serves through epoll and says so."""

import re
import subprocess
from pathlib import Path

import pytest

from harness.binary import kernel_refuses_uring, run_tarn
from harness.server import Server
from harness.site import build_site, pattern

SOURCE = Path(__file__).parent / "tools" / "noring.c"
BIG = pattern(3 << 20)


@pytest.fixture(scope="module")
def noring(tmp_path_factory):
    """The launcher that makes io_uring fail, compiled when it is needed."""
    program = tmp_path_factory.mktemp("noring") / "noring"
    subprocess.run(["cc", "-std=gnu11", "-O1", "-o", program, SOURCE], check=True)
    return str(program)


@pytest.fixture
def folder(tmp_path):
    return build_site(tmp_path / "site", {"index.html": "home", "big.bin": BIG})


@pytest.fixture(params=["EPERM", "ENOSYS"])
def forbidden(noring, request):
    return [noring, request.param]


@pytest.fixture
def start(request):
    def run(*args, **options):
        server = Server(["--addr", "127.0.0.1:0", *args], **options)
        request.addfinalizer(server.stop)
        return server.ready()

    return run


@pytest.mark.parametrize("choice", [[], ["--io", "auto"]], ids=["default", "auto"])
def test_falls_back_and_says_so(start, folder, forbidden, choice):
    server = start(*choice, folder, command=forbidden)
    assert server.get("/").text == "home"
    assert server.get("/big.bin").body == BIG
    said = [l for l in server.lines if "io_uring" in l and "epoll" in l]
    assert len(said) == 1, server.stderr


def test_uring_on_demand_fails_clearly(folder, forbidden):
    done = run_tarn("--addr", "127.0.0.1:0", "--io", "uring", folder, command=forbidden)
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if "io_uring" in line]
    assert len(lines) == 1 and "--io" in lines[0], done.stderr
    assert re.search(r"not permitted|not implemented|EPERM|ENOSYS", lines[0], re.I), lines[0]


def test_epoll_needs_no_uring(start, folder, forbidden):
    server = start("--io", "epoll", folder, command=forbidden)
    assert server.get("/").text == "home"
    assert not any("falling back" in l for l in server.lines)


def test_auto_uses_uring_where_it_may(start, folder):
    reason = kernel_refuses_uring()
    if reason:
        pytest.skip(f"this kernel refuses io_uring ({reason})")
    server = start("--io", "auto", folder)
    assert server.get("/").text == "home"
    assert any("io_uring" in target for target in server._descriptors())
