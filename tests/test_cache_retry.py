"""`tarn cache`: second attempts, and downloads that go on where they broke off."""

import inspect
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest

from harness.cache import Broken, DeafHost, Stream, closed_port, each
from harness.origin import Origin, Raw, Serve, redirect
from harness.server import wait_until
from harness.site import MTIME, pattern

BODY, OTHER = pattern(300_000, seed=1), pattern(300_000, seed=2)
CUT_AT, READ = 120_000, 110_000


@pytest.fixture(scope="module")
def cache(launch_cache_module):
    return launch_cache_module(
        *("--download-retry-time", "20s", "--read-timeout", "500ms"),
        *("--first-byte-timeout", "1s", "--negative-ttl", "0"),
    )


@pytest.fixture(scope="module")
def impatient(launch_cache_module):
    return launch_cache_module(
        *("--download-retry-time", "1s", "--connect-timeout", "400ms"),
        *("--first-byte-timeout", "400ms", "--read-timeout", "400ms"),
    )


SCENARIOS = {}


def scenario(function):
    """What takes long because it waits. All of them begin at once; each is a test."""
    SCENARIOS[function.__name__] = function
    return function


@pytest.fixture(scope="module")
def running(cache, impatient, origin):
    caches = {"cache": cache, "impatient": impatient}
    with ThreadPoolExecutor(32) as pool:
        started = {}
        for name, function in SCENARIOS.items():
            which = caches[next(iter(inspect.signature(function).parameters))]
            started[name] = pool.submit(function, which, origin)
        yield started


def resumes(origin, url):
    return [(r.headers.get("range"), r.headers.get("if-range")) for r in origin.requests(url)]


RESUMED = {
    "cut": Serve(BODY, etag='"1"', cut=CUT_AT),
    "reset": Serve(BODY, etag='"1"', cut=CUT_AT, reset=True),
    "stands still": Serve(BODY, etag='"1"', gates={CUT_AT: threading.Event()}),
}


@scenario
def it_goes_on_where_it_broke_off(cache, origin):
    def check(case):
        url = origin.add(RESUMED[case], Serve(BODY, etag='"1"'))
        assert cache.fetch(url).body == BODY
        if case == "reset":  # takes what is on its way with it
            assert len(resumes(origin, url)) == 2
        else:
            assert resumes(origin, url) == [(None, None), (f"bytes={CUT_AT}-", '"1"')]
            wait_until(lambda: origin.sent(url) == len(BODY), 5, "no byte sent twice")
        assert cache.fetch(url).body == BODY

    each(RESUMED, check)


@scenario
def several_breaks(cache, origin):
    cuts = [Serve(BODY, etag='"1"', cut=at) for at in (50_000, 100_000, 299_999)]
    url = origin.add(*cuts, Serve(BODY, etag='"1"'))
    streams = [cache.open(url) for _ in range(3)]
    assert {stream.rest() for stream in streams} == {BODY}
    assert [first for first, _ in resumes(origin, url)] == [
        None, "bytes=50000-", "bytes=100000-", "bytes=299999-",
    ]  # fmt: skip


@scenario
def behind_a_redirect(cache, origin):
    there = origin.add(Serve(BODY, etag='"1"', cut=CUT_AT), Serve(BODY, etag='"1"'))
    assert cache.fetch(origin.add(redirect(there))).body == BODY
    assert resumes(origin, there)[1] == (f"bytes={CUT_AT}-", '"1"')


@scenario
def bytes_that_are_there_come_during_the_pause(cache, origin):
    gate = threading.Event()
    url = origin.add(
        Serve(BODY, etag='"1"', cut=CUT_AT), Serve(BODY, etag='"1"', head_gate=gate)
    )
    stream = cache.open(url)
    assert stream.read(CUT_AT) == BODY[:CUT_AT]
    late = cache.open(url, f"Range: bytes={CUT_AT - 10}-{CUT_AT + 10}")
    assert late.read(10) == BODY[CUT_AT - 10 : CUT_AT]
    origin.wait_count(url, 2)
    gate.set()
    assert stream.rest() == BODY[CUT_AT:]
    assert late.rest() == BODY[CUT_AT : CUT_AT + 11]


# What the second request gets instead of the rest: those who have bytes must be cut, or get the
# right ones; the next one gets what is there now.
ANOTHER = {
    "changed": Serve(OTHER, etag='"2"'),
    "changed and longer": Serve(OTHER + b"more", etag='"2"'),
    "changed and shorter": Serve(OTHER[:1000], etag='"2"'),
    "range ignored": Serve(BODY, etag='"1"', ranges="ignore"),
    "416": Serve(BODY, etag='"1"', ranges="416"),
    "shifted": Serve(BODY, etag='"1"', ranges="shifted"),
    "another total": Serve(BODY + b"x", etag='"1"'),
    "says another total": Serve(BODY, etag='"1"', ranges="total"),
    "206 without Content-Range": Serve(BODY, etag='"1"', ranges="unsaid"),
    "multipart": Serve(BODY, etag='"1"', ranges="multipart"),
    "206 with another tag": lambda exchange: Serve(OTHER, etag='"2"')._serve_part(
        exchange, CUT_AT, len(OTHER)
    ),
    "gone": Serve(b"gone", 404),
}


VERSIONS = {'"1"': (BODY, BODY + b"x"), '"2"': (OTHER, OTHER + b"more", OTHER[:1000])}


