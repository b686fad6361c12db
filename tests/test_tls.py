"""HTTP over TLS: what is served, how it is framed into records, versions, sessions, options."""

import hashlib
import re
import signal
import socket
import ssl
import subprocess
import time

import pytest

from harness.certs import Authority, openssl
from harness.client import HOST, assert_error, request_bytes
from harness.server import wait_until
from harness.site import pattern
from harness.tls import (
    TlsWire,
    bssl,
    client_context,
    curl,
    exchange_bytes,
    refused,
    s_client,
    tls_connect,
    tls_get,
)
from harness.traffic import Traffic, read_slowly

FILES = {
    "index.html": b"home",
    "small.txt": b"0123456789",
    "100k.bin": pattern(100 << 10, seed=7),
    "10m.bin": pattern(10 << 20, seed=8),
}


@pytest.mark.parametrize("name", FILES)
def test_files_to_curl(tls_either, name, ca):
    done = curl(tls_either, f"/{name}", "--http1.1", ca=ca.file)
    assert done.returncode == 0, done.stderr
    assert done.stdout == FILES[name]


def test_files_on_one_connection(tls_either, ca):
    with tls_connect(tls_either, context=client_context(ca.file)) as wire:
        assert wire.socket.version() == "TLSv1.3"
        for name in [*FILES, *FILES]:
            response = wire.fetch(f"/{name}")
            assert response.status == 200
            assert hashlib.sha256(response.body).digest() == hashlib.sha256(FILES[name]).digest()
        assert wire.fetch("/10m.bin", method="HEAD").length == 10 << 20
        assert_error(wire.fetch("/none"), 404)


def test_ranges(tls_either):
    body = FILES["10m.bin"]
    with tls_connect(tls_either) as wire:
        end = (10 << 20) - 1
        for first, last in ((0, 0), (16383, 16384), (1_000_000, 5_000_000), (end, end)):
            response = wire.fetch("/10m.bin", f"Range: bytes={first}-{last}")
            assert response.status == 206
            assert response.body == body[first : last + 1]
        response = wire.fetch("/10m.bin", "Range: bytes=5-9,70000-90000")
        assert response.status == 206
        assert body[5:10] in response.body and body[70000:90001] in response.body


def test_pipelining(tls_server):
    with tls_connect(tls_server) as wire:
        names = ["small.txt", "100k.bin", "index.html"] * 30
        wire.send(b"".join(request_bytes("GET", f"/{name}") for name in names))
        for name in names:
            assert wire.read_response().body == FILES[name]


def test_request_byte_by_byte(tls_server):
    """Each byte in a record of its own."""
    with tls_connect(tls_server) as wire:
        for byte in request_bytes("GET", "/small.txt"):
            wire.send(bytes([byte]))
        assert wire.read_response().body == b"0123456789"


def test_slow_reader(tls_server):
    with tls_connect(tls_server, receive_buffer=16384) as wire:
        wire.request("/10m.bin")
        assert wire.read_head().status == 200
        body = read_slowly(wire, 10 << 20, 1 << 16, lambda: time.sleep(0.002))
    assert body == FILES["10m.bin"]


def test_first_records_are_small(tls_server):
    """A reader can begin with the first packets; later records are as large as they may be."""
    sizes = []

    def observe(_conn, direction, _version, kind, _message, data):
        if direction == "read" and kind == 0x100 and data[0] == 23:
            sizes.append(int.from_bytes(data[3:5], "big"))

    context = client_context()
    context._msg_callback = observe  # pylint: disable=protected-access
    with tls_connect(tls_server, context=context) as wire:
        sizes.clear()
        assert wire.fetch("/10m.bin").length == 10 << 20
    assert sizes and max(sizes[:2]) <= 4500, sizes[:5]
    assert max(sizes) > 16000
    assert sum(size > 16000 for size in sizes) > len(sizes) * 0.8


def test_close_is_announced(tls_server):
    with tls_connect(tls_server) as wire:
        assert wire.fetch("/", "Connection: close").says_close
        wire.assert_closed(5)


