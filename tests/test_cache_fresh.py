"""`tarn cache`: what is fresh for whom, what happens after that, and what a restart keeps."""

import threading

import pytest

from harness.cache import age_entries, usage
from harness.origin import Origin, Raw, Serve
from harness.server import wait_until
from harness.site import MTIME, MTIME_TEXT

OLD, NEW = b"the old one\n" * 40, b"the newer one\n" * 30
DAY = 86400


def stored(cache, url, **more):
    """Fetches it and waits until it is there."""
    answer = cache.fetch(url, **more)
    assert answer.status == 200
    cache.wait_idle()
    return answer


def aged(cache, launch_cache, seconds, *args):
    """Ends the cache, and starts another one in which everything is so much older."""
    cache.stop()
    age_entries(cache.folder, seconds)
    return launch_cache(*args, folder=cache.folder)


@pytest.fixture(scope="module")
def cache(launch_cache_module):
    """No second attempts, so that a failure is one at once."""
    return launch_cache_module("--download-retry-time", "0", "--negative-ttl", "1s")


LARGE = bytes(1000) * 20_000
KINDS = {
    "large": Serve(LARGE, etag='"1"'),
    "dated": Serve(OLD, modified=MTIME),
    "bare": Serve(OLD),
    "tagged": Serve(OLD, etag='"1"', modified=MTIME),
}


class Aged:
    """What is in the cache and more than a second old: too old for ttl=1s."""

    def __init__(self, cache, origin):
        self.urls = {kind: origin.add(serve) for kind, serve in KINDS.items() if kind != "tagged"}
        self.tagged = [origin.add(KINDS["tagged"]) for _ in range(10)]
        with Origin() as gone:
            self.urls["gone"] = gone.add(KINDS["tagged"])
            for url in (*self.urls.values(), *self.tagged):
                stored(cache, url)
        wait_until(lambda: cache.fetch(self.tagged[-1]).age >= 2, 10, "an age of two seconds")

    def pop(self, kind="tagged"):
        return self.tagged.pop() if kind == "tagged" else self.urls.pop(kind)


@pytest.fixture(scope="module")
def second_old(cache, origin):
    return Aged(cache, origin)


def test_miss_then_hit_with_age(cache, origin):
    gate = threading.Event()
    url = origin.add(Serve(OLD, gates={10: gate}))
    first, second = cache.open(url), cache.open(url)
    assert (first.x_cache, second.x_cache) == ("miss", "stream")
    assert first.age == second.age == 0
    gate.set()
    assert first.rest() == second.rest() == OLD
    cache.wait_idle()
    again = cache.fetch(url)
    assert (again.x_cache, again.body) == ("hit", OLD)
    assert 0 <= again.age < 30
    assert origin.count(url) == 1


def test_a_short_ttl_is_for_that_request_only(cache, origin, second_old):
    url = second_old.pop()
    assert cache.fetch(url, ttl="1h").x_cache == "hit"
    assert cache.fetch(url).x_cache == "hit"
    answer = cache.fetch(url, ttl="1s")
    assert (answer.x_cache, answer.body) == ("revalidated", OLD)
    assert [r.headers.get("if-none-match") for r in origin.requests(url)] == [None, '"1"']


def test_renewed_is_young_again(cache, origin, second_old):
    url = second_old.pop()
    assert cache.fetch(url).age >= 2
    assert cache.fetch(url, ttl="1s").age <= 1
    assert cache.fetch(url).age <= 1
    assert origin.count(url) == 2
    wait_until(lambda: origin.sent(url) == len(OLD), 5, "all that was sent")


def test_last_modified_is_enough_to_ask(cache, origin, second_old):
    url = second_old.pop("dated")
    assert cache.fetch(url, ttl="1s").x_cache == "revalidated"
    assert origin.requests(url)[1].headers.get("if-modified-since") == MTIME_TEXT
    assert cache.fetch(url).body == OLD


def test_without_validators_it_is_fetched_again(cache, origin, second_old):
    url = second_old.pop("bare")
    origin.change(url, Serve(NEW))
    assert cache.fetch(url, ttl="1s").x_cache == "miss"
    cache.wait_idle()
    assert cache.fetch(url).body == NEW


def test_a_new_version_replaces_the_old(cache, origin, second_old):
    url = second_old.pop()
    origin.change(url, Serve(NEW, etag='"2"'))
    before = usage(cache.folder)
    answer = cache.fetch(url, ttl="1s")
    assert (answer.x_cache, answer.body, answer.get("ETag")) == ("miss", NEW, '"2"')
    cache.wait_idle()
    again = cache.fetch(url)
    assert (again.x_cache, again.body, again.get("ETag")) == ("hit", NEW, '"2"')
    cache.wait_figure("disk_usage", before + len(NEW) - len(OLD))
    assert usage(cache.folder) == before + len(NEW) - len(OLD)


def test_who_reads_the_old_version_gets_all_of_it(cache, origin, second_old):
    url = second_old.pop("large")
    origin.change(url, Serve(NEW, etag='"2"'))
    slow = cache.open(url)
    assert slow.read(1000) == LARGE[:1000]
    assert cache.fetch(url, ttl="1s").body == NEW
    cache.wait_idle()
    assert slow.rest() == LARGE[1000:]
    assert cache.fetch(url).body == NEW