@scenario
def never_a_mixture(cache, origin):
    def check(case):
        gate = threading.Event()
        first = Serve(BODY, etag='"1"', cut=CUT_AT, gates={READ: gate})
        url = origin.add(first, ANOTHER[case], Serve(OTHER, etag='"2"'))
        stream = cache.open(url)
        assert stream.read(READ) == BODY[:READ]
        gate.set()
        if case == "range ignored":
            try:
                assert stream.rest() == BODY[READ:]
            except Broken:
                pass  # is right, too
        else:
            assert BODY[READ:].startswith(stream.until_broken())
        origin.wait_count(url, 2)
        wait_until(lambda: cache.receive(url)[0] == 200, 10, "what is there now")
        answer = cache.fetch(url)
        assert answer.body in VERSIONS[answer.get("ETag")]

    each(ANOTHER, check)


UNSOUND = {
    "no tag": {},
    "weak tag": {"etag": 'W/"1"'},
    "a date only": {"modified": MTIME},
    "no ranges": {"etag": '"1"', "ranges": "none"},
}


@scenario
def without_a_strong_validator_it_starts_over(cache, origin):
    def check(case):
        options = UNSOUND[case]
        gate = threading.Event()
        first = Serve(BODY, cut=CUT_AT, gates={READ: gate}, **options)
        url = origin.add(first, Serve(OTHER, **options))
        stream = cache.open(url)
        assert stream.read(READ) == BODY[:READ]
        gate.set()
        assert BODY[READ:].startswith(stream.until_broken())
        wait_until(lambda: cache.receive(url)[0] == 200, 10, "the other one")
        assert cache.fetch(url).body == OTHER
        assert all("range" not in r.headers for r in origin.requests(url))

    each(UNSOUND, check)


@scenario
def who_waits_for_the_head_sees_nothing_of_it(cache, origin):
    """A break before any content: only the time it takes shows."""
    url = origin.add(Raw(), Raw(then="reset"), Serve(BODY))
    assert cache.fetch(url).body == BODY
    assert origin.count(url) == 3


@scenario
def statuses_that_pass(cache, origin):
    urls = {
        status: origin.add(Serve(b"", status), Serve(BODY))
        for status in (408, 425, 429, 500, 502, 503, 504)
    }
    wires = {status: cache.ask(url) for status, url in urls.items()}
    for status, wire in wires.items():
        stream = Stream(wire)
        assert (stream.status, stream.rest()) == (200, BODY), status
        assert origin.count(urls[status]) == 2


@scenario
def retry_after(cache, origin):
    """In seconds and as a date; nobody asks before that."""
    date = formatdate(time.time() + 2, usegmt=True)
    urls = {
        said: origin.add(Serve(b"", status, {"Retry-After": said}), Serve(BODY))
        for said, status in (("2", 503), (date, 429))
    }

    def check(said):
        assert cache.fetch(urls[said]).body == BODY
        first, second = (r.head_ns for r in origin.requests(urls[said]))
        waited = (second - first) / 1e9
        assert (1.9 if said == "2" else 0.9) < waited < 6

    each(urls, check)


@scenario
def retry_after_longer_than_anybody_waits(cache, origin):
    url = origin.add(Serve(b"", 503, {"Retry-After": "3600"}))
    start = time.monotonic()
    assert cache.fetch(url).status == 503
    assert time.monotonic() - start < 5


@scenario
def nobody_tries_again_when_nobody_waits(cache, origin):
    url = origin.add(Serve(b"", 503, {"Retry-After": "1"}))
    wire = cache.ask(url)
    origin.wait_count(url, 1)
    wire.close()
    cache.wait_line(f"{url}: 503")
    assert origin.count(url) == 1


@scenario
def an_origin_that_comes_back(cache, _origin):
    port = closed_port()
    url = f"http://127.0.0.1:{port}/late"
    wire = cache.ask(url, timeout=20)
    threading.Event().wait(0.2)  # for an attempt that is refused
    with Origin(port=port) as late:
        late.put("/late", Serve(BODY))
        assert Stream(wire).rest() == BODY


@scenario
def giving_up(impatient, origin):
    """All at once, since each takes its time."""
    with DeafHost() as deaf:
        cases = {
            "refused": (f"http://127.0.0.1:{closed_port()}/", {502}),
            "deaf": (f"http://127.0.0.1:{deaf.port}/", {502, 504}),
            "silent": (origin.add(Raw(then="silence")), {504}),
            "closing": (origin.add(Raw()), {502}),
            "busy": (origin.add(Serve(b"", 503)), {503}),
            "no such name": ("http://no-such-name.invalid/", {502, 504}),
        }
        start = time.monotonic()
        wires = {case: impatient.ask(url, timeout=20) for case, (url, _) in cases.items()}
        statuses = {case: Stream(wire).status for case, wire in wires.items()}
        took = time.monotonic() - start
    assert {case: statuses[case] in allowed for case, (_, allowed) in cases.items()} == {
        case: True for case in cases
    }, statuses
    assert took < 10
    assert origin.count(cases["closing"][0]) >= 2
    assert origin.count(cases["busy"][0]) >= 2


@scenario
def always_cut_ends_in_a_break(impatient, origin):
    """Each attempt brings a little, then none does: nobody waits for ever."""
    cuts = [Serve(BODY, etag='"1"', cut=at) for at in (50_000, 100_000)]
    url = origin.add(*cuts, Raw())
    stream = impatient.open(url)
    assert stream.until_broken() == BODY[:100_000]
    impatient.wait_figure("disk_usage", 0)


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(running, name):
    running[name].result()
