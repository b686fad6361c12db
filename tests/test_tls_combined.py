"""Client certificates, session tickets, Encrypted Client Hello and HTTP/2, used together."""

import base64
import os
import re
import shutil
import signal
import subprocess

import pytest

from harness.binary import run_tarn
from harness.certs import Authority, put_pair
from harness.client import HOST
from harness.h2client import H2Client
from harness.server import wait_until
from harness.site import pattern
from harness.tls import client_context, refused, tls_connect

PUBLIC = "public.test"
FILES = {"index.html": "home", "100k.bin": pattern(100 << 10, seed=11)}


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    """The authority that clients' certificates come from; not that of the server."""
    return Authority(tmp_path_factory.mktemp("clients"), "Client root")


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("strangers"), "Strange root")


@pytest.fixture
def server(launch_tls, folder, clients):
    """Serves nobody without a certificate."""
    return launch_tls(folder, "--client-ca", clients.file, "--admin-addr", "127.0.0.1:0")


def h2_context(pair=None):
    return client_context(alpn=["h2"], pair=pair)


def visit(server, context, session=None):
    """(session, whether it was resumed) of a connection that was served over HTTP/2."""
    with tls_connect(server, context=context, session=session) as wire:
        assert wire.socket.selected_alpn_protocol() == "h2"
        client = H2Client(wire.socket)
        page, large = client.request("/"), client.request("/100k.bin")
        assert client.wait(page).body == b"home"
        assert client.wait(large).body == FILES["100k.bin"]
        return wire.session, wire.resumed


def reload(server):
    after = len(server.lines)
    server.send(signal.SIGHUP)
    server.wait_line("reloaded", after=after)


def failures(server, reason):
    return server.metric(f'tarn_tls_handshake_failures_total{{reason="{reason}"}}')


