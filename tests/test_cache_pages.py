"""The cache's web pages as text: well-formed, linked, below a prefix and over TLS; and what they
tell people to type works."""

import html.parser
import json
import re
import shutil
import subprocess
import threading
from urllib.parse import quote, urldefrag, urljoin, urlsplit

import pytest

from harness.cache import closed_port
from harness.client import HOST
from harness.origin import Serve
from harness.site import pattern
from harness.tls import curl

PAGES = ["/", "/help/", "/statistics/", *(f"/resources/{tab}/" for tab in
         ("successes", "downloading", "scheduled", "failures"))]  # fmt: skip
VOID = {"meta", "link", "input", "br", "hr", "img"}
# Elements whose end may be left out, and what ends them.
ENDED_BY = {
    "td": {"td", "th", "tr", "tbody"}, "th": {"td", "th", "tr", "tbody"}, "tr": {"tr", "tbody"},
    "dt": {"dt", "dd"}, "dd": {"dt", "dd"},
}  # fmt: skip
NAMED_BY = ("for", "aria-describedby", "aria-labelledby")
END_WITH = {"thead", "tbody", "table", "div", "dl"}
BODY = pattern(200 << 10, seed=8)
TOKEN = "s3cret"


class Page(html.parser.HTMLParser):
    """Checks while it reads."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.links, self.labels, self.codes = [], [], [], [], []
        assert text.startswith("<!doctype html>\n")
        self.feed(text)
        self.close()
        assert not self.open, self.open
        assert len(self.ids) == len(set(self.ids)), "an id twice"
        assert set(self.labels) <= set(self.ids), "a label of nothing"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        values = dict(attrs)
        assert len(names) == len(set(names)), f"an attribute twice: {attrs}"
        assert "style" not in names and not any(name.startswith("on") for name in names), attrs
        while self.open and tag in ENDED_BY.get(self.open[-1], ()):
            self.open.pop()
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if tag == "a" else []
        self.labels += [values[name] for name in NAMED_BY if name in values]
        if tag == "input" and values.get("type") != "hidden":
            assert "aria-label" in values or "id" in values, "an input without a name"
        if tag == "code" and self.open[-1] == "pre":
            self.codes.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        while tag in END_WITH and self.open[-1] in ENDED_BY and self.open[-1] != tag:
            self.open.pop()
        assert self.open and self.open.pop() == tag, f"</{tag}> ends what is not open"

    def handle_data(self, data):
        if self.open[-2:] == ["pre", "code"]:
            self.codes[-1] += data


def fill(cache, origin):
    """Something on the disk, and failures."""
    for i in range(60):
        url = origin.put(f"/builds/{i}/%3Cb%3E&'%22/Image.gz", Serve(b"x" * i))
        assert cache.fetch(url + "?a=<i>&b=%3C").status == 200
    cache.fetch(origin.put("/gone/%3Cscript%3E", Serve(b"no", status=404)))
    cache.fetch(f"http://127.0.0.1:{closed_port()}/refused")
    return cache


OPTIONS = ("--purge-token", TOKEN, "--negative-ttl", "1h", "--download-retry-time", "0",
           "--max-downloads", "2")  # fmt: skip


@pytest.fixture(scope="module")
def cache(launch_cache_module, origin):
    return fill(launch_cache_module(*OPTIONS), origin)


@pytest.fixture(scope="module")
def busy(launch_cache_module, origin):
    """The same, while two downloads stand still and one waits in line."""
    cache = fill(launch_cache_module(*OPTIONS), origin)
    gate = threading.Event()
    for i in range(2):
        url = origin.add(Serve(BODY, gates={100000: gate}, framing=("length", "chunked")[i]))
        stream = cache.open(url)
        stream.read(100000)
    cache.ask(origin.add(Serve(BODY)))
    cache.wait_figure("resources_scheduled", 1)
    yield cache
    gate.set()
    cache.wait_idle()


@pytest.mark.parametrize("path", PAGES + [
    "/?url=http://a/%3Cb%3E&ttl=1d&name=%27%22", "/?url=x&ttl=x&name=/",
    "/resources/successes/?page=2&sort=url&search=%27%22%3C",
])  # fmt: skip
def test_well_formed(busy, path):
    answer = busy.get(path)
    assert answer.status == 200
    assert answer.get("Content-Type") == "text/html; charset=utf-8"
    assert answer.get("Cache-Control") == "no-store"
    policy = answer.get("Content-Security-Policy")
    assert "default-src 'none'" in policy and "unsafe" not in policy
    Page(answer.text)
    head = busy.get(path, method="HEAD")
    assert (head.status, head.body) == (200, b"")


def crawl(cache, start):
    """Follows every link of every page that is not a resource."""
    left, seen = [start], {}
    while left:
        url = left.pop()
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        if target in seen or "/api/" in target or len(seen) > 150:
            continue
        answer = cache.get(target)
        assert answer.status == 200, f"{target}: {answer.status}"
        seen[target] = Page(answer.text)
        for link in seen[target].links:
            absolute, fragment = urldefrag(urljoin(f"http://{HOST}{target}", link))
            assert absolute.startswith(f"http://{HOST}{start}"), link
            if fragment and absolute == f"http://{HOST}{target}":
                assert fragment in seen[target].ids, link
            left.append(absolute)
    return seen


def test_all_links_lead_somewhere(busy):
    seen = crawl(busy, "/")
    assert set(PAGES) <= set(seen)
    assert "/resources/successes/?sort=size&order=desc&page=2" in seen


def test_links_below_a_prefix(launch_cache, origin, site):
    cache = launch_cache("--cache-path", "/the cache/x", site=site({"index.html": "the site"}))
    answer = cache.get("/the%20cache/x")
    assert (answer.status, answer.get("Location")) == (308, "x/")
    seen = crawl(cache, "/the%20cache/x/")
    assert len(seen) > 8
    assert cache.get("/").text == "the site"
    url = origin.add(Serve(BODY))
    page = Page(cache.get(f"/the%20cache/x/?url={quote(url, safe='')}").text)
    assert cache.get(page.codes[0].split(HOST)[1]).body == BODY


@pytest.mark.parametrize("path, target", [
    ("/help", "/help/"), ("/statistics?a=b", "/statistics/?a=b"),
    ("/resources", "/resources/successes/"), ("/resources/", "/resources/successes/"),
    ("/resources/failures", "/resources/failures/"),
])  # fmt: skip
def test_redirects(cache, path, target):
    answer = cache.get(path)
    assert answer.status in (302, 308)
    assert urljoin(path, answer.get("Location")) == target


def test_links_over_tls(launch_cache, pair, ca):
    cache = launch_cache("--tls-addr", "127.0.0.1:0", *pair.options, addr=False)
    for version in ("--http1.1", "--http2"):
        done = curl(cache, "/help/", version, ca=ca.file)
        assert done.returncode == 0, done.stderr
        assert f"https://{HOST}:{cache.tls.address[1]}/api/v1/fetch?" in done.stdout.decode()


# --- the lists ---


def test_lists_as_json(busy):
    lists = {tab: json.loads(busy.get(f"/resources/{tab}/?format=json").text)
             for tab in ("successes", "downloading", "scheduled", "failures")}  # fmt: skip
    again = busy.get("/resources/downloading/", "Accept: application/json")
    assert again.get("Content-Type") == "application/json"
    assert json.loads(again.text)["resources"] == lists["downloading"]["resources"]
    assert [lists[tab]["match_count"] for tab in lists] == [60, 2, 1, 2]
    assert lists["successes"]["page_count"] == 2 and len(lists["successes"]["resources"]) == 50
    for download in lists["downloading"]["resources"]:
        assert download["size"] in (len(BODY), None)
        assert 100000 <= download["received"] <= len(BODY)
        assert download["clients"] == 1
    failures = {r["status"]: r for r in lists["failures"]["resources"]}
    assert "<script>" not in failures[404]["url"] and "%3Cscript%3E" in failures[404]["url"]
    assert "refused" in failures[502]["reason"]
    status = busy.figures()
    for name in ("resources_successes", "resources_downloading", "resources_failures"):
        assert status[name] == lists["failures"][name]


def rows(cache, query):
    return json.loads(cache.get(f"/resources/successes/?format=json&{query}").text)["resources"]


def test_sort_search_and_pages(cache):
    sizes = [r["size"] for r in rows(cache, "sort=size&order=desc&search=builds")]
    assert sizes == list(range(59, 9, -1))
    sizes = [r["size"] for r in rows(cache, "sort=size&order=desc&page=2&search=BUILDS")]
    assert sizes == list(range(9, -1, -1))
    assert [r["size"] for r in rows(cache, "search=builds/17/")] == [17]
    assert rows(cache, "search=nowhere") == []
    text = cache.get("/resources/successes/?search=builds/17/").text
    assert "1 resource, 17 B found" in text
    assert '<a href="?">Show all</a>' in text


@pytest.mark.parametrize("query", [
    "page=-1", "page=99999999999999999999", "page=%00", "sort=%00&order=%ff", "search=%",
    "search=%ff%fe", "search=" + "x" * 9000, "search=" + "%22%3E%3Cscript%3E" * 500,
    "&&&=&=x&search", "refresh=%3Cscript%3E", "format=%3Cscript%3E",
    "search='\"><script>alert(1)</script>",
])  # fmt: skip
@pytest.mark.parametrize("tab", ["successes", "failures"])
def test_hostile_queries(cache, tab, query):
    answer = cache.get(f"/resources/{tab}/?{query}")
    assert answer.status == 200
    Page(answer.text)
    assert answer.text.count("<script>") == 1


# --- what people are told to type ---


def run_shell(command, folder):
    done = subprocess.run(["bash", "-euc", command], cwd=folder, capture_output=True, timeout=30)
    assert done.returncode == 0, (command, done.stderr)


def test_the_form(cache, origin, tmp_path):
    url = origin.put("/a%20b/{}/it's.img", Serve(BODY)) + "?x=1&y=$(id)+%2B"
    answer = cache.get(f"/?url={quote(url, safe='')}&ttl=3h&name={quote('my file.img')}")
    link, *commands = Page(answer.text).codes
    assert link.startswith(f"http://{HOST}/api/v1/fetch/my%20file.img?url=")
    assert link.endswith("&ttl=3h")
    direct = cache.get(link.removeprefix(f"http://{HOST}"))
    assert direct.body == BODY
    assert direct.get("Content-Disposition") == 'attachment; filename="my file.img"'
    for command in commands:
        if not shutil.which(command.split()[0]):
            continue
        run_shell(command.replace(f"//{HOST}/", f"//127.0.0.1:{cache.port}/"), tmp_path)
        assert (tmp_path / "download").read_bytes() == BODY
        (tmp_path / "download").unlink()


def test_the_examples_of_the_help(cache, origin, tmp_path):
    image = origin.put("/builds/1234/Image.gz", Serve(BODY))
    example = "https://storage.example.com/builds/1234/Image.gz"
    codes = Page(cache.get("/help/").text).codes
    ran = 0
    for code in codes:
        program = code.split()[0]
        if program not in ("curl", "wget") or "sha256=" in code or not shutil.which(program):
            continue
        code = code.replace(example, image).replace(f"//{HOST}/", f"//127.0.0.1:{cache.port}/")
        code = code.replace("TOKEN", TOKEN)
        file = tmp_path / "Image.gz"
        if "-C" in code or "-c" in code.split():
            file.write_bytes(BODY[:777])
        run_shell(code, tmp_path)
        if "DELETE" not in code and "token=" not in code:
            assert file.read_bytes() == BODY, code
        file.unlink(missing_ok=True)
        ran += 1
    assert ran >= 5
    (lava,) = [code for code in codes if code.startswith("http_url_format_string:")]
    assert lava.endswith('/api/v1/fetch?url=%s"')


def test_purge_example_purges(cache, origin, tmp_path):
    url = origin.put("/builds/1234/Image.gz", Serve(BODY))
    cache.fetch(url)
    (code,) = [c for c in Page(cache.get("/help/").text).codes if "DELETE" in c]
    code = code.replace("https://storage.example.com/builds/1234/Image.gz", url)
    code = code.replace(f"//{HOST}/", f"//127.0.0.1:{cache.port}/").replace("TOKEN", TOKEN)
    run_shell(code, tmp_path)
    assert cache.fetch(url).x_cache == "miss"


def test_whose_address_may_fetch(launch_cache):
    cache = launch_cache("--allow-networks", "192.0.2.0/24", "--trusted-proxies", "127.0.0.1")
    assert "<b>No.</b> Your address <b>127.0.0.1</b>" in cache.get("/help/").text
    assert "Your address may not fetch" in cache.get("/").text
    text = cache.get("/help/", "X-Forwarded-For: 192.0.2.9").text
    assert "<b>Yes.</b> Your address <b>192.0.2.9</b>" in text


def test_statistics_count(launch_cache, origin):
    cache = launch_cache()
    url = origin.add(Serve(BODY))
    for _ in range(4):
        cache.fetch(url)
    text = cache.get("/statistics/").text
    assert "<b>75.0 %</b><i>3 of 4 requests</i>" in text
    assert "<b>600 KiB</b><i>not downloaded again</i>" in text
    assert "<i>800 KiB served, 200 KiB downloaded</i>" in text
    assert re.search(r"<b>1</b><i>1 ended well, 0 failed</i>", text)
