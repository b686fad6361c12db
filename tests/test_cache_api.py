"""`tarn cache`: routes, parameters, and what is said to those who get them wrong."""

import re

import pytest

from harness.binary import run_tarn
from harness.cache import FETCH, target
from harness.client import assert_error
from harness.origin import Serve
from harness.site import MTIME, MTIME_TEXT

BODY = b"what the origin has\n" * 50
TOKEN = "a token that nobody guesses"
MINE = {"max-ttl": "30d", "purge-token": TOKEN, "negative-ttl": "1h", "download-retry-time": "0s"}


@pytest.fixture(scope="module")
def cache(launch_cache_module):
    return launch_cache_module(*(f"--{name}={value}" for name, value in MINE.items()))


@pytest.fixture
def url(origin):
    headers = {"Content-Type": "application/x-kernel", "Set-Cookie": "a=b", "X-Mine": "1"}
    return origin.add(Serve(BODY, etag='"v1"', modified=MTIME, headers=headers))


@pytest.mark.parametrize("path", [FETCH, FETCH + "/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_resource(cache, url, path, method):
    first = cache.fetch(url, path=path, method=method)
    again = cache.fetch(url, path=path, method=method)
    for answer in (first, again):
        assert answer.status == 200
        assert answer.body == (BODY if method == "GET" else b"")
        assert answer.length == len(BODY)
        assert answer.get("Content-Type") == "application/x-kernel"
        assert answer.get("ETag") == '"v1"'
        assert answer.get("Last-Modified") == MTIME_TEXT
        assert answer.get("Accept-Ranges") == "bytes"
        assert answer.get("Set-Cookie") is None and answer.get("X-Mine") is None
    cache.wait_idle()
    assert cache.fetch(url, path=path, method=method).x_cache == "hit"


def test_head_downloads_once(cache, origin, url):
    assert cache.fetch(url, method="HEAD").x_cache == "miss"
    cache.wait_idle()
    answer = cache.fetch(url)
    assert (answer.x_cache, answer.body) == ("hit", BODY)
    assert [r.method for r in origin.requests(url)] == ["GET"]


def test_what_is_asked_upstream(cache, origin, url):
    private = ["Cookie: secret=1", "Authorization: Basic c2VjcmV0", "Accept-Encoding: gzip, br"]
    cache.fetch(url, *private, "User-Agent: me", "Referer: http://here/", "X-Mine: 2")
    (request,) = origin.requests(url)
    assert request.method == "GET"
    assert request.headers.pop("user-agent").startswith("tarn/")
    assert request.headers.pop("accept-encoding") == "identity"
    assert request.headers.pop("host") == f"{origin.host}:{origin.port}"
    request.headers.pop("connection", None)
    request.headers.pop("accept", None)
    assert request.headers == {}


def test_the_query_upstream_is_whole(cache, origin):
    path = origin.put("/q{}", Serve(BODY))
    url = path + "?a=1&b=%2F%20x&c=" + "d" * 1000
    assert cache.fetch(url).body == BODY
    assert origin.requests(url)[0].target == url[len(origin.url("")) :]


def test_resources_differ_in_their_query(cache, origin):
    url = origin.put("/q{}", Serve(b"one"), Serve(b"two"))
    assert [cache.fetch(url + query).body for query in ("?1", "?2", "?1")] == [b"one", b"two", b"one"]
    cache.wait_idle()


def test_a_fragment_names_nothing_else(cache, origin, url):
    cache.fetch(url + "#part")
    cache.wait_idle()
    assert cache.fetch(url).x_cache == "hit"
    assert origin.requests(url)[0].target == "/" + url.split("/")[3]


@pytest.mark.parametrize("path", [FETCH, FETCH + "/", FETCH + "/name"])
@pytest.mark.parametrize("query", ["", "?", "?url=", "?ttl=1d", "?URL=http://a/", "?url"])
def test_url_missing(cache, path, query):
    answer = cache.get(path + query)
    assert_error(answer, 400)
    assert "'url' should be specified" in answer.text


BAD_URLS = """ftp://a/b file:///etc/passwd //a/b /b a http:/a http:// http://:80/ https:///x
    gopher://a http://a:0/ http://a:65536/ http://a:b/ http://a%0d%0ab/ http://a/%0d%0a%zz
    http://[::1/ data:,x javascript:1 HTTP""".split()


@pytest.mark.parametrize("bad", BAD_URLS)
def test_url_bad(cache, bad):
    assert_error(cache.get(target(bad)), 400)


@pytest.mark.parametrize("bad", ["http://a/ b", "http://a/\r\nX: y", "http://a/\0", "http://a\tb/"])
def test_url_with_what_must_not_be_sent(cache, bad):
    assert_error(cache.get(target(bad)), 400)


def test_url_too_long(cache, origin, url):
    limit = 8 << 10
    fits = url + "?" + "x" * (limit - len(url) - 1)
    assert cache.fetch(fits).status == 200
    too_long = cache.get(f"{FETCH}?url={fits}x")
    assert too_long.status in (400, 414), too_long


def test_upper_case_scheme_and_host(cache, origin, url):
    cache.fetch(url)
    cache.wait_idle()
    assert cache.fetch(url.replace("http://", "HTTP://")).x_cache == "hit"
    assert origin.count(url) == 1


BAD_TTLS = "0s -1s 1 s d 1.5d 1w 1D 1ss 1d2h +1s 0x1s 10 99999999999999999999s %31".split()


@pytest.mark.parametrize("ttl", [*BAD_TTLS, "", " 1s", "1s ", "1 s"])
def test_ttl_bad(cache, origin, url, ttl):
    answer = cache.get(target(url, ttl=ttl))
    assert_error(answer, 400)
    assert answer.text.strip() == "Invalid 'ttl' value"
    assert origin.count(url) == 0


@pytest.mark.parametrize("ttl", ["1s", "90m", "24h", "10d", "030d", "4000d"])
def test_ttl_good(cache, url, ttl):
    assert cache.fetch(url, ttl=ttl).status == 200


@pytest.mark.parametrize("sha256", ["", "00", "g" * 64, "0" * 63, "0" * 65])
def test_sha256_bad(cache, origin, url, sha256):
    assert_error(cache.get(target(url, sha256=sha256)), 400)
    assert origin.count(url) == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_other_methods(cache, origin, url, method):
    answer = cache.get(target(url), "Content-Length: 0", method=method)
    assert answer.status == 405
    assert {"GET", "HEAD"} <= set(re.split(", *", answer.get("Allow")))
    assert origin.count(url) == 0


def test_no_such_route(cache):
    for path in ("/api/v1/", "/api/v1/fetched", "/api/v2/fetch", "/nothing", "/resources/none/"):
        assert cache.get(path).status == 404, path


def test_health(cache):
    for path in ("/api/v1/health/", "/api/v1/health"):
        answer = cache.get(path)
        assert (answer.status, answer.text.strip()) == (200, "ok")


NUMBERS = """timestamp disk_usage disk_usage_percent disk_quota resources_scheduled
    resources_downloading resources_successes resources_failures resources_usage
    statistics_successes statistics_failures statistics_download statistics_upload
    statistics_requests""".split()


def test_status(launch_cache, origin):
    cache = launch_cache("--quota", "1M", "--negative-ttl", "1h")
    zero = cache.figures()
    assert set(zero) == {*NUMBERS, "instance", "version"}
    assert all(zero[name] == 0 for name in NUMBERS if name not in ("timestamp", "disk_quota"))
    good, bad = origin.add(Serve(b"x" * 262144)), origin.add(Serve(b"no", 404))
    for url in (good, good, bad):
        cache.fetch(url)
        cache.wait_idle()
    cache.fetch(good, "Range: bytes=0-99")
    cache.wait_figure("statistics_successes", 1)
    cache.wait_figure("statistics_upload", 2 * 262144 + 100)
    seen = cache.figures()
    assert seen["disk_usage"] == 262144
    assert seen["disk_usage_percent"] == 25
    assert seen["disk_quota"] == 1 << 20
    assert (seen["resources_successes"], seen["resources_failures"]) == (1, 1)
    assert (seen["statistics_successes"], seen["statistics_failures"]) == (1, 1)
    assert (seen["statistics_requests"], seen["statistics_download"]) == (4, 262144)
    assert cache.get("/api/v1/status/").get("Content-Type").startswith("application/json")


def test_statistics_survive_a_restart(launch_cache, origin, url):
    cache = launch_cache()
    cache.fetch(url)
    cache.wait_figure("statistics_successes", 1)
    before = cache.figures()
    cache.stop()
    after = launch_cache(folder=cache.folder).figures()
    kept = [name for name in NUMBERS if name.startswith("statistics_")]
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert after["resources_successes"] == 1 and after["disk_usage"] == len(BODY)


def test_two_requests_on_one_connection(cache, url):
    with cache.connect() as wire:
        for _ in range(3):
            assert wire.fetch(target(url)).body == BODY


def test_upload_of_a_body_is_ignored(cache, url):
    with cache.connect() as wire:
        wire.request(target(url), "Content-Length: 5", body=b"hello")
        assert wire.read_response().body == BODY


REFUSED_OPTIONS = {
    "no directory": [["cache"], "--cache-dir"],
    "an argument": [["cache", "--cache-dir", "DIR", "site"], "'site'"],
    "bad network": [["cache", "--cache-dir", "DIR", "--allow-networks", "10.0.0.0/33"], "networks"],
    "bad proxies": [["cache", "--cache-dir", "DIR", "--trusted-proxies", "x"], "--trusted-proxies"],
    "bad upstreams": [["cache", "--cache-dir", "DIR", "--upstream-allow", "x"], "--upstream-allow"],
    "ttl above its ceiling": [
        ["cache", "--cache-dir", "DIR", "--default-ttl", "2d", "--max-ttl", "1d"], "--default-ttl"
    ],
    "bad authority": [["cache", "--cache-dir", "DIR", "--upstream-ca", "/nowhere"], "/nowhere"],
    "directory in a file": [["cache", "--cache-dir", "/dev/null/x"], "/dev/null/x"],
    "mounted without directory": [["serve", "--cache-path", "/c", "DIR"], "--cache-dir"],
    "directory without mount": [["serve", "--cache-dir", "DIR", "DIR"], "--cache-path"],
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED_OPTIONS)
def test_options_that_cannot_be(tmp_path, case):
    argv, said = REFUSED_OPTIONS[case]
    done = run_tarn(*(str(tmp_path) if word == "DIR" else word for word in argv))
    lines = [line for line in done.stderr.splitlines() if said in line]
    assert done.returncode != 0 and lines, done.stderr


def test_a_negative_answer_has_the_upstreams_status(cache, origin):
    for status in (400, 401, 403, 404, 410, 451, 501):
        url = origin.add(Serve(b"secret words of the origin", status))
        answer = cache.fetch(url)
        assert_error(answer.response, status)
        assert cache.fetch(url).status == status
        assert origin.count(url) == 1
