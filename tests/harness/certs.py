"""Certificates by the openssl command: authorities, leaves, and broken ones.

Everything lies in one folder; a name is made once. Keys are ECDSA P-256 unless told otherwise.
"""

import base64
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

DAY = 86400
UTC_TIME = re.compile(rb"\x17\x0d\d{12}Z")

CONFIG = """\
[req]
distinguished_name = dn
prompt = no
[dn]
CN = {name}
[v3]
subjectKeyIdentifier = hash
{extensions}
"""
AUTHORITY = "basicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign"
LEAF = (
    "basicConstraints = critical,CA:FALSE\nkeyUsage = critical,digitalSignature\n"
    "extendedKeyUsage = serverAuth,clientAuth"
)


def openssl(*argv, stdin=None, timeout=20, check=True):
    """Runs the openssl command; its standard output as bytes."""
    assert shutil.which("openssl"), "the tests need openssl"
    done = subprocess.run(
        ["openssl", *map(str, argv)], input=stdin, capture_output=True, timeout=timeout, check=False
    )
    assert not check or done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout


def alternative_name(name):
    return ("IP:" if re.fullmatch(r"[0-9.]+|[0-9a-f:]*:[0-9a-f:]*", name) else "DNS:") + name


def pem(der, label="CERTIFICATE"):
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n"


def der(pem_text):
    body = pem_text.split("-----BEGIN CERTIFICATE-----")[1].split("-----END")[0]
    return base64.b64decode(body)


@dataclass(frozen=True)
class Pair:
    """Files of a certificate (with its chain behind it) and its key."""

    cert: Path
    key: Path

    @property
    def options(self):
        return ["--cert", self.cert, "--key", self.key]

    @property
    def der(self):
        return der(self.cert.read_text())

    def joined(self):
        """Content of one file with both."""
        return self.cert.read_bytes() + self.key.read_bytes()


class Authority:
    """A root with what it has signed; `intermediate` makes another that signs in its name."""

    def __init__(self, folder, name="Test root", parent=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.parent = parent
        self.made = {}
        self.pair = self._make("ca", name, AUTHORITY, parent)

    @property
    def file(self):
        """What clients trust."""
        return self.pair.cert

    def _make(self, stem, name, extensions, signer, kind="ec"):
        key, cert = self.folder / f"{stem}.key", self.folder / f"{stem}.pem"
        config = self.folder / f"{stem}.cnf"
        config.write_text(CONFIG.format(name=name, extensions=extensions))
        new_key = {
            "ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
            "rsa": ["-newkey", "rsa:2048"],
        }[kind]
        signing = ["-CA", signer.pair.cert, "-CAkey", signer.pair.key] if signer else []
        openssl(
            *["req", "-x509", *new_key, "-nodes", "-days", "90", "-sha256", "-config", config],
            *["-extensions", "v3", "-keyout", key, "-out", cert, *signing],
        )
        return Pair(cert, key)

    def intermediate(self, name="Test intermediate"):
        return Authority(self.folder / name.replace(" ", "-"), name, parent=self)

    def leaf(self, *names, kind="ec", stem=None):
        """A certificate for these names, with the intermediate (if any) behind it in the file."""
        stem = stem or f"{kind}-" + "-".join(names).replace("*", "any").replace(":", "_")
        if stem not in self.made:
            alternatives = ",".join(map(alternative_name, names))
            extensions = LEAF + (f"\nsubjectAltName = {alternatives}" if names else "")
            pair = self._make(stem, names[0] if names else stem, extensions, self, kind)
            if self.parent:
                pair.cert.write_bytes(pair.cert.read_bytes() + self.pair.cert.read_bytes())
            self.made[stem] = pair
        return self.made[stem]

    def ending(self, days, *names):
        """As `leaf`, but it was made a year ago, and ends after so many days (< 0: has ended). Its
        signature is wrong then: the server has no reason to check it."""
        pair = self.leaf(*names, stem=f"ending-{days}-{names[0]}")
        now = time.time()
        moments = [time.gmtime(now - 365 * DAY), time.gmtime(now + days * DAY)]
        times = iter(time.strftime("%y%m%d%H%M%SZ", moment).encode() for moment in moments)
        changed = UTC_TIME.sub(lambda _: b"\x17\x0d" + next(times), pair.der, count=2)
        pair.cert.write_text(pem(changed))
        return pair

    def many(self, count):
        """{file name: content}: certificates for host0000.test and so on, with the key in each
        file. One is signed, the others differ from it in the name only: no server looks at the
        signature of its own."""
        model = self.leaf("host0000.test")
        key, data = model.key.read_text(), model.der
        assert data.count(b"host0000.test") == 2
        return {
            f"host{i:04}.pem": pem(data.replace(b"host0000", b"host%04d" % i)) + key
            for i in range(count)
        }

    def ocsp_response(self, pair):
        """An OCSP response (DER) that says that the certificate is good."""
        serial = openssl("x509", "-in", pair.cert, "-noout", "-serial").decode().split("=")[1]
        index = self.folder / "index.txt"
        index.write_text(f"V\t400101000000Z\t\t{serial.strip()}\tunknown\t/CN=x\n")
        request, response = self.folder / "ocsp.req", self.folder / "ocsp.resp"
        mine = ["-issuer", self.pair.cert, "-cert", pair.cert]
        openssl("ocsp", *mine, "-no_nonce", "-reqout", request)
        openssl(
            *["ocsp", "-index", index, "-CA", self.pair.cert, "-rsigner", self.pair.cert],
            *["-rkey", self.pair.key, "-reqin", request, "-respout", response, "-ndays", "7"],
        )
        return response.read_bytes()


def put_pair(folder, pair, stem):
    """Copies a pair into a --cert-dir as STEM.pem and STEM.key."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(pair.cert, folder / f"{stem}.pem")
    shutil.copy(pair.key, folder / f"{stem}.key")
