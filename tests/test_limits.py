"""Each limit of the table, with a small value: what it stops, and what it must leave alone."""

import time

import pytest

from harness.client import assert_error, exchange_error, request_bytes
from harness.server import wait_until
from harness.site import build_site, pattern

BIG = pattern(24 << 20)
FILES = {"index.html": "home", "a.txt": "0123456789"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_site(tmp_path_factory.mktemp("limits") / "site", {**FILES, "big.bin": BIG})


def elapsed(since):
    return time.monotonic() - since


def head_of(size):
    """A request whose head is exactly `size` bytes long."""
    empty = request_bytes("GET", "/a.txt", "X-Pad: ")
    return request_bytes("GET", "/a.txt", "X-Pad: " + "p" * (size - len(empty)))


def test_request_size_by_default(launch, folder):
    server = launch(folder)
    with server.connect() as wire:
        for size in (1000, 16383, 16384):
            wire.send(head_of(size))
            assert wire.read_response().status == 200, size
    exchange_error(server, head_of(16385), 431)
    exchange_error(server, head_of(100_000), 431)


def test_request_size_option(launch, folder):
    server = launch(folder, "--max-request-size", "1K")
    with server.connect() as wire:
        for _ in range(3):  # the limit is for each request, not for the connection
            wire.send(head_of(1024))
            assert wire.read_response().status == 200
        wire.send(head_of(1024) * 5)
        assert [wire.read_response().status for _ in range(5)] == [200] * 5
    exchange_error(server, head_of(1025), 431)
    exchange_error(server, request_bytes("GET", "/" + "x" * 1100), 414)


def test_larger_request_size(launch, folder):
    server = launch(folder, "--max-request-size", "64K")
    with server.connect() as wire:
        wire.send(head_of(65536))
        assert wire.read_response().status == 200
    exchange_error(server, head_of(65537), 431)


def test_request_line_without_end(launch, folder):
    """The memory of the server must not follow what a peer sends."""
    server = launch(folder)
    server.get("/a.txt")
    before = server.resident_kib()
    with server.connect() as wire:
        try:
            wire.send(b"GET /")
            for _ in range(400):
                wire.send(b"x" * 65536)
        except OSError:
            pass
        assert_error(wire.read_response(), 414, close=True)
    assert server.resident_kib() - before < 8192


def test_header_count_by_default(launch, folder):
    server = launch(folder)

    def with_lines(count):  # Host is one of them
        return request_bytes("GET", "/a.txt", *(f"X-{i}: v" for i in range(count - 1)))

    with server.connect() as wire:
        wire.send(with_lines(128))
        assert wire.read_response().status == 200
    exchange_error(server, with_lines(129), 431)


def test_header_count_option(launch, folder):
    server = launch(folder, "--max-headers", "4")
    assert server.get("/a.txt", "A: 1", "B: 2", "C: 3").status == 200
    exchange_error(server, request_bytes("GET", "/", "A: 1", "B: 2", "C: 3", "D: 4"), 431)


def test_header_timeout(launch, folder):
    server = launch(folder, "--header-timeout", "500ms")
    with server.connect() as wire:
        start = time.monotonic()
        wire.send(b"GET /a.txt HTTP/1.1\r\nHo")
        assert_error(wire.read_response(), 408, close=True)
        wire.assert_closed(2)
        assert 0.45 <= elapsed(start) < 2.5


def test_header_timeout_is_for_the_whole_head(launch, folder):
    """Slowloris: a byte now and then does not buy more time."""
    server = launch(folder, "--header-timeout", "1s")
    with server.connect() as wire:
        start = time.monotonic()
        wire.send(b"GET /a.txt HTTP/1.1\r\nX-A: ")
        while wire.is_quiet(0.1):
            assert elapsed(start) < 4
            wire.send(b"a")
        assert wire.read_response().status == 408
        assert 0.9 <= elapsed(start) < 3


def test_header_timeout_on_a_later_request(launch, folder):
    server = launch(folder, "--header-timeout", "500ms")
    with server.connect() as wire:
        assert wire.fetch("/a.txt").status == 200
        assert wire.is_quiet(0.8)  # idle between requests: another limit
        assert wire.fetch("/a.txt").status == 200
        start = time.monotonic()
        wire.send(b"GET")
        assert_error(wire.read_response(), 408, close=True)
        assert 0.45 <= elapsed(start) < 2.5


def test_header_timeout_without_any_byte(launch, folder):
    """A connection that says nothing is closed; a 408 is allowed, anything else is not."""
    server = launch(folder, "--header-timeout", "500ms", "--keepalive-timeout", "1s")
    with server.connect() as wire:
        start = time.monotonic()
        wire.socket.settimeout(5)
        rest = wire.read_to_end()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 408 ")
        assert 0.45 <= elapsed(start) < 3


def test_header_timeout_leaves_a_download_alone(launch, folder):
    """No 408 may ever stand in the middle of a file."""
    server = launch(folder, "--header-timeout", "300ms", "--keepalive-timeout", "300ms")
    with server.connect(receive_buffer=65536) as wire:
        wire.request("/big.bin")
        wire.read_head()
        body = bytearray()
        for _ in range(12):
            time.sleep(0.1)
            body += wire.read_some(100_000)
        while len(body) < len(BIG):
            body += wire.read_some(1 << 20)
        assert body == BIG


def test_keepalive_timeout_is_silent(launch, folder):
    server = launch(folder, "--keepalive-timeout", "500ms")
    with server.connect() as wire:
        assert wire.fetch("/a.txt").status == 200
        start = time.monotonic()
        wire.assert_closed(5)
        assert 0.45 <= elapsed(start) < 2.5


def test_keepalive_timeout_starts_anew(launch, folder):
    server = launch(folder, "--keepalive-timeout", "700ms")
    with server.connect() as wire:
        for _ in range(4):
            assert wire.fetch("/a.txt").status == 200
            assert wire.is_quiet(0.35)


def test_io_timeout_ends_a_reader_that_stopped(launch, folder):
    server = launch(folder, "--io-timeout", "700ms")
    idle = server.socket_count()
    with server.connect(receive_buffer=4096) as wire:
        start = time.monotonic()
        wire.request("/big.bin")
        wait_until(lambda: server.socket_count() > idle, what="the connection")
        wait_until(lambda: server.socket_count() == idle, 6, "the end of the stalled connection")
        assert 0.65 <= elapsed(start) < 4
        try:
            assert len(wire.read_to_end()) < len(BIG)
        except OSError:
            pass  # a reset is fine: nobody was reading


def test_io_timeout_leaves_a_slow_reader_alone(launch, folder):
    server = launch(folder, "--io-timeout", "1s")
    with server.connect(receive_buffer=65536) as wire:
        wire.request("/big.bin")
        wire.read_head()
        body, start = bytearray(), time.monotonic()
        while elapsed(start) < 3:
            body += wire.read_some(200_000)
            time.sleep(0.05)
        while len(body) < len(BIG):
            body += wire.read_some(1 << 20)
        assert body == BIG


def test_io_timeout_ends_a_body_that_stopped(launch, folder):
    server = launch(folder, "--io-timeout", "500ms", "--keepalive-timeout", "1m")
    with server.connect(timeout=6) as wire:
        wire.request("/a.txt", "Content-Length: 1000", method="POST", body=b"abc")
        assert wire.read_response().status in (405, 408)
        rest = wire.read_to_end()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 408 ")


def test_max_requests(launch, folder):
    server = launch(folder, "--max-requests", "3")
    with server.connect() as wire:
        assert not wire.fetch("/a.txt").says_close
        assert not wire.fetch("/missing").says_close
        last = wire.fetch("/a.txt")
        assert last.status == 200 and last.says_close
        wire.assert_closed(5)
    with server.connect() as wire:
        wire.send(request_bytes("GET", "/a.txt") * 10)
        assert [wire.read_response().says_close for _ in range(3)] == [False, False, True]
        assert wire.read_to_end() == b""


def test_max_connections_closes_the_oldest_idle(launch, folder):
    server = launch(folder, "--max-connections", "4", "--threads", "1")
    wires = []
    for _ in range(4):
        wires.append(server.connect())
        assert wires[-1].fetch("/a.txt").status == 200
    assert wires[0].fetch("/a.txt").status == 200  # now the second is the one idle for longest
    fifth = server.connect()
    assert fifth.fetch("/a.txt").status == 200
    wires[1].assert_closed(3)
    for wire in (wires[0], wires[2], wires[3], fifth):
        assert wire.fetch("/a.txt").status == 200


def test_max_connections_with_all_of_them_busy(launch, folder):
    """New ones wait in the backlog; busy ones are not sacrificed."""
    server = launch(folder, "--max-connections", "3", "--threads", "1")
    busy = []
    for _ in range(3):
        busy.append(server.connect(receive_buffer=4096))
        busy[-1].request("/big.bin")
        busy[-1].read_head()
    waiting = server.connect()
    waiting.request("/a.txt")
    assert waiting.is_quiet(0.4)
    busy[0].close()
    assert waiting.read_response().status == 200
    body = bytearray()
    while len(body) < len(BIG):
        body += busy[1].read_some(1 << 20)
    assert body == BIG


def test_max_connections_under_churn(launch, folder):
    server = launch(folder, "--max-connections", "8", "--threads", "1")
    base = server.socket_count()
    for _ in range(200):
        with server.connect() as wire:
            assert wire.fetch("/a.txt").status == 200
    wires = [server.connect() for _ in range(8)]
    for wire in wires:
        assert wire.fetch("/a.txt").status == 200
    assert server.socket_count() <= base + 8


@pytest.mark.parametrize(
    "option",
    ["--header-timeout=1h", "--keepalive-timeout=90", "--io-timeout=1500ms", "--threads=1"],
)
def test_values_that_change_nothing_visible(launch, folder, option):
    assert launch(folder, option).get("/a.txt").status == 200


def test_preload_limits(launch, folder):
    """What does not fit into memory is read by range, with the same answers."""
    expected = launch(folder).get("/a.txt")
    for options in (["--preload-max", "4"], ["--preload-total", "3"], ["--preload-max", "0"]):
        server = launch(folder, *options)
        response = server.get("/a.txt")
        assert response.body == b"0123456789"
        assert response.stable_headers() == expected.stable_headers()
        with server.connect() as wire:
            wire.send(request_bytes("GET", "/a.txt") * 50)
            assert all(wire.read_response().text == "0123456789" for _ in range(50))


def test_preloading_everything(launch, folder):
    assert launch(folder, "--preload-max", "1G").get("/big.bin").body == BIG