def test_close_notify_ends_an_idle_connection(tls_server):
    with tls_connect(tls_server) as wire:
        wire.fetch("/")
        plain = wire.socket.unwrap()  # fails unless the server says close_notify, too
        plain.settimeout(5)
        assert plain.recv(1) == b""
        plain.close()


def test_big_request_head_is_refused(tls_server):
    with tls_connect(tls_server) as wire:
        wire.send(request_bytes("GET", "/", "X-Pad: " + "p" * 20000))
        assert_error(wire.read_response(), 431, close=True)


# --- versions, ciphers, sessions ---


def test_only_tls13_by_default(tls_server):
    context = client_context(newest=ssl.TLSVersion.TLSv1_2)
    assert "PROTOCOL_VERSION" in refused(tls_server, context=context)


@pytest.mark.filterwarnings("ignore:.*TLSv1.*deprecated")
def test_tls12_when_asked_for(launch_tls, folder):
    server = launch_tls(folder, "--tls-min", "1.2")
    context = client_context(newest=ssl.TLSVersion.TLSv1_2)
    with tls_connect(server, context=context) as wire:
        assert wire.socket.version() == "TLSv1.2"
        assert "GCM" in wire.socket.cipher()[0] or "CHACHA20" in wire.socket.cipher()[0]
        assert wire.fetch("/100k.bin").body == FILES["100k.bin"]
    with tls_connect(server) as wire:
        assert wire.socket.version() == "TLSv1.3"
        assert wire.fetch("/").text == "home"
    weak = client_context(newest=ssl.TLSVersion.TLSv1_2)
    weak.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0")
    assert "HANDSHAKE_FAILURE" in refused(server, context=weak)
    old = client_context(oldest=ssl.TLSVersion.TLSv1, newest=ssl.TLSVersion.TLSv1_1)
    old.set_ciphers("ALL:@SECLEVEL=0")
    assert "PROTOCOL_VERSION" in refused(server, context=old)


def has_aes():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        return re.search(r"^(flags|Features)\s*:.*\baes\b", file.read(), re.M) is not None


def test_cipher_suites(tls_server):
    """The order of browsers; with AES in the CPU the client's own order holds."""
    offer = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    expected = "TLS_AES_128_GCM_SHA256" if has_aes() else "TLS_CHACHA20_POLY1305_SHA256"
    assert f"Cipher is {expected}" in s_client(tls_server, "-ciphersuites", offer)
    for suite in ("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"):
        assert f"Cipher is {suite}" in s_client(tls_server, "-ciphersuites", suite)


def test_hello_retry(tls_server):
    """A client that begins with a group that the server does not take must be asked again."""
    said = s_client(tls_server, "-groups", "P-521:P-384:P-256:X25519", "-state")
    assert "Cipher is TLS_" in said, said


def test_alpn_choice(tls_server):
    for offer, chosen in (
        (["http/1.1"], "http/1.1"),
        (["h2", "http/1.1"], "h2"),
        (["http/1.1", "h2"], "h2"),
        (None, None),
    ):
        with tls_connect(tls_server, context=client_context(alpn=offer)) as wire:
            assert wire.socket.selected_alpn_protocol() == chosen


def resume(server, context, session):
    with tls_connect(server, context=context, session=session) as wire:
        assert wire.fetch("/").text == "home"
        return wire.resumed


def first_session(server, context):
    with tls_connect(server, context=context) as wire:
        assert not wire.resumed
        wire.fetch("/")  # tickets come before the first answer
        assert wire.session.has_ticket
        return wire.session


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_sessions_are_resumed(launch_tls, folder, version):
    server = launch_tls(folder, "--tls-min", "1.2", "--admin-addr", "127.0.0.1:0")
    newest = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}[version]
    context = client_context(newest=newest)
    session = first_session(server, context)
    # Connections land on any worker: all of them know the keys.
    assert all(resume(server, context, session) for _ in range(12))
    assert server.metric("tarn_tls_resumptions_total") == 12
    assert server.metric("tarn_tls_handshakes_total") == 13


