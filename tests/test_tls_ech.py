"""Encrypted Client Hello with BoringSSL's client: accepted, refused with new keys, relayed."""

import base64
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from harness.binary import run_tarn
from harness.certs import put_pair
from harness.client import HOST, request_bytes
from harness.server import wait_until
from harness.site import build_site
from harness.tls import bssl, client_hello, exchange_bytes, tls_connect, tls_get

FILES = {"index.html": "inner home"}
PUBLIC = "public.test"
RETRY_SOURCE = Path(__file__).parent / "tools" / "ech_retry.c"
CLOSE = request_bytes("GET", "/", "Connection: close")


class Key:
    """What `tarn ech-keygen` made: a file of keys, and the list that clients want."""

    def __init__(self, folder, stem, public=PUBLIC):
        done = run_tarn("ech-keygen", "--public-name", public)
        assert done.returncode == 0, done.stderr
        self.text = done.stdout
        self.file = folder / f"{stem}.ech"
        self.file.write_text(done.stdout)
        self.value = re.search(r'ech="([A-Za-z0-9+/=]+)"', done.stderr).group(1)
        self.config_id = re.search(r"config_id: (0x[0-9a-f]{2})", done.stderr).group(1)
        self.list_file = folder / f"{stem}.list"
        self.list_file.write_bytes(base64.b64decode(self.value))


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    return Key(tmp_path_factory.mktemp("keys"), "one")


@pytest.fixture(scope="module")
def options(ca, tmp_path_factory):
    """Certificates for the secret name and for the public one."""
    directory = tmp_path_factory.mktemp("ech-certs")
    put_pair(directory, ca.leaf(HOST, stem="ech-secret"), "secret")
    put_pair(directory, ca.leaf(PUBLIC), "zpublic")
    return ["--cert-dir", directory]


def other_key(key, folder, stem):
    """A key with another config id."""
    while (made := Key(folder, stem)).config_id == key.config_id:
        pass
    return made


@pytest.fixture(scope="session")
def ech_retry(tmp_path_factory):
    """The client that tells which new keys it was given, compiled when it is needed."""
    program = tmp_path_factory.mktemp("ech-retry") / "ech_retry"
    target = subprocess.run(["cc", "-print-multiarch"], capture_output=True, text=True, check=True)
    folder = f"/usr/lib/{target.stdout.strip()}/android"
    subprocess.run(
        ["cc", "-std=gnu11", "-O1", "-isystem", "/usr/include/android", "-o", program, RETRY_SOURCE,
         f"-L{folder}", f"-Wl,-rpath,{folder}", "-lssl", "-lcrypto"], check=True,
    )  # fmt: skip

    def run(server, list_file):
        argv = [program, str(server.tls.address[1]), HOST, list_file]
        return subprocess.run(argv, capture_output=True, text=True, timeout=10, check=True).stdout

    return run


def ask(server, *more, name=HOST, ca=None):
    port = server.tls.address[1]
    trust = ["-root-certs", ca.file] if ca else []
    return bssl("client", "-connect", f"127.0.0.1:{port}", "-server-name", name, *trust, *more,
                stdin=CLOSE)  # fmt: skip


def test_keygen():
    done = run_tarn("ech-keygen", "--public-name", PUBLIC)
    blocks = re.findall(r"-----BEGIN ([A-Z ]+)-----\n(.*?)-----END \1-----\n", done.stdout, re.S)
    assert [label for label, _ in blocks] == ["ECH PRIVATE KEY", "ECH CONFIG"]
    private, config = (base64.b64decode(body) for _, body in blocks)
    assert len(private) == 32
    assert config[:2] == b"\xfe\x0d" and int.from_bytes(config[2:4], "big") == len(config) - 4
    assert PUBLIC.encode() in config
    assert run_tarn("ech-keygen", "--public-name", PUBLIC).stdout != done.stdout


@pytest.mark.parametrize("name", ["", "nodot", "a b.test", "x" * 254 + ".test"])
def test_keygen_refuses_names(name):
    done = run_tarn("ech-keygen", "--public-name", name)
    assert done.returncode != 0 and done.stdout == "" and len(done.stderr.splitlines()) == 1


def test_keygen_needs_a_name():
    assert run_tarn("ech-keygen").returncode != 0


def test_accepted(launch_tls, folder, options, key, ca):
    server = launch_tls(folder, "--ech-key", key.file, "--admin-addr", "127.0.0.1:0", cert=options)
    assert any(f'ech="{key.value}"' in line for line in server.lines), server.stderr
    said, code = ask(server, "-ech-config-list", key.list_file, ca=ca)
    assert "Encrypted ClientHello: yes" in said and "inner home" in said, said
    assert f"CN = {HOST}" in said or f"CN={HOST}" in said, said
    assert code == 0
    assert server.metric("tarn_tls_ech_accepted_total") == 1
    assert tls_get(server).text == "inner home"  # without ECH all is as ever
    assert server.metric("tarn_tls_ech_accepted_total") == 1


def test_accepted_over_h2(launch_tls, folder, options, key):
    server = launch_tls(folder, "--ech-key", key.file, cert=options)
    said, _ = ask(server, "-ech-config-list", key.list_file, "-alpn-protos", "h2")
    assert "Encrypted ClientHello: yes" in said and "ALPN protocol: h2" in said, said


def test_grease(launch_tls, folder, options, key, ca):
    server = launch_tls(folder, "--ech-key", key.file, cert=options)
    said, _ = ask(server, "-ech-grease", ca=ca)
    assert "Encrypted ClientHello: no" in said and "inner home" in said, said


def test_grease_without_keys(launch_tls, folder, options, ca):
    said, _ = ask(launch_tls(folder, cert=options), "-ech-grease", ca=ca)
    assert "inner home" in said, said


