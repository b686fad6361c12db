"""`tarn cache`: who may fetch, and who may purge."""

import threading

import pytest

from harness.cache import FETCH, content_files, target, usage
from harness.client import assert_error
from harness.origin import Serve
from harness.site import pattern

BODY = pattern(100_000, seed=41)
TOKEN = "correct-horse-battery"
PAGES = ["/", "/help/", "/statistics/", "/resources/successes/", "/resources/failures/",
         "/resources/scheduled/", "/resources/downloading/"]  # fmt: skip


def fetch_from(cache, source, url, *headers, method="GET"):
    """The answer to a client at another address of this machine."""
    with cache.connect(source=source) as wire:
        return wire.fetch(target(url), *headers, method=method)


def test_allow_networks(launch_cache, origin):
    cache = launch_cache("--allow-networks", "127.0.0.2/32,127.1.0.0/16", "--purge-token", TOKEN)
    url = origin.add(Serve(BODY))
    for source in ("127.0.0.1", "127.0.0.3", "127.2.0.1"):
        for method in ("GET", "HEAD", "DELETE"):
            answer = fetch_from(
                cache, source, url, f"Authorization: Bearer {TOKEN}", method=method
            )
            assert answer.status == 403, (source, method)
    assert origin.count(url) == 0
    for source in ("127.0.0.2", "127.1.2.3"):
        assert fetch_from(cache, source, url).body == BODY
    assert fetch_from(cache, "127.0.0.1", url).status == 403, "a hit is guarded, too"
    assert origin.count(url) == 1


OUTSIDER, INSIDER, PROXY = "127.0.0.1", "127.0.0.2", "127.0.0.9"
ALLOW = ("--allow-networks", f"{INSIDER}/32")


@pytest.fixture(scope="module")
def guarded(launch_cache_module):
    return launch_cache_module(*ALLOW)


@pytest.fixture(scope="module")
def behind_proxy(launch_cache_module):
    return launch_cache_module(*ALLOW, "--trusted-proxies", f"{PROXY}/32")


SPOOFS = [
    ["X-Forwarded-For: 127.0.0.2"],
    ["X-Forwarded-For: 127.0.0.2, 127.0.0.2"],
    ["X-Forwarded-For: 127.0.0.2", "X-Forwarded-For: 127.0.0.2"],
    ["Forwarded: for=127.0.0.2"],
    ["X-Real-IP: 127.0.0.2"],
    ["X-Client-IP: 127.0.0.2"],
    ["True-Client-IP: 127.0.0.2"],
    ["CF-Connecting-IP: 127.0.0.2"],
]


def test_pages_stay_open(guarded):
    for page in (*PAGES, "/api/v1/status/", "/api/v1/health/"):
        assert guarded.get(page).status == 200, page


def test_a_bad_request_from_outside_is_forbidden(guarded):
    assert guarded.get(FETCH).status == 403
    assert guarded.get(target("ftp://x/")).status == 403


@pytest.mark.parametrize("headers", SPOOFS)
def test_nobody_is_believed(guarded, behind_proxy, origin, headers):
    """Neither without trusted proxies, nor when it is not one of them who says it."""
    url = origin.add(Serve(BODY))
    for cache in (guarded, behind_proxy):
        assert fetch_from(cache, OUTSIDER, url, *headers).status == 403
    assert origin.count(url) == 0


FORWARDED = {
    "127.0.0.2": 200,
    "10.0.0.5": 403,
    "127.0.0.2:4711": 200,
    "10.0.0.5, 127.0.0.2": 200,  # what the client said itself is no one's word
    "127.0.0.2, 10.0.0.5": 403,
    "127.0.0.2, 127.0.0.9": 200,  # one proxy behind another
    "127.0.0.2, 10.0.0.5, 127.0.0.9": 403,
    "127.0.0.2, unknown": 403,
    "unknown, 127.0.0.2": 200,
    "127.0.0.2,": 403,
    "": 403,
    "127.0.0.2 10.0.0.5": 403,
    "127.0.0.2/32": 403,
    "::ffff:127.0.0.2": 200,
    "[::1]:80": 403,
    "127.0.0.2, " * 100 + "10.0.0.5": 403,
    "x" * 4000: 403,
}


@pytest.mark.parametrize("value", FORWARDED, ids=lambda value: value[:30] or "empty")
def test_a_trusted_proxy_is_believed(behind_proxy, origin, value):
    url = origin.add(Serve(BODY))
    answer = fetch_from(behind_proxy, PROXY, url, f"X-Forwarded-For: {value}")
    assert answer.status == FORWARDED[value]


def test_two_fields_are_one_list(behind_proxy, origin):
    url = origin.add(Serve(BODY))
    said = [f"X-Forwarded-For: {INSIDER}", "X-Forwarded-For: 10.0.0.5"]
    assert fetch_from(behind_proxy, PROXY, url, *said).status == 403
    assert fetch_from(behind_proxy, PROXY, url, *reversed(said)).status == 200