FAILURES = {
    "500": Serve(b"", 500),
    "503": Serve(b"", 503),
    "ended": Raw(),
    "garbage": Raw(b"\x16\x03\x01garbage\r\n\r\n"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_the_old_one_stands_in_for_a_failure(cache, origin, second_old, failure):
    url = second_old.pop()
    origin.change(url, FAILURES[failure])
    answer = cache.fetch(url, ttl="1s")
    assert (answer.status, answer.body) == (200, OLD)
    assert answer.age >= 2
    assert answer.x_cache == "stale"
    assert cache.fetch(url).x_cache == "hit"


def test_the_old_one_stands_in_for_an_origin_that_is_gone(cache, second_old):
    answer = cache.fetch(second_old.pop("gone"), ttl="1s")
    assert (answer.x_cache, answer.body) == ("stale", OLD)


def test_after_the_failure_it_is_asked_for_again(cache, origin, second_old):
    url = second_old.pop()
    origin.change(url, Serve(b"", 500), Serve(NEW, etag='"2"'))
    assert cache.fetch(url, ttl="1s").body == OLD
    wait_until(lambda: cache.fetch(url, ttl="1s").body == NEW, 10, "the new one")
    cache.wait_idle()
    assert cache.fetch(url).body == NEW


def test_stale_only_for_so_long(launch_cache, origin):
    """10 days of freshness, 1 day more when upstream fails."""
    no_retry = ("--download-retry-time", "0")
    url = origin.add(Serve(OLD, etag='"1"'), Serve(b"", 500))
    cache = launch_cache(*no_retry)
    stored(cache, url)
    cache = aged(cache, launch_cache, 10 * DAY - 600, *no_retry)
    assert cache.fetch(url).x_cache == "hit"
    assert origin.count(url) == 1
    cache = aged(cache, launch_cache, 1200, *no_retry)
    answer = cache.fetch(url)
    assert (answer.x_cache, answer.body) == ("stale", OLD)
    assert origin.count(url) == 2
    cache = aged(cache, launch_cache, DAY, *no_retry)
    assert cache.fetch(url).status == 500


def test_stale_never_when_told_so(launch_cache, origin):
    url = origin.add(Serve(OLD, etag='"1"'), Serve(b"", 500))
    args = ("--download-retry-time", "0", "--stale-if-error", "0")
    cache = launch_cache(*args)
    stored(cache, url)
    cache = aged(cache, launch_cache, 11 * DAY, *args)
    assert cache.fetch(url).status == 500


def test_default_and_greatest_ttl(launch_cache, origin):
    args = ("--default-ttl", "1h", "--max-ttl", "2h")
    url, longer = (origin.add(Serve(OLD, etag='"1"')) for _ in range(2))
    cache = launch_cache(*args)
    stored(cache, url)
    stored(cache, longer, ttl="30d")
    cache = aged(cache, launch_cache, 3660, *args)
    assert cache.fetch(url).x_cache == "revalidated"
    assert cache.fetch(longer, ttl="90m").x_cache == "hit"
    cache = aged(cache, launch_cache, 3700, *args)
    assert cache.fetch(longer, ttl="30d").x_cache == "revalidated"
    assert cache.fetch(url).x_cache == "revalidated"
    assert (origin.count(url), origin.count(longer)) == (3, 2)


def test_an_error_is_remembered_for_a_while(cache, origin):
    url = origin.add(Serve(b"", 404), Serve(NEW))
    assert [cache.fetch(url).status for _ in range(3)] == [404, 404, 404]
    assert origin.count(url) == 1
    assert cache.figures()["resources_failures"] >= 1
    wait_until(lambda: cache.fetch(url).status == 200, 10, "the end of the negative ttl")
    assert origin.count(url) == 2


def test_errors_are_not_kept_on_the_disk(launch_cache, origin):
    url = origin.add(Serve(b"not here" * 1000, 404), Serve(NEW))
    cache = launch_cache("--negative-ttl", "1h")
    assert cache.fetch(url).status == 404
    assert cache.figures()["disk_usage"] == 0
    cache.stop()
    assert launch_cache(folder=cache.folder).fetch(url).body == NEW


def test_a_restart_keeps_everything(launch_cache, origin):
    contents = {origin.add(Serve(b"%d" % i * i, etag=f'"{i}"')): b"%d" % i * i for i in range(60)}
    cache = launch_cache()
    tags = {url: stored(cache, url).get("ETag") for url in contents}
    used = cache.figures()["disk_usage"]
    for _ in range(2):
        cache.stop()
        cache = launch_cache(folder=cache.folder)
        figures = cache.figures()
        assert (figures["disk_usage"], figures["resources_successes"]) == (used, 60)
        for url, content in contents.items():
            answer = cache.fetch(url)
            assert (answer.x_cache, answer.body) == ("hit", content)
            assert answer.get("ETag") == tags[url]
    assert all(origin.count(url) == 1 for url in contents)


def test_our_own_validators(launch_cache, origin):
    """Upstream sent none: clients get one that stays the same, and works."""
    url = origin.add(Serve(OLD))
    cache = launch_cache()
    tag = stored(cache, url).get("ETag")
    assert tag and cache.fetch(url).get("ETag") == tag
    assert cache.fetch(url, f"If-None-Match: {tag}").status == 304
    cache.stop()
    cache = launch_cache(folder=cache.folder)
    assert cache.fetch(url, f"If-None-Match: {tag}").status == 304


def test_an_unfinished_download_ends_with_the_process(launch_cache, origin):
    """SIGTERM with a download under way: nothing of it is left, and it is fetched anew."""
    url = origin.add(Serve(OLD, gates={10: threading.Event()}), Serve(NEW))
    cache = launch_cache("--shutdown-timeout", "1ms")
    stream = cache.open(url)
    assert stream.read(9) == OLD[:9]
    cache.stop()
    assert launch_cache(folder=cache.folder).fetch(url).body == NEW
