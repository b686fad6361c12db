"""`tarn ech-keygen`: it writes what its format says, and another implementation of ECH takes it."""

import base64
import os
import re
import shutil
import socket
import subprocess
import tempfile

import pytest

from harness.binary import TARN, clean_environment, run_tarn
from harness.server import wait_until

NAME = "cover.example.com"
BSSL = shutil.which("bssl-tool") or shutil.which("bssl")


def blocks(bundle):
    """[(label, bytes)] of a PEM text that has nothing else in it."""
    found = re.findall(r"-----BEGIN ([A-Z ]+)-----\n([^-]*)-----END \1-----\n", bundle)
    assert "".join(f"-----BEGIN {n}-----\n{t}-----END {n}-----\n" for n, t in found) == bundle
    for _, text in found:
        lines = text.splitlines()
        assert all(len(line) == 64 for line in lines[:-1]) and 0 < len(lines[-1]) <= 64
    return [(n, base64.b64decode("".join(t.split()), validate=True)) for n, t in found]


def generate(*options):
    """(private key, config, list, config id)"""
    done = run_tarn("ech-keygen", *(options or ["--public-name", NAME]))
    assert done.returncode == 0, done.stderr
    (key_label, key), (config_label, config) = blocks(done.stdout)
    assert (key_label, config_label) == ("ECH PRIVATE KEY", "ECH CONFIG")
    said = re.fullmatch(r'ech="([A-Za-z0-9+/=]+)"\nconfig_id: (0x[0-9a-f]{2})\n', done.stderr)
    assert said, done.stderr
    return key, config, base64.b64decode(said[1], validate=True), int(said[2], 16)


def test_config_is_laid_out_as_specified():
    key, config, configs, config_id = generate()
    assert len(key) == 32
    body = config[4:]
    assert config[:4] == b"\xfe\x0d" + len(body).to_bytes(2, "big")
    assert body[:5] == bytes([config_id]) + b"\x00\x20" + b"\x00\x20"
    assert body[37:43] == b"\x00\x04\x00\x01\x00\x01"
    assert body[44:] == bytes([len(NAME)]) + NAME.encode() + b"\x00\x00"
    assert configs == len(config).to_bytes(2, "big") + config


def test_every_key_is_another():
    first, second = generate(), generate()
    assert first[0] != second[0] and first[1] != second[1]
    assert len({generate()[3] for _ in range(8)}) > 1


def test_spelling_of_the_other_server():
    done = run_tarn("--gen-ech-key", "--ech-public-name", NAME)
    assert done.returncode == 0, done.stderr
    assert [label for label, _ in blocks(done.stdout)] == ["ECH PRIVATE KEY", "ECH CONFIG"]


@pytest.mark.parametrize("name", ["localhost", "a..b", "a_b.c", "192.0.2.1", "a" * 250 + ".com"])
def test_unusable_names_are_refused(name):
    done = run_tarn("ech-keygen", "--public-name", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a public name for ECH" in done.stderr and done.stderr.count("\n") == 1


def test_without_a_name():
    done = run_tarn("ech-keygen")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--public-name" in done.stderr


def test_output_that_cannot_be_written():
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [TARN, "ech-keygen", "--public-name", NAME],
            stdout=full,
            stderr=subprocess.PIPE,
            env=clean_environment(),
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == (
        b"tarn: error: ech-keygen: cannot write to standard output: No space left on device\n"
    )


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.mark.skipif(not BSSL, reason="bssl is not installed")
def test_another_server_and_client_agree_on_it(tmp_path):
    key, config, configs, _ = generate()
    for name, content in (("key", key), ("config", config), ("list", configs)):
        (tmp_path / name).write_bytes(content)
    port = str(free_port())
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [BSSL, "server", "-accept", port, "-loop"]
            + ["-ech-key", tmp_path / "key", "-ech-config", tmp_path / "config"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:

            def listens():
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", int(port))) == 0

            wait_until(listens)
            client = subprocess.run(
                [BSSL, "client", "-connect", f"127.0.0.1:{port}", "-server-name", "hidden.example"]
                + ["-ech-config-list", tmp_path / "list"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=30,
                check=False,
            )
        finally:
            server.kill()
            server.wait()
    assert b"Encrypted ClientHello: yes" in client.stdout + client.stderr, client.stderr


def test_check_takes_the_bundle(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("hello")
    keys = tmp_path / "keys"
    keys.mkdir()
    for name in ("a", "b"):
        done = run_tarn("ech-keygen", "--public-name", f"{name}.example.com")
        (keys / f"{name}.pem").write_text(done.stdout)
        os.chmod(keys / f"{name}.pem", 0o600)
    arguments = ["check", "--tls-self-signed", "--ech-key", keys, site]
    ids = {blocks((keys / f"{name}.pem").read_text())[1][1][4] for name in ("a", "b")}
    done = run_tarn(*arguments)
    assert done.returncode == (0 if len(ids) == 2 else 1), done.stderr
    (keys / "c.pem").write_text((keys / "a.pem").read_text())
    done = run_tarn(*arguments)
    assert done.returncode == 1
    assert "c.pem: line 4: ECH CONFIG: config id" in done.stderr or len(ids) == 1
