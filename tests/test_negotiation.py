"""Precompressed variants and Accept-Encoding (RFC 9110 section 12.5.3)."""

import subprocess

import pytest

from harness.site import build_site, compress, decompress, write_tar

TEXT = b"".join(b"function f%d() { return %d; }\n" % (i, i * i) for i in range(2000))
CODINGS = {"br": "br", "zstd": "zst", "gzip": "gz"}


def variants(name, data, codings):
    return {name: data, **{f"{name}.{CODINGS[c]}": compress(c, data) for c in codings}}


@pytest.fixture(scope="module")
def files():
    return {
        "index.html": "<p>home</p>",
        **variants("app.js", TEXT, CODINGS),
        **variants("gz-only.css", TEXT, ["gzip"]),
        "plain.txt": TEXT,
        "lonely.txt.gz": compress("gzip", TEXT),
        "archive.tar.gz": compress("gzip", b"not really a tar"),
    }


@pytest.fixture(scope="module")
def server(launch_module, tmp_path_factory, files):
    return launch_module(build_site(tmp_path_factory.mktemp("neg") / "site", files))


CHOICES = [
    (None, None),
    ("", None),
    ("gzip", "gzip"),
    ("br", "br"),
    ("zstd", "zstd"),
    ("gzip, deflate", "gzip"),
    ("gzip, deflate, br", "br"),
    ("gzip, deflate, br, zstd", "br"),
    ("gzip, zstd", "zstd"),
    ("GZIP", "gzip"),
    ("x-gzip", "gzip"),
    ("br;q=0.5, gzip;q=1.0", "gzip"),
    ("br;q=0.5,gzip;q=0.8,zstd;q=0.9", "zstd"),
    ("br;q=0, gzip", "gzip"),
    ("br;q=0.000, zstd;q=0.001", "zstd"),
    ("*", "br"),
    ("*;q=0.5, gzip", "gzip"),
    ("br;q=0, *", "zstd"),
    ("identity", None),
    ("identity;q=0, gzip;q=0.1", "gzip"),
    ("identity;q=0, *", "br"),
    ("identity, gzip;q=0.5", None),
    ("deflate", None),
    ("*;q=0, identity", None),
    ("gzip;q=0", None),
    ("gzip ; q=0.5 , br ; q=0.9", "br"),
    ("gzip;q=2, br;q=0.1", "br"),  # a malformed weight does not count
    ("gzip;q=abc", None),
    ("gz", None),
    ("brx, gzip", "gzip"),
]


@pytest.mark.parametrize("value,coding", CHOICES)
def test_choice(server, value, coding):
    headers = [] if value is None else [f"Accept-Encoding: {value}"]
    response = server.get("/app.js", *headers)
    assert response.status == 200
    assert response.get("Content-Encoding") == coding
    assert decompress(coding, response.body) == TEXT
    assert response.get("Content-Type") == "text/javascript; charset=utf-8"
    assert response.get("Vary").lower() == "accept-encoding"


def test_several_lines_are_one_list(server):
    response = server.get("/app.js", "Accept-Encoding: gzip;q=0.5", "Accept-Encoding: zstd")
    assert response.get("Content-Encoding") == "zstd"


def test_one_etag_per_variant(server):
    accepts = ["identity", "gzip", "zstd", "br"]
    tags = [server.get("/app.js", f"Accept-Encoding: {a}").get("ETag") for a in accepts]
    assert len(set(tags)) == 4
    for accept, tag in zip(accepts, tags):
        headers = [f"Accept-Encoding: {accept}", f"If-None-Match: {tag}"]
        response = server.get("/app.js", *headers)
        assert response.status == 304
        assert response.get("ETag") == tag
        assert response.get("Vary").lower() == "accept-encoding"
    other = server.get("/app.js", "Accept-Encoding: br", f"If-None-Match: {tags[1]}")
    assert other.status == 200