def test_sessions_survive_a_reload(launch_tls, folder):
    server = launch_tls(folder)
    context = client_context()
    session = first_session(server, context)
    for _ in range(3):
        after = len(server.lines)
        server.send(signal.SIGHUP)
        server.wait_line("(?i)reload", after=after)
    assert resume(server, context, session)


def early(server, folder, raw, session):
    """A request as early data on a resumed session; what s_client prints."""
    data = folder / "early"
    data.write_bytes(raw)
    host, port = server.tls.address
    done = subprocess.run(
        [*["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", HOST, "-tls1_3"],
         *["-sess_in", str(session), "-early_data", str(data), "-ign_eof"]],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False,
    )  # fmt: skip
    return done.stdout.decode("latin-1")


def saved_session(server, tmp_path):
    host, port = server.tls.address
    file = tmp_path / "session"
    openssl(
        *["s_client", "-connect", f"{host}:{port}", "-servername", HOST, "-tls1_3", "-ign_eof"],
        *["-sess_out", file],
        stdin=request_bytes("GET", "/", "Connection: close"),
    )
    return file


def test_early_data(launch_tls, folder, tmp_path):
    server = launch_tls(folder, "--early-data")
    close = "Connection: close"
    session = saved_session(server, tmp_path)
    said = early(server, tmp_path, request_bytes("GET", "/small.txt", close), session)
    assert "Early data was accepted" in said, said
    assert "HTTP/1.1 200" in said and "0123456789" in said

    session = saved_session(server, tmp_path)
    raw = request_bytes("POST", "/", close, "Content-Length: 0")
    said = early(server, tmp_path, raw, session)
    assert "HTTP/1.1 425" in said, said
    session = saved_session(server, tmp_path)
    said = early(server, tmp_path, request_bytes("HEAD", "/small.txt", close), session)
    assert "HTTP/1.1 200" in said, said


def test_no_early_data_by_default(tls_server, tmp_path):
    session = saved_session(tls_server, tmp_path)
    ticket = openssl("sess_id", "-in", session, "-text", "-noout").decode()
    assert "TLSv1.3" in ticket
    assert "Max Early Data: " not in ticket or "Max Early Data: 0\n" in ticket, ticket


# --- plain HTTP beside it ---


def test_plain_http_on_the_tls_port(tls_server):
    for raw in (request_bytes("GET", "/"), b"POST / HTTP/1.1\r\n", b"OPTIONS * HTTP/1.0\r\n\r\n"):
        with tls_server.connect(tls_server.tls) as wire:
            wire.send(raw)
            response = wire.read_response()
            assert_error(response, 400, close=True)
            assert "https" in response.text
            wire.assert_closed(5)


def test_both_ports(launch_tls, folder):
    server = launch_tls(folder, plain=True)
    assert server.get("/", listener=server.plain).text == "home"
    assert tls_get(server).text == "home"


def test_redirect_to_https(launch_tls, folder):
    server = launch_tls(folder, "--redirect-http", plain=True)
    port = server.tls.address[1]
    with server.connect(server.plain) as wire:
        for target in ("/", "/a/b%20c?q=1&r=%2F", "/none?x"):
            response = wire.fetch(target, host=f"{HOST}:{server.plain.address[1]}")
            assert response.status == 308
            assert response.get("Location") == f"https://{HOST}:{port}{target}"
            assert not response.says_close
        response = wire.fetch("/x", "Content-Length: 3", method="POST", body=b"abc")
        assert response.status == 308
        assert response.get("Location") == f"https://{HOST}:{port}/x"
        assert wire.fetch("/y", host="[::1]:80").get("Location") == f"https://[::1]:{port}/y"
    assert tls_get(server).text == "home"
    with server.connect(server.plain) as wire:
        assert wire.fetch("/", host=None).status == 400
    # Probes do not follow redirects, and need no secret.
    assert server.get("/health", listener=server.plain).status == 200


# --- logs, metrics, ends ---


def test_access_log(launch_tls, folder, tmp_path):
    log = tmp_path / "access.log"
    server = launch_tls(folder, "--access-log", log)
    tls_get(server, "/small.txt?q=1")
    wait_until(lambda: log.exists() and log.read_text().count("\n") == 1)
    line = log.read_text()
    assert line.startswith("127.0.0.1:") and "/small.txt?q=1" in line and " 200 " in line, line


