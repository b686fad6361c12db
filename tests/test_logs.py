"""The access log: what it says, and that it never stands in the way of a request."""

import fcntl
import json
import os
import pty
import re
import subprocess
import time

import pytest

from harness.binary import TARN, clean_environment
from harness.client import Wire, request_bytes
from harness.server import LISTENING, wait_until
from harness.site import build_site

FILES = {"index.html": "home", "a.txt": "0123456789"}


@pytest.fixture
def folder(tmp_path):
    return build_site(tmp_path / "site", FILES)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "access.log"


def wait_lines(path, count):
    """The log is written behind the requests: waits until so many lines are there."""

    def ready():
        return path.exists() and path.read_bytes().count(b"\n") >= count

    wait_until(ready, 5, f"{count} lines in the log")
    lines = path.read_bytes().decode("utf-8").split("\n")
    assert lines[-1] == ""
    return lines[:-1]


def flat(record):
    return {str(v) for v in record.values()}


def test_json_fields(launch, folder, log):
    server = launch(folder, "--access-log", log, "--log-format", "json", "--threads", "1")
    headers = ["Referer: https://from.test/page", "User-Agent: probe/1.0", "X-Request-Id: abc-123"]
    server.get("/a.txt?q=1", *headers)
    server.get("/missing", method="HEAD")
    first, second = map(json.loads, wait_lines(log, 2))
    values = flat(first)
    for expected in (
        "GET",
        "/a.txt?q=1",
        "200",
        "site.test",
        "https://from.test/page",
        "probe/1.0",
        "HTTP/1.1",
    ):
        assert expected in values, (expected, first)
    assert any(v.startswith("127.0.0.1") for v in values), first
    assert 200 in first.values() and 10 in [int(v) for v in first.values() if isinstance(v, int)]
    assert any(re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d", v) for v in values), first
    assert any("duration" in k or "time" in k or "took" in k for k in first)
    assert any("request" in k and "id" in k for k in first), first
    assert {"HEAD", "/missing", "404"} <= flat(second)
    assert set(first) >= set(second) or set(second) >= set(first)


def test_text_fields(launch, folder, log):
    server = launch(folder, "--access-log", log)
    server.get("/a.txt?q=1", "Referer: https://from.test/page", "User-Agent: probe/1.0 (x)")
    (line,) = wait_lines(log, 1)
    for expected in (
        "GET",
        "/a.txt?q=1",
        "200",
        "10",
        "127.0.0.1",
        "HTTP/1.1",
        "site.test",
        "https://from.test/page",
        "probe/1.0 (x)",
    ):
        assert expected in line, (expected, line)


@pytest.mark.parametrize("form", ["text", "json"])
def test_every_request_is_logged_once_in_order(launch, folder, log, form):
    server = launch(folder, "--access-log", log, "--log-format", form, "--threads", "1")
    with server.connect() as wire:
        wire.send(b"".join(request_bytes("GET", f"/a.txt?n={i}x") for i in range(300)))
        for _ in range(300):
            wire.read_response()
    found = [re.search(r"n=(\d+)x", l).group(1) for l in wait_lines(log, 300)]
    assert found == [str(i) for i in range(300)]


def test_refused_requests_are_logged(launch, folder, log):
    server = launch(folder, "--access-log", log, "--log-format", "json")
    with server.connect() as wire:
        wire.send(b"GET / HTTP/1.1\r\n\r\n")
        wire.read_response()
    (line,) = wait_lines(log, 1)
    assert 400 in json.loads(line).values()


@pytest.mark.parametrize("form", ["text", "json"])
def test_nothing_a_client_sends_breaks_the_line(launch, folder, log, form):
    server = launch(folder, "--access-log", log, "--log-format", form)
    nasty = 'a" 200 "b\\ \xff\xc3 end'
    server.get('/x"y\\z?\xfe', f"User-Agent: {nasty}", f"Referer: {nasty}")
    server.get("/a.txt")
    lines = wait_lines(log, 2)
    assert len(lines) == 2
    for line in lines:
        assert line.isprintable(), line
    if form == "json":
        # Two workers may have served them, and each worker's lines come in an order of its own.
        values = [v for l in lines for v in flat(json.loads(l))]
        assert any('a" 200 "b\\ ' in v for v in values), values


def test_bytes_of_a_cut_download(launch, tmp_path, log):
    """What was sent is logged, not what was meant to be sent."""
    size = 30 << 20
    folder = build_site(tmp_path / "big", {"big.bin": b"x" * size})
    server = launch(folder, "--access-log", log, "--log-format", "json")
    with server.connect(receive_buffer=4096) as wire:
        wire.request("/big.bin")
        wire.read_head()
    (line,) = wait_lines(log, 1)
    counts = [v for v in json.loads(line).values() if isinstance(v, int) and v != 200]
    assert size not in counts


def test_log_to_standard_error(launch, folder):
    server = launch(folder, "--access-log", "stderr", "--log-format", "json")
    server.get("/a.txt?marker")
    server.wait_line(r"\{.*/a\.txt\?marker.*\}", 5)


def test_off_by_default_without_a_terminal(launch, folder):
    server = launch(folder)
    server.get("/a.txt?marker")
    server.stop()
    assert "marker" not in server.stderr


def test_off_explicitly(launch, folder):
    server = launch(folder, "--access-log", "off")
    server.get("/a.txt?marker")
    server.stop()
    assert "marker" not in server.stderr


def test_on_by_default_on_a_terminal(folder):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [TARN, "--addr", "127.0.0.1:0", str(folder)], stderr=slave, env=clean_environment()
    )
    os.close(slave)
    seen = b""
    try:
        while b"marker" not in seen:
            seen += os.read(master, 4096)
            match = LISTENING.search(seen.decode("utf-8", "replace"))
            if match and b"\n" in seen[seen.index(b"listening on") :] and b"asked" not in seen:
                with Wire((match.group(2), int(match.group(3)))) as wire:
                    wire.fetch("/a.txt?marker")
                seen += b"asked"
    finally:
        process.terminate()
        os.close(master)
        assert process.wait(10) == 0