def test_head_of_a_variant(server):
    with server.connect() as wire:
        get = wire.fetch("/app.js", "Accept-Encoding: br")
        head = wire.fetch("/app.js", "Accept-Encoding: br", method="HEAD")
        assert head.stable_headers() == get.stable_headers()


def test_range_of_a_variant_counts_encoded_bytes(server):
    whole = server.get("/app.js", "Accept-Encoding: gzip")
    part = server.get("/app.js", "Accept-Encoding: gzip", "Range: bytes=10-19")
    assert part.status == 206
    assert part.get("Content-Encoding") == "gzip"
    assert part.get("ETag") == whole.get("ETag")
    assert part.body == whole.body[10:20]
    assert part.get("Content-Range") == f"bytes 10-19/{len(whole.body)}"


@pytest.mark.parametrize(
    "name", ["app.js.br", "app.js.zst", "app.js.gz", "lonely.txt.gz", "archive.tar.gz"]
)
def test_variants_have_their_own_name_too(server, files, name):
    response = server.get("/" + name, "Accept-Encoding: gzip, br, zstd")
    assert response.body == files[name]
    assert response.get("Content-Encoding") is None
    assert response.get("Vary") is None


def test_file_without_variants(server):
    response = server.get("/plain.txt", "Accept-Encoding: gzip, br")
    assert response.body == TEXT
    assert response.get("Content-Encoding") is None
    assert response.get("Vary") is None


def test_variant_alone_is_not_its_original(server):
    assert server.get("/lonely.txt", "Accept-Encoding: gzip").status == 404


def test_missing_coding_falls_back(server):
    response = server.get("/gz-only.css", "Accept-Encoding: br")
    assert response.get("Content-Encoding") is None
    assert response.body == TEXT
    assert response.get("Vary").lower() == "accept-encoding"


def test_variants_in_a_tar(launch, tmp_path, files):
    server = launch(write_tar(tmp_path / "site.tar", files))
    for coding in CODINGS:
        response = server.get("/app.js", f"Accept-Encoding: {coding}")
        assert response.get("Content-Encoding") == coding
        assert decompress(coding, response.body) == TEXT


def test_variants_of_a_directory_index(launch, tmp_path):
    page = b"<p>" + TEXT
    server = launch(build_site(tmp_path / "s", variants("index.html", page, ["br"])))
    response = server.get("/", "Accept-Encoding: br")
    assert response.get("Content-Encoding") == "br"
    assert decompress("br", response.body) == page


def test_variant_larger_than_the_preload_limit(launch, tmp_path, files):
    server = launch(build_site(tmp_path / "s", files), "--preload-max", "100")
    for coding in CODINGS:
        response = server.get("/app.js", f"Accept-Encoding: {coding}")
        assert decompress(coding, response.body) == TEXT


def test_precompress(launch, tmp_path):
    files = {"app.js": TEXT, "tiny.txt": "x", "photo.png": TEXT, "index.html": "<p>x"}
    folder = build_site(tmp_path / "s", files)
    server = launch(folder, "--precompress")
    for coding in CODINGS:
        response = server.get("/app.js", f"Accept-Encoding: {coding}")
        assert response.get("Content-Encoding") == coding
        assert len(response.body) < len(TEXT)
        assert decompress(coding, response.body) == TEXT
    assert server.get("/tiny.txt", "Accept-Encoding: br").get("Content-Encoding") is None
    assert server.get("/photo.png", "Accept-Encoding: br").get("Content-Encoding") is None
    assert sorted(p.name for p in folder.iterdir()) == sorted(files)
    assert launch(folder).get("/app.js", "Accept-Encoding: br").get("Content-Encoding") is None


@pytest.mark.parametrize("coding", ["br", "gzip"])
def test_curl_decodes(server, coding):
    url = server.url("/app.js")
    command = ["curl", "-sSf", "--compressed", "-H", f"Accept-Encoding: {coding}", url]
    assert subprocess.run(command, capture_output=True, check=True).stdout == TEXT