def test_stale_key_gets_the_new_ones(launch_tls, folder, options, key, ca, tmp_path, ech_retry):
    """The handshake goes through against the public name, then the client knows better."""
    stale = other_key(key, tmp_path, "stale")
    server = launch_tls(folder, "--ech-key", key.file, cert=options)
    # It has verified the certificate of the public name, or would have said so.
    said, code = ask(server, "-ech-config-list", stale.list_file, ca=ca)
    assert code != 0 and "ECH_REJECTED" in said and "inner home" not in said, said
    learnt = bytes.fromhex(ech_retry(server, stale.list_file))
    assert learnt == key.list_file.read_bytes()
    fresh = tmp_path / "learnt.list"
    fresh.write_bytes(learnt)
    assert ech_retry(server, fresh) == "accepted\n"


def test_stale_key_of_the_same_id(launch_tls, folder, options, key, tmp_path, ech_retry):
    """Ids are one byte: another key may have it by chance."""
    stale = tmp_path / "stale.list"
    data = bytearray(key.list_file.read_bytes())
    public_key = 2 + 4 + 1 + 2 + 2  # list length, version and length, id, KEM, key length
    data[public_key : public_key + 32] = (9).to_bytes(32, "little")
    stale.write_bytes(data)
    server = launch_tls(folder, "--ech-key", key.file, cert=options)
    assert bytes.fromhex(ech_retry(server, stale)) == key.list_file.read_bytes()


def test_rotation(launch_tls, folder, options, key, tmp_path):
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "a.ech").write_text(key.text)
    server = launch_tls(folder, "--ech-key", keys, cert=options)
    fresh = other_key(key, tmp_path, "fresh")
    (keys / "b.ech").write_text(fresh.text)
    after = len(server.lines)
    server.send(signal.SIGHUP)
    server.wait_line("reloaded", after=after)
    assert any('ech="' in line for line in server.lines[after:]), server.stderr
    for one in (key, fresh):
        assert "Encrypted ClientHello: yes" in ask(server, "-ech-config-list", one.list_file)[0]


def test_repeated_config_id_is_refused(folder, options, key, tmp_path):
    keys = tmp_path / "keys"
    keys.mkdir()
    for name in ("a.ech", "b.ech"):
        (keys / name).write_text(key.text)
    done = run_tarn("--tls-addr", "127.0.0.1:0", *options, "--ech-key", keys, folder)
    assert done.returncode == 1 and "b.ech" in done.stderr and key.config_id in done.stderr


# --- the relay ---


@pytest.fixture
def public_server(launch_tls, ca, tmp_path):
    """Whoever serves the public name: another tarn."""
    site = build_site(tmp_path / "public", {"index.html": "public home"})
    return launch_tls(site, cert=ca.leaf(PUBLIC).options)


@pytest.fixture
def relaying(launch_tls, folder, ca, key, public_server):
    host, port = public_server.tls.address
    return launch_tls(
        folder, "--ech-key", key.file, "--ech-relay", f"{host}:{port}",
        cert=ca.leaf(HOST, stem="ech-secret").options,
    )  # fmt: skip


def test_relay(relaying, ca):
    """A client that asks for the public name gets it, from the server that has its certificate."""
    with tls_connect(relaying, name=PUBLIC) as wire:
        assert wire.certificate == ca.leaf(PUBLIC).der
        for _ in range(3):
            assert wire.fetch("/", host=PUBLIC).text == "public home"
    assert tls_get(relaying).text == "inner home"


def test_relay_to_a_name(launch_tls, folder, ca, key, public_server):
    server = launch_tls(
        folder, "--ech-key", key.file, "--ech-relay", f"localhost:{public_server.tls.address[1]}",
        cert=ca.leaf(HOST, stem="ech-secret").options,
    )  # fmt: skip
    with tls_connect(server, name=PUBLIC) as wire:
        assert wire.fetch("/", host=PUBLIC).text == "public home"


def test_relay_of_a_hello_in_pieces(relaying):
    with socket.create_connection(relaying.tls.address, timeout=10) as sock:
        for byte in client_hello(PUBLIC):
            sock.sendall(bytes([byte]))
        assert sock.recv(1) == b"\x16"


def test_relay_leaves_decryptable_hellos_alone(relaying, key, ca):
    said, _ = ask(relaying, "-ech-config-list", key.list_file, ca=ca)
    assert "Encrypted ClientHello: yes" in said and "inner home" in said, said


def test_relay_ends_with_either_side(relaying, public_server):
    before = relaying.socket_count()
    wire = tls_connect(relaying, name=PUBLIC)
    wire.fetch("/", host=PUBLIC)
    public_server.send(signal.SIGTERM)
    wire.assert_closed(5)
    wire.close()
    wait_until(lambda: relaying.socket_count() <= before, 10, "the end of both sockets")
    assert public_server.wait_exit(5) == 0


def test_relay_without_a_target(launch_tls, folder, ca, key):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        server = launch_tls(
            folder, "--ech-key", key.file, "--ech-relay", f"127.0.0.1:{port}",
            cert=ca.leaf(HOST, stem="ech-secret").options,
        )  # fmt: skip
        assert len(exchange_bytes(server, client_hello(PUBLIC))) < 100
        assert tls_get(server).text == "inner home"


def test_no_relay(launch_tls, folder, ca, key):
    server = launch_tls(
        folder, "--ech-key", key.file, "--no-ech-relay",
        cert=ca.leaf(HOST, stem="ech-secret").options,
    )  # fmt: skip
    said, code = ask(server, name=PUBLIC)
    assert code != 0 and "UNRECOGNIZED_NAME" in said, said