def test_a_trusted_proxy_without_a_word_is_itself(launch_cache, origin):
    url = origin.add(Serve(BODY))
    trusted = ("--trusted-proxies", "127.0.0.9/32", "--allow-networks")
    assert fetch_from(launch_cache(*trusted, "127.0.0.9/32"), "127.0.0.9", url).status == 200
    assert fetch_from(launch_cache(*trusted, "127.0.0.2/32"), "127.0.0.9", url).status == 403


def test_a_client_without_an_address(launch_cache, origin, tmp_path):
    """Over a unix socket: nobody knows who it is, whatever it says of itself."""
    url = origin.add(Serve(BODY))
    path = str(tmp_path / "socket")
    cache = launch_cache("--addr", f"unix:{path}", addr=False)
    with cache.connect() as wire:
        assert wire.fetch(target(url)).body == BODY
    cache.stop()
    trusting = ("--trusted-proxies", "0.0.0.0/0", "--trusted-proxies", "::/0")
    for options in (ALLOW, (*ALLOW, *trusting)):
        cache = launch_cache("--addr", f"unix:{path}", *options, addr=False)
        with cache.connect() as wire:
            assert wire.fetch(target(url)).status == 403
            assert wire.fetch(target(url), f"X-Forwarded-For: {INSIDER}").status == 403
        cache.stop()


# Purging.


@pytest.fixture(scope="module")
def cache(launch_cache_module):
    return launch_cache_module("--purge-token", TOKEN, "--negative-ttl", "1h")


def test_purge(cache, origin):
    url = origin.add(Serve(BODY), Serve(b"new"))
    cache.fetch(url)
    cache.wait_idle()
    used, files = usage(cache.folder), content_files(cache.folder)
    assert 200 <= cache.purge(url, TOKEN).status < 300
    cache.wait_figure("disk_usage", used - len(BODY))
    assert len(content_files(cache.folder)) == len(files) - 1
    assert cache.fetch(url).body == b"new"
    assert origin.count(url) == 2


AUTHORIZATIONS = [
    [],
    ["Authorization: Bearer wrong"],
    ["Authorization: Bearer"],
    ["Authorization: Bearer "],
    [f"Authorization: Bearer {TOKEN}x"],
    [f"Authorization: Bearer {TOKEN[:-1]}"],
    [f"Authorization: Basic {TOKEN}"],
    [f"Authorization: {TOKEN}"],
    [f"X-Purge-Token: {TOKEN}"],
    ["Authorization: Bearer " + "x" * 5000],
]


@pytest.mark.parametrize("headers", AUTHORIZATIONS)
def test_purge_without_the_token(cache, origin, headers):
    url = origin.add(Serve(BODY))
    cache.fetch(url)
    cache.wait_idle()
    answer = cache.get(target(url), *headers, method="DELETE")
    assert answer.status in (401, 403)
    if answer.status == 401:
        assert answer.get("WWW-Authenticate")
    assert cache.fetch(url).x_cache == "hit"


def test_purge_when_there_is_no_token(launch_cache, origin):
    cache = launch_cache()
    url = origin.add(Serve(BODY))
    cache.fetch(url)
    cache.wait_idle()
    for headers in ([], ["Authorization: Bearer "], ["Authorization: Bearer x"]):
        assert cache.get(target(url), *headers, method="DELETE").status in (401, 403)
    assert cache.fetch(url).x_cache == "hit"


def test_the_token_in_the_environment(launch_cache, origin):
    cache = launch_cache(env={"TARN_PURGE_TOKEN": TOKEN})
    url = origin.add(Serve(BODY))
    cache.fetch(url)
    cache.wait_idle()
    assert cache.purge(url, TOKEN).status < 300


def test_purge_of_what_is_not_there(cache, origin):
    assert cache.purge(origin.add(Serve(BODY)), TOKEN).status == 404
    answer = cache.get(FETCH, f"Authorization: Bearer {TOKEN}", method="DELETE")
    assert_error(answer, 400)


def test_purge_of_an_error(cache, origin):
    url = origin.add(Serve(b"", 404), Serve(BODY))
    assert cache.fetch(url).status == 404
    assert cache.purge(url, TOKEN).status < 300
    assert cache.fetch(url).body == BODY


def test_who_reads_what_is_purged_finishes(cache, origin):
    """And its bytes are in the account until then."""
    big = pattern(16 << 20, seed=42)
    url = origin.add(Serve(big))
    cache.fetch(url)
    cache.wait_idle()
    used = usage(cache.folder)
    reader = cache.open(url)
    reader.read(1)
    assert cache.purge(url, TOKEN).status < 300
    assert reader.rest() == big[1:]
    cache.wait_figure("disk_usage", used - len(big))


def test_purge_of_what_is_coming_in(cache, origin):
    """Readers in progress finish; after that it is asked for again, or it is kept: never half."""
    gate = threading.Event()
    url = origin.add(Serve(BODY, gates={50_000: gate}), Serve(BODY))
    reader = cache.open(url)
    reader.read(50_000)
    assert cache.purge(url, TOKEN).status in (200, 202, 204, 404)
    gate.set()
    assert reader.rest() == BODY[50_000:]
    cache.wait_idle()
    assert cache.fetch(url).body == BODY
