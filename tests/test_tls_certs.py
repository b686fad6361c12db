"""Which certificate a client gets, who may connect, reloads, and what is refused at start."""

import shutil
import signal
import time

import pytest

from harness.binary import run_tarn
from harness.certs import der, openssl, put_pair
from harness.client import HOST, assert_error
from harness.server import wait_until
from harness.site import replace_atomically
from harness.tls import TlsWire, client_context, curl, refused, s_client, tls_connect, tls_get
from harness.traffic import Traffic

FILES = {"index.html": "home"}
MANY = 1000


def shown(server, name):
    """DER of the certificate that a client of this name (None: without SNI) gets."""
    with tls_connect(server, name=name) as wire:
        return wire.certificate


# --- choice by name ---


@pytest.fixture(scope="module")
def leaves(ca):
    return {
        "a": ca.leaf("a.test", "www.a.test"),
        "wild": ca.leaf("*.b.test"),
        "exact": ca.leaf("x.b.test"),
        "rsa": ca.leaf("rsa.test", kind="rsa"),
        "ip": ca.leaf("ip.test", "127.0.0.1"),
        "gone": ca.ending(-9, "twice.test"),
        "zfresh": ca.leaf("twice.test"),
    }


@pytest.fixture(scope="module")
def cert_dir(leaves, tmp_path_factory):
    """A directory with pairs in two files, in one file, behind a link, and things to leave out."""
    found = tmp_path_factory.mktemp("cert-dir")
    for stem, pair in leaves.items():
        if stem == "exact":
            (found / "exact.pem").write_bytes(pair.joined())
        elif stem == "ip":
            outside = tmp_path_factory.mktemp("outside") / "ip"
            outside.write_bytes(pair.joined())
            (found / "ip.pem").symlink_to(outside)
        else:
            put_pair(found, pair, stem)
    (found / "README").write_text("not a certificate\n")
    (found / "folder").mkdir()
    return found


@pytest.fixture(scope="module")
def server(launch_tls_module, folder, cert_dir):
    return launch_tls_module(folder, cert=["--cert-dir", cert_dir])


@pytest.mark.parametrize(
    "name,stem",
    [
        ("a.test", "a"),
        ("www.a.test", "a"),
        ("WWW.A.Test", "a"),
        ("y.b.test", "wild"),
        ("x.b.test", "exact"),
        ("rsa.test", "rsa"),
        ("twice.test", "zfresh"),
    ],
)
def test_choice_by_name(server, leaves, name, stem):
    assert shown(server, name) == leaves[stem].der


@pytest.mark.parametrize("name", ["c.test", "b.test", "x.y.b.test", "a.test.evil", "test"])
def test_unknown_names_are_refused(server, name):
    assert "UNRECOGNIZED_NAME" in refused(server, name=name)


@pytest.mark.parametrize("name", [None, "127.0.0.1"])
def test_default_without_name(server, leaves, name):
    """The first file in name order; Python sends no SNI for an address."""
    assert shown(server, name) == leaves["a"].der


def test_address_as_server_name(server, leaves):
    """RFC 6066 forbids an address there; clients that do it all the same get the default."""
    assert shown_by_s_client(server, "127.0.0.1") == leaves["a"].der


def shown_by_s_client(server, name):
    return der(s_client(server, name=name))


def test_default_cert(launch_tls, folder, cert_dir, leaves):
    server = launch_tls(folder, "--default-cert", "rsa.test", cert=["--cert-dir", cert_dir])
    for name in ("c.test", "x.y.b.test", None):
        assert shown(server, name) == leaves["rsa"].der
    assert shown(server, "x.b.test") == leaves["exact"].der


def test_start_warns(server):
    said = server.stderr
    assert any("gone.pem" in line and "expired" in line for line in server.lines), said
    assert any("README" in line for line in server.lines), said


def test_key_missing_in_directory(launch_tls, folder, leaves, tmp_path):
    put_pair(tmp_path / "d", leaves["a"], "a")
    shutil.copy(leaves["rsa"].cert, tmp_path / "d" / "lonely.pem")
    server = launch_tls(folder, cert=["--cert-dir", tmp_path / "d"])
    server.wait_line("(?i)warn.*lonely.pem.*key")
    assert "UNRECOGNIZED_NAME" in refused(server, name="rsa.test")


def test_several_pairs(launch_tls, folder, leaves):
    options = [*leaves["wild"].options, *leaves["a"].options]
    server = launch_tls(folder, cert=options)
    assert shown(server, "www.a.test") == leaves["a"].der
    assert shown(server, None) == leaves["wild"].der


def test_chain(launch_tls, folder, ca):
    pair = ca.intermediate().leaf(HOST)
    server = launch_tls(folder, cert=pair.options)
    assert curl(server, "/", ca=ca.file).stdout == b"home"