class BsslSocket:
    """BoringSSL's client as the socket of an H2Client: what it sends and receives is plain."""

    def __init__(self, server, *options, pair=None, name=HOST):
        tool = shutil.which("bssl-tool") or shutil.which("bssl")
        assert tool, "the tests need bssl-tool (Debian package android-boringssl)"
        certificate = ["-cert", pair.cert, "-key", pair.key] if pair else []
        argv = [tool, "client", "-connect", f"127.0.0.1:{server.tls.address[1]}",
                "-server-name", name, "-alpn-protos", "h2", *certificate, *options]  # fmt: skip
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            list(map(str, argv)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def sendall(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def recv(self, size):
        return os.read(self.process.stdout.fileno(), size)

    def end(self):
        """What it has said of the connection."""
        try:
            _, said = self.process.communicate(timeout=10)
        finally:
            self.process.kill()
        return said.decode("utf-8", "replace")


def bssl_visit(server, *options, **more):
    """What bssl says of a connection that was served over HTTP/2."""
    sock = BsslSocket(server, *options, **more)
    try:
        client = H2Client(sock)
        assert client.fetch("/").body == b"home"
        assert client.fetch("/100k.bin").body == FILES["100k.bin"]
    finally:
        said = sock.end()
    assert "ALPN protocol: h2" in said, said
    return said


def bssl_refused(server, *options, **more):
    """What bssl says of a connection on which nothing was served."""
    sock = BsslSocket(server, *options, **more)
    received = sock.recv(65536)
    said = sock.end()
    assert received == b"", said
    return said


# --- tickets and client certificates ---


def test_resumption_over_h2(server, clients):
    context = h2_context(clients.leaf("client"))
    session, resumed = visit(server, context)
    assert not resumed and session.has_ticket
    assert all(visit(server, context, session)[1] for _ in range(8))
    assert server.metric("tarn_tls_resumptions_total") == 8
    assert server.metric("tarn_tls_handshakes_total") == 9


def test_a_ticket_stands_for_the_certificate(server, clients, tmp_path):
    """No certificate goes over the wire when a session is resumed: the server knows the client
    from the ticket. Without both it serves nobody."""
    file = tmp_path / "session"
    said = bssl_visit(server, "-session-out", file, pair=clients.leaf("client"))
    assert "Resumed session: no" in said, said
    assert "Resumed session: yes" in bssl_visit(server, "-session-in", file)
    assert "CERTIFICATE_REQUIRED" in bssl_refused(server)
    wait_until(lambda: failures(server, "client_certificate") == 1)


def test_a_ticket_of_nobody_opens_nothing_stricter(launch_tls, folder, server, clients):
    lax = launch_tls(folder, "--client-ca", clients.file, "--client-auth", "request")
    context = h2_context()
    session, _ = visit(lax, context)
    assert visit(lax, context, session)[1]
    assert "CERTIFICATE_REQUIRED" in refused(server, context=context, session=session)
    assert server.metric("tarn_tls_resumptions_total") == 0


def test_tickets_outlive_a_reload(server, clients):
    context = h2_context(clients.leaf("client"))
    session, _ = visit(server, context)
    for _ in range(2):
        reload(server)
        session, resumed = visit(server, context, session)
        assert resumed
    assert "CERTIFICATE_REQUIRED" in refused(server, context=h2_context())


def test_tickets_do_not_outlive_their_authority(launch_tls, folder, clients, strangers, tmp_path):
    """The same process and the same ticket keys, but others are trusted now."""
    bundle = tmp_path / "clients.pem"
    shutil.copy(clients.file, bundle)
    server = launch_tls(folder, "--client-ca", bundle, "--admin-addr", "127.0.0.1:0")
    known, stranger = h2_context(clients.leaf("client")), h2_context(strangers.leaf("client"))
    session, _ = visit(server, known)
    assert "UNKNOWN_CA" in refused(server, context=stranger)
    shutil.copy(strangers.file, bundle)
    reload(server)
    assert "UNKNOWN_CA" in refused(server, context=known, session=session)
    assert not visit(server, stranger)[1]
    assert server.metric("tarn_tls_resumptions_total") == 0


# --- and Encrypted Client Hello ---


class EchServer:
    """What `tarn ech-keygen` made, in a directory, and a server with it that demands certificates."""

    def __init__(self, launch_tls, folder, ca, clients, place):
        self.place = place
        (place / "keys").mkdir()
        self.list_file = self.add_key("a")
        put_pair(place / "certs", ca.leaf(HOST, stem="combined-secret"), "secret")
        put_pair(place / "certs", ca.leaf(PUBLIC), "zpublic")
        self.server = launch_tls(
            folder, "--ech-key", place / "keys", "--client-ca", clients.file,
            "--admin-addr", "127.0.0.1:0", cert=["--cert-dir", place / "certs"],
        )  # fmt: skip
        self.pair = clients.leaf("client")
        self.trust = ["-root-certs", ca.file]

    def add_key(self, stem):
        """Makes a key; the list of it that a client wants."""
        taken = [file.read_text() for file in (self.place / "keys").iterdir()]
        while True:
            made = run_tarn("ech-keygen", "--public-name", PUBLIC)
            assert made.returncode == 0, made.stderr
            if not any(self._config_id(made.stdout) == self._config_id(text) for text in taken):
                break
        (self.place / "keys" / f"{stem}.ech").write_text(made.stdout)
        value = re.search(r'ech="([A-Za-z0-9+/=]+)"', made.stderr).group(1)
        list_file = self.place / f"{stem}.list"
        list_file.write_bytes(base64.b64decode(value))
        return list_file

    @staticmethod
    def _config_id(text):
        config = re.search(r"-----BEGIN ECH CONFIG-----\n(.*?)-----END", text, re.S).group(1)
        return base64.b64decode(config)[4]

    def visit(self, *options, keys=None):
        keys = keys or self.list_file
        said = bssl_visit(
            self.server, "-ech-config-list", keys, *self.trust, *options, pair=self.pair
        )
        assert "Encrypted ClientHello: yes" in said, said
        return said


@pytest.fixture
def ech(launch_tls, folder, ca, clients, tmp_path):
    return EchServer(launch_tls, folder, ca, clients, tmp_path)


def test_everything_together(ech, tmp_path):
    file = tmp_path / "session"
    assert "Resumed session: no" in ech.visit("-session-out", file)
    assert "Resumed session: yes" in ech.visit("-session-in", file)
    assert ech.server.metric("tarn_tls_ech_accepted_total") == 2
    assert ech.server.metric("tarn_tls_resumptions_total") == 1


def test_everything_together_over_reloads(ech, tmp_path):
    """A new key beside the old one: both open, and the ticket goes with either."""
    file = tmp_path / "session"
    ech.visit("-session-out", file)
    fresh = ech.add_key("b")
    reload(ech.server)
    assert "Resumed session: yes" in ech.visit("-session-in", file)
    assert "Resumed session: yes" in ech.visit("-session-in", file, keys=fresh)


def test_ech_does_not_stand_for_a_certificate(ech, strangers):
    options = ["-ech-config-list", ech.list_file, *ech.trust]
    assert "CERTIFICATE_REQUIRED" in bssl_refused(ech.server, *options)
    assert "UNKNOWN_CA" in bssl_refused(ech.server, *options, pair=strangers.leaf("client"))
    wait_until(lambda: failures(ech.server, "client_certificate") == 2)


def test_a_ticket_goes_with_and_without_ech(ech, tmp_path):
    """It is bound to the name that was asked for, in whichever hello that stood."""
    file = tmp_path / "session"
    ech.visit("-session-out", file)
    said = bssl_visit(ech.server, "-session-in", file, *ech.trust)
    assert "Encrypted ClientHello: no" in said and "Resumed session: yes" in said, said


def test_a_refused_ech_serves_nothing(ech):
    """The client sees that its key is old, and shows its certificate to nobody."""
    stale = ech.add_key("stale")
    (ech.place / "keys" / "stale.ech").unlink()
    said = bssl_refused(ech.server, "-ech-config-list", stale, *ech.trust, pair=ech.pair)
    assert "ECH_REJECTED" in said, said
    assert ech.server.metric("tarn_tls_ech_accepted_total") == 0
    ech.visit()
