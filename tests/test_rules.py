"""_headers, _redirects, 404.html, --spa and --browse."""

import html
import json
import re
import urllib.parse

import pytest

from harness.binary import run_tarn
from harness.client import assert_error
from harness.site import MTIME, build_site, compress, pattern, write_tar

HEADERS = """\
# comments and blank lines do not count

/*
  X-Everywhere: yes
  Referrer-Policy: no-referrer

/secure/*
  Content-Security-Policy: default-src 'self'
  X-Frame-Options: DENY

/blog/:year/:slug
  X-Blog: post

/typed.dat
  Content-Type: application/x-typed

/cached/*
  Cache-Control: public, max-age=77

/joined
  Link: </a.css>; rel=preload
  Link: </b.css>; rel=preload

/quiet.html
  ! Referrer-Policy
"""

REDIRECTS = """\
# from to status
/old            /new.html
/old302         /new.html   302
/gone           /new.html   410
/temp           /new.html   307
/perm           /new.html   308
/see            /new.html   303
/news/*         /blog/:splat  301
/user/:id       /profile.html?id=:id  302
/away           https://other.test/there  301
/store id=:id   /shop/:id  301
/rewrite/*      /target/:splat  200
/force.html     /new.html  302!
/soft.html      /new.html  302
/missing-ok     /custom404.html  404
/self           /self  200
"""

FILES = {
    "index.html": "home",
    "new.html": "new",
    "custom404.html": "custom 404",
    "secure/page.html": "secure",
    "blog/2024/hello": "post",
    "blog/2024/deep/er": "not matched",
    "typed.dat": "typed",
    "cached/a.txt": "cached",
    "joined": "joined",
    "quiet.html": "quiet",
    "force.html": "never seen",
    "soft.html": "seen",
    "target/a.txt": "target a",
    "big.bin": pattern(2 << 20),
    "_headers": HEADERS,
    "_redirects": REDIRECTS,
    "sub/_headers": "/*\n  X-Sub: not read\n",
}


@pytest.fixture(scope="module")
def server(launch_module, tmp_path_factory):
    return launch_module(build_site(tmp_path_factory.mktemp("rules") / "site", FILES))


@pytest.mark.parametrize("name", ["_headers", "_redirects"])
def test_rule_files_are_not_served(server, name):
    assert server.get("/" + name).status == 404
    assert server.get("/%5F" + name[1:]).status == 404


def test_headers_everywhere(server):
    for path in ("/", "/index.html", "/secure/page.html", "/big.bin"):
        response = server.get(path)
        assert response.get("X-Everywhere") == "yes", path
        assert response.get("Referrer-Policy") == "no-referrer", path


def test_headers_by_path(server):
    secure = server.get("/secure/page.html")
    assert secure.get("Content-Security-Policy") == "default-src 'self'"
    assert secure.get("X-Frame-Options") == "DENY"
    assert server.get("/new.html").get("X-Frame-Options") is None
    assert server.get("/blog/2024/hello").get("X-Blog") == "post"
    assert server.get("/blog/2024/deep/er").get("X-Blog") is None


def test_headers_replace_what_tarn_sets(server):
    typed = server.get("/typed.dat")
    assert typed.get("Content-Type") == "application/x-typed"
    assert server.get("/cached/a.txt").get("Cache-Control") == "public, max-age=77"


def test_headers_remove(server):
    assert server.get("/quiet.html").get("Referrer-Policy") is None
    assert server.get("/quiet.html").get("X-Everywhere") == "yes"


def test_repeated_link_lines(server):
    values = ", ".join(server.get("/joined").all("Link"))
    assert "</a.css>; rel=preload" in values and "</b.css>; rel=preload" in values


def test_headers_on_head_range_and_304(server):
    assert server.get("/secure/page.html", method="HEAD").get("X-Frame-Options") == "DENY"
    assert server.get("/secure/page.html", "Range: bytes=0-1").get("X-Frame-Options") == "DENY"
    assert server.get("/secure/page.html", "If-None-Match: *").get("X-Everywhere") == "yes"


REDIRECTED = [
    ("/old", 301, "/new.html"),
    ("/old302", 302, "/new.html"),
    ("/temp", 307, "/new.html"),
    ("/perm", 308, "/new.html"),
    ("/see", 303, "/new.html"),
    ("/news/2024/hello", 301, "/blog/2024/hello"),
    ("/news/", 301, "/blog/"),
    ("/user/42", 302, "/profile.html?id=42"),
    ("/away", 301, "https://other.test/there"),
    ("/force.html", 302, "/new.html"),
    ("/old?x=1", 301, "/new.html?x=1"),
]