def test_ip_certificate_is_verified(launch_tls, folder, ca, pair):
    server = launch_tls(folder)
    with tls_connect(server, name="127.0.0.1", context=client_context(ca.file)) as wire:
        assert wire.fetch("/", host="127.0.0.1").text == "home"


@pytest.mark.parametrize("days,said", [(-1, "expired"), (13, "expires"), (16, None)])
def test_expiry_is_a_warning(launch_tls, folder, ca, days, said):
    server = launch_tls(folder, cert=ca.ending(days, "old.test").options)
    assert tls_get(server, host="old.test", name="old.test").text == "home"
    assert any(f"{said} at" in line and "warn" in line for line in server.lines) == bool(said)


# --- hosts that the certificate does not cover ---


def test_misdirected_request(server):
    with tls_connect(server, name="x.b.test") as wire:
        assert wire.fetch("/", host="x.b.test").status == 200
        assert wire.fetch("/", host="X.B.Test:8443").status == 200
        for host in ("y.b.test", "a.test", "c.test", "127.0.0.1"):
            response = wire.fetch("/", host=host)
            assert_error(response, 421)
            if response.says_close:
                break
    with tls_connect(server, name="y.b.test") as wire:
        assert wire.fetch("/", host="z.b.test").status == 200
        assert wire.fetch("/", host="b.test").status == 421
    with tls_connect(server, name="ip.test") as wire:
        assert wire.fetch("/", host="127.0.0.1").status == 200


# --- OCSP ---


def test_ocsp_staple(launch_tls, folder, ca, tmp_path):
    pair = ca.leaf("staple.test")
    put_pair(tmp_path / "d", pair, "staple")
    (tmp_path / "d" / "staple.ocsp").write_bytes(ca.ocsp_response(pair))
    server = launch_tls(folder, cert=["--cert-dir", tmp_path / "d"])
    said = s_client(server, "-status", name="staple.test")
    assert "OCSP Response Status: successful" in said and "Cert Status: good" in said, said
    assert "OCSP" not in s_client(server, name="staple.test")


# --- client certificates ---


def test_client_certificate_required(launch_tls, folder, ca, tmp_path):
    server = launch_tls(folder, "--client-ca", ca.file)
    assert "CERTIFICATE_REQUIRED" in refused(server)
    stranger = type(ca)(tmp_path / "other", "Other root").leaf("client")
    assert "UNKNOWN_CA" in refused(server, context=client_context(pair=stranger))
    context = client_context(pair=ca.leaf("client"))
    with tls_connect(server, context=context) as wire:
        assert wire.fetch("/").text == "home"
        session = wire.session
    with tls_connect(server, context=context, session=session) as wire:
        assert wire.fetch("/").text == "home"


def test_client_certificate_requested(launch_tls, folder, ca, tmp_path):
    server = launch_tls(folder, "--client-ca", ca.file, "--client-auth", "request")
    assert tls_get(server).text == "home"
    assert tls_get(server, context=client_context(pair=ca.leaf("client"))).text == "home"
    stranger = type(ca)(tmp_path / "other", "Other root").leaf("client")
    assert "UNKNOWN_CA" in refused(server, context=client_context(pair=stranger))
    assert "Test root" in s_client(server).split("Acceptable client certificate CA names")[-1]


# --- reload ---


def reload_and_wait(server, pattern):
    after = len(server.lines)
    server.send(signal.SIGHUP)
    return server.wait_line(pattern, after=after)


@pytest.fixture
def replaceable(ca, tmp_path):
    """A pair in files of its own, and another for the same name."""
    put_pair(tmp_path, ca.leaf(HOST, stem="first"), "it")
    return tmp_path / "it.pem", tmp_path / "it.key", ca.leaf(HOST, stem="second")


def test_reload_changes_the_certificate(launch_tls, folder, replaceable, ca):
    cert, key, second = replaceable
    server = launch_tls(folder, cert=["--cert", cert, "--key", key])
    context = client_context()
    old = tls_connect(server, context=context)
    assert old.fetch("/").text == "home"
    session, before = old.session, old.certificate
    traffic = Traffic(server.tls.address, "/", 2, lambda response: response.status == 200,
                      connect=lambda address: TlsWire(address, context))  # fmt: skip
    with traffic:
        wait_until(lambda: traffic.answered > 5)
        replace_atomically(cert, second.cert.read_bytes())
        replace_atomically(key, second.key.read_bytes())
        reload_and_wait(server, "(?i)reload")
        wait_until(lambda: shown(server, HOST) == second.der, 5, "the new certificate")
        asked = traffic.answered
        wait_until(lambda: traffic.answered > asked + 5)
    traffic.assert_clean()
    assert before != second.der
    assert old.fetch("/").text == "home", "an old connection goes on"
    with tls_connect(server, context=context, session=session) as wire:
        assert wire.resumed and wire.fetch("/").text == "home"