def failures(server, reason):
    return server.metric(f'tarn_tls_handshake_failures_total{{reason="{reason}"}}')


def test_handshakes_are_counted(launch_tls, folder, tmp_path):
    server = launch_tls(folder, "--admin-addr", "127.0.0.1:0")
    tls_get(server)
    assert server.metric("tarn_tls_handshakes_total") == 1
    refused(server, context=client_context(newest=ssl.TLSVersion.TLSv1_2))
    refused(server, name="other.test")
    exchange_bytes(server, request_bytes("GET", "/"))
    exchange_bytes(server, b"\x16\x03\x01\x00\x05hello")
    with socket.create_connection(server.tls.address) as sock:
        sock.sendall(b"\x16\x03")
    stranger = Authority(tmp_path / "other").file
    port = server.tls.address[1]
    bssl("client", "-connect", f"127.0.0.1:{port}", "-server-name", HOST, "-root-certs", stranger)
    for reason in ("version", "unrecognized_name", "plain_http", "malformed", "closed",
                   "peer_alert"):  # fmt: skip
        wait_until(lambda r=reason: failures(server, r) == 1, 5, f"a failure by {reason}")
    assert server.metric("tarn_tls_certificates") == 1
    expiry = server.metric("tarn_tls_certificate_expiry_seconds")
    assert 80 * 86400 < expiry - time.time() < 91 * 86400


def test_alert_in_the_clear_is_counted_as_the_peers(launch_tls, folder):
    """OpenSSL refuses a certificate with an alert that it does not encrypt."""
    server = launch_tls(folder, "--admin-addr", "127.0.0.1:0")
    untrusting = client_context()
    untrusting.verify_mode = ssl.CERT_REQUIRED
    with pytest.raises(ssl.SSLCertVerificationError):
        tls_connect(server, context=untrusting)
    wait_until(lambda: failures(server, "peer_alert") + failures(server, "malformed") == 1)
    assert failures(server, "peer_alert") == 1


def test_drain_finishes_downloads(launch_tls, folder):
    server = launch_tls(folder)
    wire = tls_connect(server, receive_buffer=65536)
    wire.request("/10m.bin")
    assert wire.read_head().status == 200
    idle = tls_connect(server)
    assert idle.fetch("/").status == 200
    server.send(signal.SIGTERM)
    idle.assert_closed(3)
    assert server.is_running()
    assert read_slowly(wire, 10 << 20, 1 << 20, lambda: None) == FILES["10m.bin"]
    wire.assert_closed(5)
    assert server.wait_exit(5) == 0


def test_drain_under_load(launch_tls, folder):
    server = launch_tls(folder, "--shutdown-delay", "500ms")
    context = client_context()
    traffic = Traffic(
        server.tls.address, "/100k.bin", 4, lambda response: response.status == 200,
        connect=lambda address: TlsWire(address, context),
    )  # fmt: skip
    with traffic:
        wait_until(lambda: traffic.answered > 20)
        traffic.no_new_connections.set()
        server.send(signal.SIGTERM)
        assert server.wait_exit(10) == 0
    traffic.assert_clean()
    assert traffic.bodies == {FILES["100k.bin"]}


def test_self_signed(launch_tls, folder):
    server = launch_tls(folder, cert=["--tls-self-signed"])
    said = server.wait_line(r"(?i)warn.*self-signed.*").group()
    with tls_connect(server, name="localhost") as wire:
        digest = hashlib.sha256(wire.certificate).hexdigest()
        assert wire.fetch("/", host="localhost").text == "home"
    assert digest in said.replace(":", "").lower(), "the line does not show the fingerprint"


@pytest.mark.parametrize("path", ["/", "/health"])
def test_keep_alive_ends_in_time(launch_tls, folder, path):
    server = launch_tls(folder, "--keepalive-timeout", "300ms")
    with tls_connect(server) as wire:
        assert wire.fetch(path).status == 200
        start = time.monotonic()
        wire.assert_closed(5)
        assert 0.2 < time.monotonic() - start < 3
