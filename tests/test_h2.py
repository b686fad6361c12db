"""HTTP/2 with prior knowledge on the plain port: curl, nghttp, h2load, Python's h2, and frames by hand."""

import json
import re
import signal
import struct
import subprocess
import threading

import pytest

from harness.h2client import H2Client
from harness.server import wait_until
from harness.site import build_site, pattern

FILES = {
    "index.html": b"home",
    "small.txt": b"0123456789",
    "100k.bin": pattern(100 << 10, seed=3),
    "10m.bin": pattern(10 << 20, seed=4),
}
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PING, SETTINGS, GOAWAY = 6, 4, 7
ENHANCE_YOUR_CALM = 11


@pytest.fixture
def folder(tmp_path):
    return build_site(tmp_path / "site", FILES)


def run(*command):
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def curl(server, path, *options):
    return run("curl", "-sS", "--http2-prior-knowledge", *options, server.url(path))


def frame(kind, payload=b"", flags=0, stream=0):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def frames_of(data):
    while len(data) >= 9:
        length = int.from_bytes(data[:3], "big")
        yield data[3], data[9 : 9 + length]
        data = data[9 + length :]


@pytest.mark.parametrize("preload", [(), ("--preload-max", "0")])
def test_files_to_curl(launch, folder, preload):
    server = launch(folder, *preload)
    for name in ("small.txt", "100k.bin", "10m.bin"):
        assert curl(server, f"/{name}") == FILES[name]
    assert curl(server, "/", "-o", "/dev/null", "-w", "%{http_version} %{http_code}") == b"2 200"
    assert curl(server, "/100k.bin", "-r", "10-19") == FILES["100k.bin"][10:20]
    assert b"HTTP/2 200" in curl(server, "/small.txt", "-I")
    assert curl(server, "/", "--http1.1", "-w", " %{http_version}") == b"home 1.1"


def test_many_files_over_one_connection(launch, folder):
    server = launch(folder)
    client = H2Client(server.connect().socket)
    streams = [client.request(f"/100k.bin?{i}") for i in range(100)]
    assert all(client.wait(stream).body == FILES["100k.bin"] for stream in streams)


def test_nghttp_and_h2load(launch, folder):
    server = launch(folder)
    log = run("nghttp", "-nv", server.url("/100k.bin"), server.url("/small.txt")).decode()
    assert "SETTINGS_NO_RFC7540_PRIORITIES(0x09):1" in log or "[UNKNOWN(0x09):1]" in log
    assert "ENABLE_CONNECT_PROTOCOL(0x08):1" in log and log.count(":status: 200") == 2
    for path in ("/small.txt", "/100k.bin"):
        report = run("h2load", "-n", "2000", "-c", "10", "-m", "20", server.url(path)).decode()
        assert re.search(r"2000 succeeded, 0 failed, 0 errored", report), report


def test_requests_and_refusals(launch, folder):
    server = launch(folder)
    client = H2Client(server.connect().socket)
    assert client.fetch("/small.txt").body == FILES["small.txt"]
    assert client.fetch("/none").status == 404
    assert client.fetch("/small.txt", method="POST", body=b"x" * 1000).status == 405
    assert client.fetch("/", ("x-long", "x" * 20000)).status == 431
    answer = client.fetch("/small.txt", ("expect", "nonsense"))
    assert answer.status == 417 and answer.ended
    assert client.fetch("/small.txt", ("if-none-match", "*")).status == 304
    assert client.went_away is None


def test_a_slow_stream_does_not_hold_up_others(launch, folder):
    server = launch(folder)
    client = H2Client(server.connect().socket)
    client.h2.acknowledge_received_data = lambda *_: None  # opens no window any more
    slow = client.request("/10m.bin")
    while len(client.answers[slow].body) < 30000:
        client.pump()
    # The window of the connection is nearly used up by now: a small one fits.
    client.h2.increment_flow_control_window(1 << 20)
    assert client.fetch("/small.txt").body == FILES["small.txt"]
    assert not client.answers[slow].ended


def test_metrics_and_access_log(launch, folder, tmp_path):
    log = tmp_path / "access.log"
    server = launch(
        folder, "--admin-addr", "127.0.0.1:0", "--access-log", log, "--log-format", "json", listener_count=2
    )
    client = H2Client(server.connect().socket)
    client.fetch("/small.txt?q")
    assert server.metric("tarn_http2_connections_active") == 1
    assert server.metric("tarn_http2_streams_active") == 0
    wait_until(lambda: log.exists() and b"\n" in log.read_bytes(), 5, "a line")
    record = json.loads(log.read_text().splitlines()[0])
    assert record["protocol"] == "HTTP/2.0" and record["target"] == "/small.txt?q"
    assert record["status"] == 200 and record["bytes"] == 10 and record["complete"]


def test_a_flood_is_calmed_and_counted(launch, folder):
    server = launch(folder, "--admin-addr", "127.0.0.1:0", listener_count=2)
    wire = server.connect()
    wire.send(PREFACE + frame(SETTINGS) + frame(PING, b"12345678") * 1000)
    data = b""
    while True:
        try:
            more = wire.socket.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            break
        data += more
    last = [payload for kind, payload in frames_of(data) if kind == GOAWAY][-1]
    assert int.from_bytes(last[4:8], "big") == ENHANCE_YOUR_CALM and last[8:] == b"ping"
    assert server.metric('tarn_http2_floods_total{kind="ping"}') == 1
    wire.close()
    wait_until(
        lambda: server.metric('tarn_connections_ended_total{reason="h2_flood"}') == 1, 5, "the end"
    )
    assert curl(server, "/") == b"home"


def test_a_shutdown_finishes_downloads(launch, folder):
    server = launch(folder, "--shutdown-timeout", "20")
    client = H2Client(server.connect().socket)
    stream = client.request("/10m.bin")
    while len(client.answers[stream].body) < 100000:
        client.pump()
    server.send(signal.SIGTERM)
    assert client.wait(stream).body == FILES["10m.bin"]
    client.read_to_end()
    assert client.went_away == 0
    assert server.wait_exit() == 0


def test_a_reload_keeps_connections(launch, folder):
    server = launch(folder)
    client = H2Client(server.connect().socket)
    assert client.fetch("/small.txt").status == 200
    (folder / "new.txt").write_text("new")
    server.send(signal.SIGHUP)
    wait_until(lambda: client.fetch("/new.txt").body == b"new", 10, "the new file")
    assert client.went_away is None


def test_clients_that_break_off(launch, folder):
    """Connections that end in the middle of everything leave nothing behind."""
    server = launch(folder)
    before = server.descriptor_count()

    def break_off():
        for i in range(10):
            client = H2Client(server.connect().socket)
            for _ in range(20):
                client.request("/10m.bin")
            for _ in range(i):
                client.pump()
            client.sock.close()

    threads = [threading.Thread(target=break_off) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: server.descriptor_count() <= before, 10, "closed connections")
    assert curl(server, "/") == b"home"
