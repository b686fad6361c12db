"""From a request target to a file: the rule for paths, and lookup."""

import pytest

from harness.client import assert_error, exchange_error, request_bytes
from harness.site import build_site, write_tar

FILES = {
    "index.html": "root",
    "a.txt": "a",
    "dir/index.html": "dir index",
    "dir/b.txt": "b",
    "dir/sub/c.txt": "c",
    "noindex/only.txt": "only",
    "with space.txt": "space",
    "plus+sign.txt": "plus",
    "100%.txt": "percent",
    "what?.txt": "question",
    "hash#.txt": "hash",
    "back\\slash.txt": "backslash",
    "semi;colon.txt": "semicolon",
    "grün/ä.txt": "umlaut",
    "日本.txt": "japan",
    "UPPER.txt": "upper",
    "a&b=c.txt": "ampersand",
    "dots...txt": "dots",
    "...": "hidden",
    "file.tar.gz": b"\x1f\x8b",
}

FOUND = [
    ("/", "root"),
    ("/index.html", "root"),
    ("/a.txt", "a"),
    ("/a.txt?", "a"),
    ("/a.txt?x=../../etc", "a"),
    ("/a.txt?x=%zz", "a"),
    ("//a.txt", "a"),
    ("///dir////b.txt", "b"),
    ("/./a.txt", "a"),
    ("/dir/../a.txt", "a"),
    ("/dir/./sub/../b.txt", "b"),
    ("/missing/../a.txt", "a"),
    ("/%61.txt", "a"),
    ("/%61%2Etxt", "a"),
    ("/dir/%2e%2e/a.txt", "a"),
    ("/dir/.%2E/a.txt", "a"),
    ("/%2e/a.txt", "a"),
    ("/dir/", "dir index"),
    ("/dir//", "dir index"),
    ("/dir/.", "dir index"),
    ("/dir/sub/..", "dir index"),
    ("/dir/..", "root"),
    ("/with%20space.txt", "space"),
    ("/plus+sign.txt", "plus"),
    ("/plus%2Bsign.txt", "plus"),
    ("/100%25.txt", "percent"),
    ("/what%3F.txt", "question"),
    ("/what%3f.txt", "question"),
    ("/hash%23.txt", "hash"),
    ("/back\\slash.txt", "backslash"),
    ("/back%5Cslash.txt", "backslash"),
    ("/semi;colon.txt", "semicolon"),
    ("/gr%C3%BCn/%c3%a4.txt", "umlaut"),
    ("/gr\xc3\xbcn/\xc3\xa4.txt", "umlaut"),  # raw UTF-8 bytes, as some clients send
    ("/%E6%97%A5%E6%9C%AC.txt", "japan"),
    ("/a&b=c.txt", "ampersand"),
    ("/dots...txt", "dots"),
]

MISSING = [
    "/missing",
    "/a.txt/",
    "/a.txt/b",
    "/A.txt",
    "/upper.txt",
    "/a",
    "/a.tx",
    "/a.txt%20",
    "/with+space.txt",
    "/100%2525.txt",  # decoded once only
    "/noindex/",
    "/dir/index",
    "/...",
    "/dir%5Cb.txt",
    "/what",
    "/x" * 1000,
    "/a.txt;v=1",
    "/%E6%97%A5",
]

REFUSED = [
    "/..",
    "/../a.txt",
    "/dir/../../a.txt",
    "/%2e%2e/a.txt",
    "/%2E%2E",
    "/.%2e/x",
    "/a%2Fb",
    "/dir%2fb.txt",
    "/%00",
    "/a.txt%00",
    "/%zz",
    "/%",
    "/%4",
    "/a%",
    "/a%2",
    "/%u0041",
    "/%ff",
    "/%c0%ae%c0%ae/a.txt",  # overlong dots
    "/%c0%af",
    "/%ed%a0%80",  # a surrogate
    "/%f4%90%80%80",  # beyond U+10FFFF
    "/%e6%97",  # a sequence cut short
    "/\xff",
    "/a#b",
    "a.txt",
    "*",
    "ftp://site.test/a.txt",
    "http://user@site.test/a.txt",
    "http://",
    "//../a.txt",
]