@pytest.mark.parametrize("target,status,location", REDIRECTED)
def test_redirects(server, target, status, location):
    with server.connect() as wire:
        response = wire.fetch(target)
        assert response.status == status
        assert response.get("Location") == location
        assert not response.says_close
        assert wire.fetch(target, method="HEAD").get("Location") == location
        assert wire.fetch("/").text == "home"


def test_rule_without_force_yields_to_a_file(server):
    assert server.get("/soft.html").text == "seen"


def test_rule_with_a_query_needs_the_query(server):
    response = server.get("/store?id=7")
    assert response.status == 301
    assert response.get("Location").split("?")[0] == "/shop/7"
    assert server.get("/store").status == 404
    assert server.get("/store?other=7").status == 404


def test_rewrites(server):
    response = server.get("/rewrite/a.txt")
    assert (response.status, response.text) == (200, "target a")
    assert server.get("/rewrite/none.txt").status == 404
    assert server.get("/self").status in (404, 500)  # applied once, so it cannot go in circles


def test_rules_with_an_error_status(server):
    gone = server.get("/gone")
    assert (gone.status, gone.text) == (410, "new")
    missing = server.get("/missing-ok")
    assert (missing.status, missing.text) == (404, "custom 404")


def test_splat_cannot_split_the_response(server):
    response = server.get("/news/a%0d%0aX-Evil:%20yes")
    assert response.status in (301, 400)
    assert response.get("X-Evil") is None
    if response.status == 301:
        assert response.get("Location") == "/blog/a%0D%0AX-Evil:%20yes"


def test_splat_cannot_name_another_host(launch, site):
    server = launch(site({"index.html": "x", "_redirects": "/go/* /:splat 302\n"}))
    for target in ("/go//evil.test", "/go/%2Fevil.test", "/go/\\evil.test"):
        location = server.get(target).get("Location") or "/"
        assert not location.startswith(("//", "/\\")), (target, location)


def test_same_rules_in_a_tar(launch, tmp_path):
    server = launch(write_tar(tmp_path / "site.tar", FILES))
    assert server.get("/old").status == 301
    assert server.get("/").get("X-Everywhere") == "yes"
    assert server.get("/_headers").status == 404


BAD_RULES = [
    ("_headers", "/ok\n  X-A: 1\n\nno-slash\n  X-B: 2\n", 4),
    ("_headers", "/*\n  X-A: 1\n  NoColonHere\n", 3),
    ("_headers", "  X-A: 1\n", 1),
    ("_headers", "/*\n  Content-Length: 5\n", 2),
    ("_headers", "/*\n  Transfer-Encoding: chunked\n", 2),
    ("_headers", "/*\n  Bad Name: 5\n", 2),
    ("_headers", "/*\n  X-A: a\x01b\n", 2),
    ("_redirects", "/a /b\n/only-one-word\n", 2),
    ("_redirects", "# fine\n/a /b 999\n", 2),
    ("_redirects", "/a /b 301\n\n\n/c /d abc\n", 4),
    ("_redirects", "/a /b 302 Country=us\n", 1),
]


@pytest.mark.parametrize("command", ["serve", "check"])
@pytest.mark.parametrize("name,text,line", BAD_RULES)
def test_a_bad_line_is_an_error_with_its_number(site, name, text, line, command):
    folder = site({"index.html": "home", name: text})
    done = run_tarn(command, "--addr", "127.0.0.1:0", folder)
    assert done.returncode == 1
    assert name in done.stderr
    assert re.search(rf"\b(line |:){line}\b", done.stderr), done.stderr


def test_not_found_page(launch, site):
    files = {
        "index.html": "home",
        "404.html": "<h1>lost</h1>",
        **{"404.html.br": compress("br", b"<h1>lost</h1>" * 9)},
    }
    server = launch(site(files))
    with server.connect() as wire:
        response = wire.fetch("/missing")
        assert (response.status, response.text) == (404, "<h1>lost</h1>")
        assert response.get("Content-Type") == "text/html; charset=utf-8"
        assert "max-age" not in (response.get("Cache-Control") or "")
        assert not response.says_close
        head = wire.fetch("/missing", method="HEAD")
        assert head.status == 404 and head.length == len("<h1>lost</h1>")
        # A missing page is no representation: conditions and ranges do not apply to it.
        assert (
            wire.fetch("/missing", f"If-None-Match: {wire.fetch('/404.html').get('ETag')}").status
            == 404
        )
        assert wire.fetch("/missing", "Range: bytes=0-1").status == 404
        assert wire.fetch("/404.html").status == 200


NAVIGATION = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"


