"""TLS clients: Python's ssl, curl, and openssl s_client."""

import re
import shutil
import socket
import ssl
import subprocess

from harness.client import HOST, Wire

HANDSHAKE = 22
ALERT = 21


def client_context(ca=None, alpn=None, pair=None, newest=None, oldest=None):
    """What a client brings. Without `ca` it trusts anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(str(ca))
    if alpn:
        context.set_alpn_protocols(alpn)
    if pair:
        context.load_cert_chain(str(pair.cert), str(pair.key))
    if newest:
        context.maximum_version = newest
    if oldest:
        context.minimum_version = oldest
    return context


class TlsWire(Wire):
    """A connection over TLS. A close without close_notify is an error, as it is for clients that
    look out for truncation."""

    def __init__(
        self, address, context=None, name=HOST, session=None, timeout=10.0, **options
    ):
        super().__init__(address, timeout, **options)
        try:
            self.socket = (context or client_context()).wrap_socket(
                self.socket, server_hostname=name, session=session, suppress_ragged_eofs=False
            )
        except BaseException:
            self.socket.close()
            raise

    def _fill(self):
        try:
            return super()._fill()
        except ssl.SSLEOFError as error:
            raise AssertionError("the connection ended without close_notify") from error

    @property
    def certificate(self):
        """DER of what the server showed."""
        return self.socket.getpeercert(binary_form=True)

    @property
    def session(self):
        return self.socket.session

    @property
    def resumed(self):
        return self.socket.session_reused


def tls_connect(server, name=HOST, listener=None, **options):
    """A TlsWire to a server; closed when the server stops."""
    wire = TlsWire((listener or server.tls).address, name=name, **options)
    server.wires.append(wire)
    return wire


def tls_get(server, path="/", *headers, host=HOST, **options):
    with tls_connect(server, **options) as wire:
        return wire.fetch(path, *headers, host=host)


def refused(server, **options):
    """The reason that OpenSSL gives for a handshake (or first answer) that must fail."""
    try:
        with tls_connect(server, **options) as wire:
            wire.fetch("/")
    except ssl.SSLError as error:
        # Python has no names for newer alerts.
        return error.reason or str(error).upper().replace(" ", "_")
    except (OSError, AssertionError) as error:
        raise AssertionError(f"ended without an alert: {error!r}") from error
    raise AssertionError("the handshake was not refused")


def curl(server, path, *options, name=HOST, ca=None, timeout=60):
    """curl to the server's TLS port as if it were `name`; the completed process, bytes."""
    port = server.tls.address[1]
    trust = ["--cacert", str(ca)] if ca else ["--insecure"]
    argv = ["curl", "--silent", "--show-error", *trust, "--resolve", f"{name}:{port}:127.0.0.1"]
    return subprocess.run(
        [*argv, *map(str, options), f"https://{name}:{port}{path}"],
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def s_client(server, *options, stdin=b"Q\n", name=HOST, timeout=20):
    """What `openssl s_client` prints."""
    host, port = server.tls.address
    names = ["-servername", name] if name else ["-noservername"]
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"{host}:{port}", *names, *map(str, options)],
        input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False,
    )  # fmt: skip
    return done.stdout.decode("utf-8", "replace")


def bssl(*options, stdin=b"", timeout=10):
    """(everything that BoringSSL's tool prints, exit code)"""
    tool = shutil.which("bssl-tool") or shutil.which("bssl")
    assert tool, "the tests need bssl-tool (Debian package android-boringssl)"
    done = subprocess.run(
        [tool, *map(str, options)], input=stdin, capture_output=True, timeout=timeout, check=False
    )
    return (done.stdout + done.stderr).decode("utf-8", "replace"), done.returncode


def client_hello(name=HOST):
    """The bytes of a ClientHello that is good in every way."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = client_context().wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def record(kind, payload, version=b"\x03\x01"):
    return bytes([kind]) + version + len(payload).to_bytes(2, "big") + payload


def alert_of(data):
    """Description of the (plain) alert that the bytes end with, or None."""
    match = re.search(rb"\x15\x03[\x01-\x03]\x00\x02[\x01\x02](.)\Z", data, re.DOTALL)
    return match.group(1)[0] if match else None


def read_all(sock):
    """Everything until the end, orderly or not."""
    data = b""
    try:
        while got := sock.recv(65536):
            data += got
    except ConnectionResetError:
        pass
    return data


def exchange_bytes(server, data, timeout=5, end=False):
    """Sends raw bytes to the TLS port; what comes until the server closes."""
    with socket.create_connection(server.tls.address, timeout=timeout) as sock:
        sock.sendall(data)
        if end:
            sock.shutdown(socket.SHUT_WR)
        return read_all(sock)