@pytest.fixture(scope="module")
def server(launch_module, tmp_path_factory):
    return launch_module(build_site(tmp_path_factory.mktemp("paths") / "site", FILES))


@pytest.mark.parametrize("target,expected", FOUND)
def test_found(server, target, expected):
    response = server.get(target)
    assert (response.status, response.text) == (200, expected)


@pytest.mark.parametrize("target", MISSING, ids=lambda t: t[:40])
def test_missing_keeps_the_connection(server, target):
    with server.connect() as wire:
        assert_error(wire.fetch(target), 404, close=False)
        assert wire.fetch("/a.txt").text == "a"


@pytest.mark.parametrize("target", REFUSED)
def test_refused(server, target):
    response = server.get(target)
    assert_error(response, 400)


def test_same_rules_for_a_tar(launch, tmp_path):
    server = launch(write_tar(tmp_path / "site.tar", FILES))
    with server.connect() as wire:
        for target, expected in FOUND:
            response = wire.fetch(target)
            assert (response.status, response.text) == (200, expected), target
        for target in MISSING:
            assert wire.fetch(target).status == 404, target


@pytest.mark.parametrize(
    "target,location",
    [
        ("/dir", "/dir/"),
        ("/dir?x=1&y=%20", "/dir/?x=1&y=%20"),
        ("//dir", "/dir/"),
        ("/noindex/../dir", "/dir/"),
        ("/%64ir", "/dir/"),
    ],
)
def test_directory_without_slash(server, target, location):
    with server.connect() as wire:
        for method in ("GET", "HEAD"):
            response = wire.fetch(target, method=method)
            assert response.status == 308
            assert response.get("Location") == location
            assert not response.says_close


def test_redirect_location_is_encoded(launch, tmp_path):
    files = {"ä %?#/index.html": "x", "index.html": "home"}
    server = launch(build_site(tmp_path / "s", files))
    response = server.get("/%C3%A4%20%25%3F%23")
    assert response.status == 308
    assert response.get("Location") == "/%C3%A4%20%25%3F%23/"
    assert server.get(response.get("Location")).text == "x"


@pytest.mark.parametrize(
    "target", ["//site.test", "//evil.test/..", "/\\evil.test", "//evil.test%2f"]
)
def test_no_redirect_to_another_host(server, target):
    response = server.get(target)
    location = response.get("Location") or "/"
    assert location.startswith("/") and not location.startswith(("//", "/\\"))


def test_no_redirect_for_a_directory_without_index(server):
    assert_error(server.get("/noindex"), 404)


@pytest.mark.parametrize(
    "target", ["http://site.test/a.txt", "HTTP://SITE.TEST:80/a.txt?q", "http://other.test/a.txt"]
)
def test_absolute_form(server, target):
    assert server.get(target).text == "a"


def test_absolute_form_without_a_path(server):
    assert server.get("http://site.test").text == "root"


def test_asterisk_form(server):
    with server.connect() as wire:
        response = wire.fetch("*", method="OPTIONS")
        assert response.status in (200, 204)
        assert wire.fetch("/a.txt").text == "a"


def test_authority_form_is_not_served(server):
    response = server.get("site.test:443", method="CONNECT")
    assert response.status in (400, 405, 501)


@pytest.mark.parametrize("raw", [b"/a b.txt", b"/a\tb", b"/a\x00b", b"/a\x7fb", b""])
def test_bytes_that_no_target_has(server, raw):
    exchange_error(server, b"GET " + raw + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400)


def test_other_index_names(launch, tmp_path):
    files = {"a/home.htm": "a", "b/default.html": "b", "c/index.html": "c", "index.html": "i"}
    server = launch(build_site(tmp_path / "s", files), "--index", "home.htm,default.html")
    assert server.get("/a/").text == "a"
    assert server.get("/b/").text == "b"
    assert server.get("/c/").status == 404
    assert server.get("/b").status == 308