def test_spa(launch, site):
    server = launch(site({"index.html": "app", "a.js": "js", "dir/index.html": "dir"}), "--spa")
    for target in ("/", "/route", "/deep/er/route", "/deep/er/", "/v1.2/route", "/route?x=a.js"):
        response = server.get(target, NAVIGATION)
        assert (response.status, response.text) == (200, "app"), target
        assert response.get("Content-Type") == "text/html; charset=utf-8"
        assert response.get("Cache-Control") == "no-cache"
    assert server.get("/dir/", NAVIGATION).text == "dir"
    assert server.get("/a.js", NAVIGATION).text == "js"
    for target, headers in [
        ("/missing.js", [NAVIGATION]),
        ("/missing.png", [NAVIGATION]),
        ("/route", []),
        ("/route", ["Accept: */*"]),
        ("/api/data", ["Accept: application/json"]),
        ("/route", ["Accept: text/html;q=0, */*"]),
    ]:
        assert_error(server.get(target, *headers), 404)


def test_spa_is_conditional(launch, site):
    server = launch(site({"index.html": "app"}), "--spa")
    tag = server.get("/").get("ETag")
    assert server.get("/route", NAVIGATION, f"If-None-Match: {tag}").status == 304


def test_spa_with_a_not_found_page(launch, site):
    server = launch(site({"index.html": "app", "404.html": "lost"}), "--spa")
    assert server.get("/route", NAVIGATION).text == "app"
    response = server.get("/missing.js", NAVIGATION)
    assert (response.status, response.text) == (404, "lost")


BROWSED = {
    "pub/a.txt": "12345",
    "pub/b & <c>.txt": "x",
    "pub/sub/deep.txt": "y",
    "pub/.hidden": "no",
    "pub/app.js": "z" * 2000,
    "pub/app.js.br": compress("br", b"z" * 2000),
    "with/index.html": "index",
    "_headers": "/*\n  X-A: 1\n",
    ".well-known/x.txt": "x",
}


@pytest.fixture(scope="module")
def browse(launch_module, tmp_path_factory):
    return launch_module(
        build_site(tmp_path_factory.mktemp("browse") / "site", BROWSED), "--browse"
    )


def test_browse_html(browse):
    response = browse.get("/pub/")
    assert response.status == 200
    assert response.get("Content-Type") == "text/html; charset=utf-8"
    page = response.text
    links = {urllib.parse.unquote(html.unescape(l)) for l in re.findall(r'href="([^"]*)"', page)}
    for name in ("a.txt", "b & <c>.txt", "sub/", "app.js"):
        assert links & {name, "./" + name, "/pub/" + name}, name
    assert "<c>" not in page
    assert not any("hidden" in link or link.endswith(".br") for link in links), links
    outside = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?(https?:|//)', page)
    assert not outside, outside
    assert "prefers-color-scheme" in page


def test_browse_json(browse):
    response = browse.get("/pub/", "Accept: application/json")
    assert response.get("Content-Type").startswith("application/json")
    entries = {e["name"].rstrip("/"): e for e in json.loads(response.body)}
    assert list(entries) == ["sub", "a.txt", "app.js", "b & <c>.txt"]
    assert entries["a.txt"]["size"] == 5
    assert entries["a.txt"]["type"] == "file"
    assert entries["sub"]["type"] == "directory"
    assert entries["a.txt"]["mtime"] == "2024-01-02T03:04:05Z", MTIME


def test_browse_negotiates(browse):
    assert "accept" in browse.get("/pub/").get("Vary").lower()
    for accept, json_wanted in [
        ("text/html,*/*;q=0.8", False),
        ("*/*", False),
        ("application/json, text/html;q=0.5", True),
        ("text/html, application/json;q=0.5", False),
    ]:
        media_type = browse.get("/pub/", f"Accept: {accept}").get("Content-Type")
        assert media_type.startswith("application/json") == json_wanted, accept


def test_browse_root_hides_what_is_not_served(browse):
    names = [
        e["name"].rstrip("/") for e in json.loads(browse.get("/", "Accept: application/json").body)
    ]
    assert "pub" in names and "with" in names
    assert "_headers" not in names


def test_browse_prefers_the_index(browse):
    assert browse.get("/with/").text == "index"
    assert browse.get("/with/", "Accept: application/json").text == "index"


def test_browse_redirects_and_misses(browse):
    assert browse.get("/pub").get("Location") == "/pub/"
    assert browse.get("/nothing/").status == 404
    assert browse.get("/pub/a.txt").text == "12345"


def test_browse_pages_are_conditional(browse):
    response = browse.get("/pub/")
    assert browse.get("/pub/", f"If-None-Match: {response.get('ETag')}").status == 304
    assert response.get("Cache-Control") == "no-cache"
    assert browse.get("/pub/", method="HEAD").length == len(response.body)


def test_no_listing_without_browse(launch, site):
    server = launch(site(BROWSED))
    assert_error(server.get("/pub/"), 404)
