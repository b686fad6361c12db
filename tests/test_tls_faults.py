"""What a peer can do wrong before and around TLS: slow, broken, huge, too many."""

import json
import random
import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest

from harness.client import HOST, request_bytes
from harness.server import wait_until
from harness.tls import (
    ALERT,
    HANDSHAKE,
    alert_of,
    client_context,
    client_hello,
    exchange_bytes,
    read_all,
    record,
    s_client,
    tls_connect,
    tls_get,
)

FILES = {"index.html": "home"}
HALF_OPEN = 1000


@pytest.fixture(autouse=True)
def still_serves(request):
    """Whatever was done to the shared server: it serves the next client."""
    yield
    if "tls_server" in request.fixturenames:
        assert tls_get(request.getfixturevalue("tls_server")).text == "home"


def handshake_over(sock, before_send):
    """A handshake whose every outgoing byte goes through `before_send`; the ssl object."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = client_context().wrap_bio(incoming, outgoing, server_hostname=HOST)
    while True:
        try:
            session.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            done = False
        before_send(outgoing.read())
        if done:
            return session, incoming, outgoing
        incoming.write(sock.recv(65536))


@pytest.mark.parametrize("size", [1, 3, 64])
def test_handshake_in_small_pieces(tls_server, size):
    with socket.create_connection(tls_server.tls.address, timeout=10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def send(data):
            for at in range(0, len(data), size):
                sock.sendall(data[at : at + size])
                time.sleep(0.0003)

        session, incoming, outgoing = handshake_over(sock, send)
        session.write(request_bytes("GET", "/", "Connection: close"))
        send(outgoing.read())
        incoming.write(read_all(sock))
        assert session.read(65536).endswith(b"home")


def test_hello_in_many_records(tls_server):
    """A handshake message may be cut into records anywhere."""
    hello = client_hello()[5:]
    data = b"".join(record(HANDSHAKE, hello[at : at + 50]) for at in range(0, len(hello), 50))
    with socket.create_connection(tls_server.tls.address, timeout=5) as sock:
        sock.sendall(data)
        assert sock.recv(1) == bytes([HANDSHAKE]), "no ServerHello"


def slow_client(server, steps):
    """Seconds until the server closes on a client that does `steps` and then nothing."""
    with socket.create_connection(server.tls.address, timeout=15) as sock:
        start = time.monotonic()
        steps(sock)
        read_all(sock)
        return time.monotonic() - start


def trickle(sock):
    """Always a little, never enough."""
    hello = client_hello()
    try:
        for at in range(100):
            sock.sendall(hello[at : at + 1])
            time.sleep(0.05)
    except OSError:
        pass


@pytest.mark.parametrize(
    "steps",
    [
        lambda sock: sock.sendall(client_hello()[:40]),
        lambda sock: sock.sendall(client_hello()),
        trickle,
    ],
    ids=["part", "hello-only", "trickle"],
)
def test_handshake_timeout(launch_tls, folder, steps, slowness):
    server = launch_tls(
        folder, "--handshake-timeout", "600ms", "--admin-addr", "127.0.0.1:0",
        "--header-timeout", "60s",
    )  # fmt: skip
    assert 0.4 < slow_client(server, steps) < 3 * slowness
    name = 'tarn_tls_handshake_failures_total{reason="timeout"}'
    wait_until(lambda: server.metric(name) == 1, 5, "a failure by timeout")
    assert tls_get(server).text == "home"


def test_connection_without_a_handshake(launch_tls, folder, slowness):
    """One that browsers open in advance, say: ended like the others, but no failure."""
    server = launch_tls(folder, "--handshake-timeout", "600ms")
    assert 0.4 < slow_client(server, lambda sock: None) < 3 * slowness


def test_timeout_is_for_the_handshake_only(launch_tls, folder):
    server = launch_tls(folder, "--handshake-timeout", "300ms")
    with tls_connect(server) as wire:
        assert wire.fetch("/").text == "home"
        time.sleep(0.6)
        assert wire.fetch("/").text == "home"


def test_many_half_open_handshakes(launch_tls, folder, slowness):
    server = launch_tls(folder)
    before = server.socket_count()
    hello, socks = client_hello(), []
    try:
        for i in range(HALF_OPEN):
            sock = socket.create_connection(server.tls.address, timeout=10)
            socks.append(sock)
            sock.sendall(hello if i % 2 else hello[:60])
        for _ in range(20):
            start = time.monotonic()
            assert tls_get(server).text == "home"
            assert time.monotonic() - start < 1.0 * slowness
    finally:
        for sock in socks:
            sock.close()
    wait_until(lambda: server.socket_count() <= before, 10, "the end of the sockets")


BROKEN = {
    "zeros": b"\0" * 300,
    "noise": random.Random(1).randbytes(3000),
    "record of another kind": record(23, b"x" * 100),
    "alert first": record(ALERT, b"\x02\x28"),
    "empty handshake record": record(HANDSHAKE, b"") * 40,
    "record too long": b"\x16\x03\x01\xff\xff" + b"x" * 70000,
    "another handshake message": record(HANDSHAKE, b"\x14\0\0\x04abcd"),
    "hello with a wrong length": record(HANDSHAKE, b"\x01\0\0\x30" + b"\x03\x03" + b"z" * 46),
    "ssl 2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\x01\x00\x80" * 7 + b"y" * 16,
    "sixteen megabytes announced": record(HANDSHAKE, b"\x01\xff\xff\xff" + b"q" * 16000) * 20,
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_hello(tls_server, name):
    """The answer is an alert (or plain text where it may be HTTP), then the end."""
    try:
        said = exchange_bytes(tls_server, BROKEN[name], end=True)
    except BrokenPipeError:  # closed before it had read everything
        return
    except ConnectionResetError:
        return
    assert alert_of(said) is not None or said == b"" or said.startswith(b"HTTP/1.1 400"), said


def test_truncated_hello(tls_server):
    hello = client_hello()
    for length in (0, 1, 4, 5, 6, 43, len(hello) - 1):
        assert exchange_bytes(tls_server, hello[:length], end=True) == b"", length


def test_mutated_hello(tls_server):
    """Any byte wrong: an answer or an end, never silence."""
    rng, hello = random.Random(5), client_hello()
    for _ in range(60):
        data = bytearray(hello)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(5, len(data))] = rng.randrange(256)
        with socket.create_connection(tls_server.tls.address, timeout=5) as sock:
            sock.sendall(bytes(data))
            sock.shutdown(socket.SHUT_WR)
            read_all(sock)


def test_huge_hello(tls_server):
    """As large as a record may be, by a long list of ALPN names: to be parsed or refused."""
    context = client_context(alpn=[f"x{i:05}" * 10 for i in range(200)] + ["http/1.1"])
    with tls_connect(tls_server, context=context) as wire:
        assert wire.fetch("/").text == "home"


def test_memory_does_not_follow_a_flood(launch_tls, folder):
    server = launch_tls(folder)
    tls_get(server)
    before = server.resident_kib()
    flood = record(HANDSHAKE, b"\x01\xff\xff\xff" + b"q" * 16000)
    for _ in range(20):
        with socket.create_connection(server.tls.address, timeout=5) as sock:
            try:
                for _ in range(200):
                    sock.sendall(flood)
            except OSError:
                pass
    assert server.resident_kib() - before < 16 << 10


def test_broken_record_after_the_handshake(tls_server):
    """A record that cannot be opened ends the connection with an alert; nothing is served."""
    with tls_connect(tls_server) as wire:
        assert wire.fetch("/").text == "home"
        raw = socket.socket(fileno=wire.socket.detach())
        raw.settimeout(5)
        raw.sendall(record(23, b"z" * 100, b"\x03\x03"))
        assert 0 < len(read_all(raw)) < 200
        raw.close()


def test_end_without_close_notify(tls_server):
    """Between requests that is an end like any other."""
    with tls_connect(tls_server) as wire:
        assert wire.fetch("/").text == "home"
        raw = socket.socket(fileno=wire.socket.detach())
        raw.settimeout(5)
        raw.shutdown(socket.SHUT_WR)
        read_all(raw)
        raw.close()


def test_reset_in_the_handshake(tls_server):
    for _ in range(20):
        sock = socket.create_connection(tls_server.tls.address, timeout=5)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.sendall(client_hello())
        sock.close()


def test_renegotiation_is_refused(launch_tls, folder):
    server = launch_tls(folder, "--tls-min", "1.2")
    said = s_client(server, "-tls1_2", stdin=b"R\n")
    assert "RENEGOTIATING" in said, said
    assert "no renegotiation" in said or "alert" in said, said
    assert tls_get(server).text == "home"


def test_key_updates(tls_server):
    """The client changes its keys, also before it ever asks, and wants the server to."""
    host, port = tls_server.tls.address
    client = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", HOST],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    with client:
        # Each command must be all that one read gives it; the end of its input would end it.
        for line in (b"K\n", b"k\n", b"K\n", request_bytes("GET", "/", "Connection: close")):
            client.stdin.write(line)
            client.stdin.flush()
            time.sleep(0.2)
        killer = threading.Timer(10, client.kill)
        killer.start()
        said = client.stdout.read()
        killer.cancel()
    assert said.count(b"KEYUPDATE") == 3, said
    assert b"home" in said, said


def test_slowhttptest_over_tls(launch_tls, folder):
    if not shutil.which("slowhttptest"):
        pytest.skip("slowhttptest is not installed (Debian package slowhttptest)")
    server = launch_tls(folder, "--header-timeout", "2s")
    flood = subprocess.Popen(
        ["slowhttptest", "-c", "200", "-H", "-i", "1", "-r", "200", "-l", "6", "-u",
         f"https://localhost:{server.tls.address[1]}/"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(10):
            assert tls_get(server).text == "home"
            time.sleep(0.3)
    finally:
        flood.kill()
        flood.wait()


# --- testssl.sh ---

# The backends share the TLS code: each looks at one of the two settings.
OLDEST_VERSION = {"uring": "1.3", "epoll": "1.2"}
TESTSSL_SECONDS = 100


def test_testssl(launch_tls, folder, loop, tmp_path):
    tool = shutil.which("testssl") or shutil.which("testssl.sh")
    if not tool:
        pytest.skip("testssl.sh is not installed (Debian package testssl.sh)")
    server = launch_tls(folder, "--tls-min", OLDEST_VERSION[loop])
    report = tmp_path / "report.json"
    done = subprocess.run(
        [*[tool, "--quiet", "--color", "0", "--warnings", "batch", "-n", "none"],
         *["--ip", "127.0.0.1", "--protocols", "--std", "--vulnerable", "--jsonfile", str(report)],
         f"https://{HOST}:{server.tls.address[1]}/"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=TESTSSL_SECONDS, check=False,
    )  # fmt: skip
    findings = json.loads(report.read_text())
    assert len(findings) > 30, done.stdout.decode()
    worse = [f"{finding['id']}: {finding['severity']}: {finding['finding']}"
             for finding in findings
             if finding["severity"] not in ("OK", "INFO") and finding["id"] != "engine_problem"]
    assert not worse, "\n".join(worse)
    by_id = {finding["id"]: finding["finding"] for finding in findings}
    assert "offered" in by_id["TLS1_3"] and "h2" in by_id["ALPN_HTTP2"]
    assert ("not offered" in by_id["TLS1_2"]) == (OLDEST_VERSION[loop] == "1.3")
