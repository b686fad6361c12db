"""`tarn cache`: redirects, and addresses that must not be reached."""

import pytest

from harness.origin import Origin, Serve, redirect
from harness.site import pattern

BODY = pattern(50_000, seed=21)


@pytest.fixture(scope="module")
def cache(launch_cache_module):
    return launch_cache_module("--download-retry-time", "0", "--negative-ttl", "0")


@pytest.fixture(scope="module")
def guarded(launch_cache_module):
    """As it comes: loopback is not allowed."""
    return launch_cache_module("--download-retry-time", "0", upstream_allow=None)


@pytest.fixture(scope="module")
def half_guarded(launch_cache_module):
    """One address of this machine is allowed."""
    return launch_cache_module("--download-retry-time", "0", upstream_allow="127.0.0.2/32")


@pytest.fixture(scope="module")
def elsewhere():
    """Another address of this machine."""
    with Origin(address="127.0.0.2") as started:
        yield started


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_followed(cache, origin, status):
    there = origin.add(Serve(BODY, etag='"1"', headers={"Content-Type": "text/x-there"}))
    url = origin.add(redirect(there, status))
    answer = cache.fetch(url)
    assert (answer.status, answer.body) == (200, BODY)
    assert answer.get("Content-Type") == "text/x-there" and answer.get("Location") is None
    cache.wait_idle()
    assert cache.fetch(url).x_cache == "hit"
    assert (origin.count(url), origin.count(there)) == (1, 1)


REFERENCES = {
    "absolute path": ("/a{}/b", "/there{}?x=1", "/there{}", "x=1"),
    "relative path": ("/b{}/dir/file", "../other/there{}", "/b{}/other/there{}", ""),
    "query": ("/c{}", "?v=2", "/c{}", "v=2"),
    "network path": ("/d{}", "//HOST/there{}", "/there{}", ""),
    "with a fragment": ("/e{}", "/there-e#part", "/there-e", ""),
}


@pytest.mark.parametrize("case", REFERENCES)
def test_references(cache, origin, case):
    at, location, path, query = (
        part.replace("{}", case[:3]).replace("HOST", f"127.0.0.1:{origin.port}")
        for part in REFERENCES[case]
    )
    if case == "query":
        url = origin.put(at, redirect(location), Serve(BODY))
    else:
        origin.put(path, Serve(BODY))
        url = origin.put(at, redirect(location))
    assert cache.fetch(url).body == BODY
    last = origin.requests(path)[-1].target
    assert last == path + (f"?{query}" if query else "")


def chain(origin, length):
    """The URL of the first of so many redirects to the content."""
    url = origin.add(Serve(BODY))
    for _ in range(length):
        url = origin.add(redirect(url))
    return url


def test_twenty_are_followed_and_no_more(cache, origin):
    assert cache.fetch(chain(origin, 20)).body == BODY
    assert cache.fetch(chain(origin, 21)).status == 502


def test_a_loop_ends(cache, origin):
    before = origin.count("/loop")
    url = origin.put("/loop", redirect("/loop"))
    assert cache.fetch(url).status == 502
    assert origin.count(url) - before <= 21


def test_two_that_lead_to_each_other(cache, origin):
    origin.put("/ping", redirect("/pong"))
    origin.put("/pong", redirect("/ping"))
    assert cache.fetch(origin.url("/ping")).status == 502


BAD_LOCATIONS = """ftp://127.0.0.1/x file:///etc/passwd gopher://x/ javascript:1 http:// http://:1/
    http://user:password@127.0.0.1/ http://a%00b/ http://127.0.0.1:99999/""".split()


@pytest.mark.parametrize("location", BAD_LOCATIONS)
def test_to_what_is_no_resource(cache, origin, location):
    assert cache.fetch(origin.add(redirect(location))).status == 502


def test_without_location(cache, origin):
    assert cache.fetch(origin.add(Serve(b"where?", 302))).status == 502
    assert cache.fetch(origin.add(Serve(b"choose", 300))).status == 502


def test_to_another_host(cache, origin, elsewhere):
    url = elsewhere.add(Serve(BODY))
    assert cache.fetch(origin.add(redirect(url))).body == BODY
    assert elsewhere.requests(url)[0].headers["host"] == f"127.0.0.2:{elsewhere.port}"


def test_by_name(cache, origin):
    url = origin.add(Serve(BODY))
    named = url.replace("127.0.0.1", "localhost")
    assert cache.fetch(named).body == BODY
    assert origin.requests(url)[0].headers["host"] == f"localhost:{origin.port}"


def test_an_error_behind_a_redirect(cache, origin):
    assert cache.fetch(origin.add(redirect(origin.add(Serve(b"", 404))))).status == 404


def test_revalidated_through_the_redirect(cache, origin):
    there = origin.add(Serve(BODY, etag='"1"'))
    url = origin.add(redirect(there))
    cache.fetch(url)
    cache.wait_idle()
    for _ in range(200):
        answer = cache.fetch(url, ttl="1s")
        if answer.x_cache != "hit":
            break
        origin.closed.wait(0.02)
    assert (answer.x_cache, answer.body) == ("revalidated", BODY)
    assert (origin.count(url), origin.count(there)) == (2, 2)


FORBIDDEN = """127.0.0.1 127.0.0.2 127.255.255.254 localhost [::1] 0.0.0.0 [::] 169.254.169.254
    169.254.0.1 [fe80::1] 224.0.0.1 239.255.255.250 [ff02::1] 255.255.255.255 [::ffff:127.0.0.1]
    [::ffff:169.254.169.254] [::127.0.0.1] [64:ff9b::127.0.0.1] 127.1 2130706433 0x7f000001
    0x7f.0.0.1 0177.0.0.1 127.0.0.1. localhost.""".split()
NO_HOSTS = FORBIDDEN[FORBIDDEN.index("127.1") :]  # some take these for addresses, some do not


@pytest.mark.parametrize("host", FORBIDDEN)
def test_forbidden(guarded, origin, host):
    """In every spelling: refused, or no host at all; never connected to."""
    before = origin.connection_count
    status = guarded.fetch(f"http://{host}:{origin.port}/x").status
    assert status == 403 or (host in NO_HOSTS and status in (400, 502)), status
    assert origin.connection_count == before


@pytest.mark.parametrize("host", [host for host in FORBIDDEN if host != "127.0.0.2"])
def test_redirect_to_the_forbidden(half_guarded, origin, elsewhere, host):
    """The origin may be reached, where it leads may not."""
    before = origin.connection_count
    url = elsewhere.add(redirect(f"http://{host}:{origin.port}/x"))
    status = half_guarded.fetch(url).status
    assert status == 403 or (host in NO_HOSTS and status == 502), status
    assert origin.connection_count == before
    assert half_guarded.fetch(elsewhere.add(Serve(BODY))).body == BODY


def test_only_what_is_allowed(launch_cache, origin, elsewhere):
    cache = launch_cache(upstream_allow="127.0.0.2/32,::1/128")
    url, other = elsewhere.add(Serve(BODY)), origin.add(Serve(BODY))
    assert cache.fetch(url).body == BODY
    assert cache.fetch(other).status == 403
    assert origin.count(other) == 0


def test_a_refusal_is_not_remembered_as_the_resource(launch_cache, origin):
    """A restart with another list, and it is there."""
    url = origin.add(Serve(BODY))
    cache = launch_cache(upstream_allow=None)
    assert cache.fetch(url).status == 403
    cache.stop()
    assert launch_cache(folder=cache.folder).fetch(url).body == BODY