def test_try_html(launch, tmp_path):
    files = {
        "index.html": "home",
        "about.html": "about",
        "dir/index.html": "dir",
        "dir.html": "not me",
        "exact": "exact",
        "exact.html": "not me either",
        "dir/page.html": "page",
    }
    folder = build_site(tmp_path / "s", files)
    server = launch(folder, "--try-html")
    response = server.get("/about")
    assert (response.status, response.text) == (200, "about")
    assert response.get("Content-Type") == "text/html; charset=utf-8"
    assert server.get("/about.html").text == "about"
    assert server.get("/dir/page").text == "page"
    assert server.get("/exact").text == "exact"
    assert server.get("/dir").status == 308
    assert server.get("/about/").status == 404
    assert launch(folder).get("/about").status == 404


def test_many_files_do_not_get_mixed_up(launch, tmp_path):
    """A lookup that trusted a hash alone would serve the wrong file."""
    files = {f"{i % 97}/{i}.txt": f"content {i}" for i in range(3000)}
    server = launch(write_tar(tmp_path / "many.tar", files))
    with server.connect() as wire:
        for start in range(0, 3000, 200):
            pieces = [request_bytes("GET", f"/{i % 97}/{i}.txt") for i in range(start, start + 200)]
            wire.send(b"".join(pieces))
            for i in range(start, start + 200):
                assert wire.read_response().text == f"content {i}"
        assert wire.fetch("/0/1.txt").status == 404


def test_media_types(launch, tmp_path):
    expected = {
        "a.html": "text/html; charset=utf-8",
        "a.HTM": "text/html; charset=utf-8",
        "a.css": "text/css; charset=utf-8",
        "a.js": "text/javascript; charset=utf-8",
        "a.mjs": "text/javascript; charset=utf-8",
        "a.json": "application/json; charset=utf-8",
        "a.txt": "text/plain; charset=utf-8",
        "a.svg": "image/svg+xml",
        "a.png": "image/png",
        "a.jpeg": "image/jpeg",
        "a.webp": "image/webp",
        "a.avif": "image/avif",
        "a.ico": "image/",
        "a.woff2": "font/woff2",
        "a.wasm": "application/wasm",
        "a.pdf": "application/pdf",
        "a.mp4": "video/mp4",
        "a.webm": "video/webm",
        "a.webmanifest": "application/manifest+json",
        "a.tar.gz": "application/gzip",
        "unknown.zzz": "application/octet-stream",
        "LICENSE": "text/plain",
    }
    server = launch(build_site(tmp_path / "s", {name: "x" for name in expected}))
    with server.connect() as wire:
        for name, media_type in expected.items():
            got = wire.fetch("/" + name).get("Content-Type")
            assert got.startswith(media_type), (name, got)


def test_cache_control_by_kind_of_file(launch, tmp_path):
    expected = {
        "index.html": "no-cache",
        "app.3f9a1c2b.js": "public, max-age=31536000, immutable",
        "style-0a1b2c3d4e.css": "public, max-age=31536000, immutable",
        "app.js": "public, max-age=3600",
        "jquery-3.7.1.min.js": "public, max-age=3600",
        "photo.jpg": "public, max-age=3600",
    }
    folder = build_site(tmp_path / "s", {name: "x" for name in expected})
    server = launch(folder)
    for name, value in expected.items():
        assert server.get("/" + name).get("Cache-Control") == value, name
    assert "max-age" not in (server.get("/none.3f9a1c2b.js").get("Cache-Control") or "")
    fixed = launch(folder, "--cache-control", "private, max-age=7")
    for name in expected:
        assert fixed.get("/" + name).get("Cache-Control") == "private, max-age=7", name
    assert "max-age" not in (fixed.get("/missing").get("Cache-Control") or "")