def test_appends_to_an_existing_file(launch, folder, log):
    log.write_text("earlier\n")
    server = launch(folder, "--access-log", log)
    server.get("/a.txt")
    assert wait_lines(log, 2)[0] == "earlier"


def test_everything_is_written_before_the_end(launch, folder, log):
    server = launch(folder, "--access-log", log)
    for i in range(100):
        server.get(f"/a.txt?{i}")
    server.stop()
    assert log.read_bytes().count(b"\n") == 100


def ask_many(server, count=4000, padding=200):
    """Many requests with long log lines; returns the seconds they took."""
    start = time.monotonic()
    with server.connect(timeout=5) as wire:
        for begin in range(0, count, 100):
            wire.send(
                b"".join(
                    request_bytes("GET", f"/a.txt?{i}{'p' * padding}")
                    for i in range(begin, begin + 100)
                )
            )
            for _ in range(100):
                assert wire.read_response().status == 200
    return time.monotonic() - start


def dropped(server):
    text = server.get("/metrics", listener=server.admin).text
    return sum(float(v) for v in re.findall(r"(?m)^\w*log\w*drop\w*(?:\{.*?\})? (\S+)$", text))


def test_a_reader_that_stopped_blocks_nothing(launch, folder, tmp_path):
    fifo = tmp_path / "log.fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    server = launch(folder, "--access-log", fifo, "--admin-addr", "127.0.0.1:0", listener_count=2)
    try:
        assert ask_many(server, 20000) < 30
        assert server.get("/").text == "home"
        wait_until(lambda: dropped(server) > 0, 5, "counted drops")
        server.stop()  # the end does not wait for the reader either
    finally:
        os.close(reader)


def test_a_reader_that_went_away_blocks_nothing(launch, folder, tmp_path):
    fifo = tmp_path / "log.fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    server = launch(folder, "--access-log", fifo)
    os.close(reader)
    ask_many(server, 500)
    assert server.get("/").text == "home"


def test_a_full_disk_blocks_nothing(launch, folder):
    server = launch(
        folder, "--access-log", "/dev/full", "--admin-addr", "127.0.0.1:0", listener_count=2
    )
    ask_many(server, 2000)
    assert server.get("/").text == "home"
    wait_until(lambda: dropped(server) > 0, 5, "counted drops")
    assert len(server.lines) < 50, "the failure is not repeated for every request"


def fill(fifo):
    """Takes the last free bytes of a pipe, so that the next write to it must wait."""
    writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b".")
    except BlockingIOError:
        os.close(writer)


def test_standard_error_that_nobody_reads(folder, tmp_path):
    """A supervisor that stops reading its pipe cannot stop the server."""
    fifo = tmp_path / "stderr.fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
    with open(fifo, "wb", buffering=0) as errors:
        process = subprocess.Popen(
            [TARN, "--addr", "127.0.0.1:0", "--access-log", "stderr", str(folder)],
            stderr=errors,
            env=clean_environment(),
        )
    try:
        seen = b""

        def announced():
            nonlocal seen
            try:
                seen += os.read(reader, 4096)
            except BlockingIOError:
                pass
            return re.search(rb"listening on http://127\.0\.0\.1:(\d+)\n", seen)

        wait_until(announced, 10, "the listener")
        port = int(announced().group(1))
        with Wire(("127.0.0.1", port), timeout=5) as wire:
            for i in range(2000):
                assert wire.fetch(f"/a.txt?{i}{'p' * 200}").status == 200
        fill(fifo)
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        os.close(reader)