@pytest.mark.parametrize("broken", [b"", b"nonsense\n", "key", "gone"])
def test_broken_new_certificate_keeps_the_old(launch_tls, folder, replaceable, broken):
    cert, key, second = replaceable
    server = launch_tls(folder, cert=["--cert", cert, "--key", key])
    before = shown(server, HOST)
    good = cert.read_bytes()
    if broken == "gone":
        cert.unlink()
    else:
        replace_atomically(cert, second.cert.read_bytes() if broken == "key" else broken)
    said = reload_and_wait(server, r"(?i)(error|warn).*").group()
    assert str(cert) in said or str(key) in said, said
    assert shown(server, HOST) == before
    assert tls_get(server).text == "home"
    replace_atomically(cert, good)
    reload_and_wait(server, "(?i)reload")
    assert tls_get(server).text == "home"


def test_directory_reload_adds_and_removes(launch_tls, folder, leaves, tmp_path):
    directory = tmp_path / "d"
    put_pair(directory, leaves["a"], "a")
    server = launch_tls(folder, cert=["--cert-dir", directory])
    put_pair(directory, leaves["rsa"], "rsa")
    (directory / "a.pem").unlink()
    reload_and_wait(server, "(?i)reload")
    wait_until(lambda: shown(server, None) == leaves["rsa"].der, 5, "the new certificate")
    assert "UNRECOGNIZED_NAME" in refused(server, name="a.test")


def test_a_thousand_certificates(launch_tls, folder, ca, tmp_path, slowness):
    directory = tmp_path / "d"
    directory.mkdir()
    many = ca.many(MANY)
    for name, content in many.items():
        (directory / name).write_text(content)
    start = time.monotonic()
    server = launch_tls(folder, cert=["--cert-dir", directory])
    assert time.monotonic() - start < 1.0 * slowness
    for i in (0, 1, 500, MANY - 1):
        assert shown(server, f"host{i:04}.test") == der(many[f"host{i:04}.pem"])
    (directory / "host0500.pem").unlink()
    start = time.monotonic()
    reload_and_wait(server, "(?i)reloaded|reload.*(done|ready|complete)")
    assert time.monotonic() - start < 1.0 * slowness
    assert "UNRECOGNIZED_NAME" in refused(server, name="host0500.test")


# --- what is refused at start ---


def refuse_start(folder, *options):
    """The one line that tarn says when it does not start."""
    done = run_tarn("--tls-addr", "127.0.0.1:0", *options, folder, timeout=10)
    assert done.returncode == 1, done.stderr
    lines = done.stderr.strip().splitlines()
    errors = [line for line in lines if "error" in line]
    assert len(errors) == 1 and lines[-1] == errors[0], done.stderr
    return errors[0]


def test_start_errors(folder, ca, leaves, tmp_path):
    a, rsa = leaves["a"], leaves["rsa"]
    garbage, empty, bare = tmp_path / "garbage.pem", tmp_path / "empty", tmp_path / "bare"
    garbage.write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    empty.mkdir()
    bare.write_bytes(b"")
    cases = [
        (["--cert", tmp_path / "none.pem", "--key", a.key], "none.pem"),
        (["--cert", a.cert, "--key", tmp_path / "none.key"], "none.key"),
        (["--cert", a.cert, "--key", rsa.key], str(rsa.key)),
        (["--cert", garbage, "--key", a.key], "garbage.pem"),
        (["--cert", bare, "--key", a.key], "bare"),
        (["--cert", a.key, "--key", a.key], str(a.key)),
        (["--cert", a.cert, "--key", a.cert], str(a.cert)),
        (["--cert", tmp_path, "--key", a.key], str(tmp_path)),
        (["--cert-dir", empty], str(empty)),
        (["--cert-dir", tmp_path / "nowhere"], "nowhere"),
        ([*a.options, "--client-ca", bare], "bare"),
        ([*a.options, "--client-ca", tmp_path / "none.ca"], "none.ca"),
        ([*a.options, "--default-cert", "other.test"], "other.test"),
        ([*a.options, "--ech-key", tmp_path / "none.ech"], "none.ech"),
        ([*a.options, "--ech-key", bare], "bare"),
        ([*a.options, "--ech-key", garbage], "garbage.pem"),
    ]
    for options, name in cases:
        assert name in refuse_start(folder, *options), options


def test_encrypted_key_is_refused(folder, leaves, tmp_path):
    key = tmp_path / "locked.key"
    openssl("ec", "-in", leaves["a"].key, "-aes128", "-passout", "pass:x", "-out", key)
    assert "locked.key" in refuse_start(folder, "--cert", leaves["a"].cert, "--key", key)


def test_check_reads_certificates(folder, leaves, tmp_path):
    good = run_tarn("check", *leaves["a"].options, folder)
    assert good.returncode == 0, good.stderr
    bad = run_tarn("check", "--cert", leaves["a"].cert, "--key", leaves["rsa"].key, folder)
    assert bad.returncode == 1 and str(leaves["rsa"].key) in bad.stderr
