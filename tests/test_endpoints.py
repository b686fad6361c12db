"""Health, readiness and metrics."""

import json
import re
import signal
import time
import urllib.request

import pytest

from harness.client import assert_error
from harness.server import wait_until
from harness.site import build_site

SAMPLE = re.compile(
    r"[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_][^}]*\})? (-?[0-9.e+-]+|\+Inf|NaN)( \d+)?"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_site(tmp_path_factory.mktemp("endpoints") / "site", {"index.html": "home"})


@pytest.fixture(scope="module")
def server(launch_module, folder):
    return launch_module(folder)


STATUS = {"/health": "healthy", "/ready": "ready", "/livez": "healthy", "/readyz": "ready"}


@pytest.mark.parametrize("path,status", STATUS.items())
def test_health(server, path, status):
    with server.connect() as wire:
        response = wire.fetch(path)
        assert response.status == 200
        assert response.get("Content-Type").startswith("application/json")
        match = re.fullmatch(r'\{"status":"(\w+)","timestamp":"(\d+)"\}\n?', response.text)
        assert match, response.text
        assert match.group(1) == status
        assert abs(int(match.group(2)) - time.time()) < 3
        assert not response.says_close
        assert "max-age" not in (response.get("Cache-Control") or "")
        assert wire.fetch(path + "?verbose").status == 200
        assert wire.fetch(path, method="HEAD").length == len(response.body)
        assert_error(wire.fetch(path, method="POST"), 405, close=False)
        assert wire.fetch("/").text == "home"


@pytest.mark.parametrize("path", ["/health/", "/healthz", "/Health", "/ready/x", "/metrics"])
def test_near_misses(server, path):
    assert server.get(path).status == 404


def test_timestamp_moves_on(server):
    first = json.loads(server.get("/health").body)["timestamp"]
    wait_until(lambda: json.loads(server.get("/health").body)["timestamp"] != first, 5)


def test_urllib_reads_it(server):
    with urllib.request.urlopen(server.url("/health"), timeout=5) as answer:
        assert json.load(answer)["status"] == "healthy"


def test_no_health(launch, tmp_path):
    server = launch(
        build_site(tmp_path / "s", {"index.html": "home", "ready": "a file"}), "--no-health"
    )
    for path in ("/health", "/livez", "/readyz"):
        assert server.get(path).status == 404
    assert server.get("/ready").text == "a file"


def test_spa_does_not_hide_health(launch, folder):
    server = launch(folder, "--spa")
    assert json.loads(server.get("/health", "Accept: text/html").body)["status"] == "healthy"


@pytest.fixture
def with_admin(launch, folder):
    return launch(folder, "--admin-addr", "127.0.0.1:0", listener_count=2)


def test_admin_address_has_the_endpoints(with_admin):
    assert with_admin.admin.address != with_admin.main.address
    for path, status in STATUS.items():
        response = with_admin.get(path, listener=with_admin.admin)
        assert response.status == 200
        assert json.loads(response.body)["status"] == status
        assert with_admin.get(path).status == 404
    assert with_admin.get("/metrics").status == 404
    assert with_admin.get("/").text == "home"
    assert_error(with_admin.get("/", listener=with_admin.admin), 404)


def metrics(server):
    """{name: sum over all labels} of the text exposition format, every line checked."""
    response = server.get("/metrics", listener=server.admin)
    assert response.status == 200
    assert response.get("Content-Type").startswith("text/plain")
    values = {}
    for line in response.text.splitlines():
        if line and not line.startswith("#"):
            assert SAMPLE.fullmatch(line), line
            name, value = re.split(r"[{ ]", line)[0], float(line.split()[-1])
            values[name] = values.get(name, 0) + value
        elif line:
            assert re.match(r"# (HELP|TYPE) [a-zA-Z_:]", line), line
    return values


def test_metrics_count_requests(with_admin):
    before = metrics(with_admin)
    name = next(n for n in before if re.search(r"requests_total$", n))
    for _ in range(5):
        with_admin.get("/")
    wait_until(lambda: metrics(with_admin)[name] >= before[name] + 5, 5, "five more requests")


def test_metrics_count_failed_reloads(launch, tmp_path):
    folder = build_site(tmp_path / "s", {"index.html": "home"})
    server = launch(folder, "--admin-addr", "127.0.0.1:0", listener_count=2)
    (folder / "_headers").write_text("broken\n")
    server.send(signal.SIGHUP)

    def failures():
        return sum(v for n, v in metrics(server).items() if "reload" in n and "fail" in n)

    wait_until(lambda: failures() == 1, 10, "the counted failure")
    assert server.get("/").text == "home"


def test_admin_rejects_rubbish(with_admin):
    with with_admin.connect(with_admin.admin) as wire:
        wire.send(b"\x00\x01\x02\r\n\r\n")
        assert wire.read_response().status == 400
    with with_admin.connect(with_admin.admin) as wire:
        wire.send(b"GET /" + b"x" * 100_000)
        assert wire.read_response().status in (414, 431)
    assert with_admin.get("/health", listener=with_admin.admin).status == 200


def test_silent_admin_connections_block_nothing(with_admin):
    for _ in range(20):
        with_admin.connect(with_admin.admin)
    assert with_admin.get("/health", listener=with_admin.admin, timeout=3).status == 200
    assert with_admin.get("/", timeout=3).text == "home"


def test_draining(launch, folder):
    """Not ready at once, yet serving on until the delay is over; then exit 0."""
    server = launch(folder, "--shutdown-delay", "1500ms")
    kept = server.connect()
    assert kept.fetch("/").status == 200
    start = time.monotonic()
    server.send(signal.SIGTERM)
    wait_until(lambda: server.get("/ready").status == 503, 1, "the 503")
    for path in ("/ready", "/readyz"):
        response = server.get(path)
        assert response.status == 503
        assert json.loads(response.body)["status"] == "draining"
    assert server.get("/health").status == 200
    assert server.get("/").text == "home"
    assert kept.fetch("/").text == "home"
    kept.close()
    assert server.wait_exit(10) == 0
    assert 1.4 < time.monotonic() - start < 5


def test_draining_on_the_admin_address(launch, folder):
    server = launch(
        folder, "--admin-addr", "127.0.0.1:0", "--shutdown-delay", "800ms", listener_count=2
    )
    server.send(signal.SIGTERM)
    wait_until(lambda: server.get("/ready", listener=server.admin).status == 503, 1, "the 503")
    assert server.get("/").text == "home"
    assert server.wait_exit(10) == 0
