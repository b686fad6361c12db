"""`tarn run-script`: one request through a script, and a report of what happened."""

import json
import re

import pytest

from harness.binary import run_tarn
from harness.origin import Origin, Serve

SCRIPT = """
#include <tarn.h>
#line 1
static char text[70000];
%s
TARN_ENTRY zs_u64 request(void)
{
    %s
    return 0;
}
"""


@pytest.fixture
def script(tmp_path):
    """script(body, before="") → file."""

    def write(body, before="", name="test.c"):
        path = tmp_path / name
        path.write_text(SCRIPT % (before, body))
        return path

    return write


def run(*args, code=0, **options):
    done = run_tarn("run-script", *args, **options)
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def report(*args, **options):
    """The object of --json."""
    done = run("--json", *args, **options)
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def facts(text):
    """[(name, text)] of the lines before the response, and the response."""
    head, _, response = text.partition("\n\n")
    return [tuple(re.split(" +", line, maxsplit=1)) for line in head.splitlines()], response


def test_a_response(script):
    file = script('zs_log(ZS_STR("one\\ntwo")); zs_respond(201, ZS_STR("made\\n"));')
    found, response = facts(run(file).stdout)
    assert found[:3] == [
        ("log", "script test.o: one"),
        ("log", "script test.o: two"),
        ("outcome", "script"),
    ]
    assert found[3][0] == "cpu" and re.fullmatch(r"\d+\.\d us", found[3][1])
    assert response.startswith("HTTP/1.1 201 Created\n")
    assert "\nContent-Length: 5\n" in response and response.endswith("\n\nmade\n")


def test_a_response_as_json(script):
    file = script(
        'zs_log(ZS_STR("\\x22quoted\\x22")); zs_meta_set(ZS_STR("k"), ZS_STR("ü"));'
        'zs_respond(201, ZS_STR("made\\n"));'
    )
    found = report(file, "--request", "PUT /x?y=1", "-H", "X-A: 1, 2")
    assert found["outcome"] == "script" and found["proxy"] is None
    assert found["request"]["method"] == "PUT" and found["request"]["target"] == "/x?y=1"
    assert ["X-A", "1, 2"] in found["request"]["headers"]
    assert ["Host", "localhost"] in found["request"]["headers"]
    assert found["metadata"] == {"k": "ü"}
    assert found["log"] == ['script test.o: "quoted"'] and found["failures"] == []
    assert found["cpu_us"] > 0
    assert found["response"]["status"] == 201 and found["response"]["body"] == "made\n"
    assert ["Content-Length", "5"] in found["response"]["headers"]


def test_bytes_that_are_no_text(script):
    file = script('zs_respond(200, "\\xff\\0", 2);')
    assert run(file).stdout.endswith("\n\n(2 bytes, not text)\n")
    found = report(file)["response"]
    assert found["body_base64"] == "/wA=" and "body" not in found


def test_without_a_site_the_answer_is_404(script):
    found = report(script(""), "--request", "/x")
    assert (found["outcome"], found["response"]["status"]) == ("site", 404)


def test_what_was_changed(script):
    file = script(
        'zs_req_set_method(ZS_STR("HEAD")); zs_req_set_uri(ZS_STR("/other?x"));'
        'zs_req_set_header(ZS_STR("X-New"), ZS_STR("1"));'
        'zs_req_set_header(ZS_STR("X-Changed"), ZS_STR("after"));'
        'zs_req_delete_header(ZS_STR("X-Gone"));'
        'zs_meta_set(ZS_STR("key"), ZS_STR("a\\tb"));'
    )
    args = ["--request", "POST /", "-H", "X-Gone: 1", "-H", "X-Changed: before", "-H", "X-Same: 1"]
    found = facts(run(file, *args).stdout)[0]
    assert ("method", "POST -> HEAD") in found
    assert ("target", "/ -> /other?x") in found
    assert ("metadata", "key = a?b") in found
    headers = sorted(text for name, text in found if name == "header")
    assert headers == ["+ X-Changed: after", "+ X-New: 1", "- X-Changed: before", "- X-Gone: 1"]
    found = report(file, *args)
    assert found["request"]["method"] == "HEAD" and found["metadata"] == {"key": "a\tb"}


def test_a_site(script, site):
    folder = site({"index.html": "home", ".tarn/a.json": '{"b": "c"}', "big.bin": b"x" * 100000})
    assert report(script(""), "--site", folder)["response"]["body"] == "home"
    answer = report(script(""), "--site", folder, "--preload-max", "0", "--request", "/big.bin")
    assert answer["response"]["body"] == "x" * 100000
    file = script(
        'zs_s64 a = zs_load_static_json(ZS_STR(".tarn/a.json"));'
        'zs_s64 len = zs_json_read_string(zs_json_get(a, ZS_STR("b")), text, sizeof text);'
        "zs_respond(200, text, len);"
    )
    assert report(file, "--site", folder)["response"]["body"] == "c"
    answer = report(script('zs_respond_file(503, ZS_STR("index.html"));'), "--site", folder)
    assert (answer["outcome"], answer["response"]["status"]) == ("file", 503)


def appender(letter):
    """A script that adds a letter to a header."""
    return SCRIPT % (
        "",
        'zs_req_header(ZS_STR("X"), text, 100); zs_strcpy(text + zs_strlen(text), "%s");'
        'zs_req_set_header(ZS_STR("X"), ZS_STR(text));' % letter,
    )


def test_the_script_takes_the_place_of_the_one_of_its_name(tmp_path, site):
    files = {f".tarn/scripts/{n}.c": appender(n[-1]) for n in ("10-a", "20-b", "30-c")}
    folder = site({"index.html": "home", **files})
    other = tmp_path / "20-b.c"
    other.write_text(appender("B"))
    headers = dict(report(other, "--site", folder)["request"]["headers"])
    assert headers["X"] == "aBc"
    other = tmp_path / "new.c"
    other.write_text(appender("N"))
    headers = dict(report(other, "--site", folder)["request"]["headers"])
    assert headers["X"] == "Nabc"


def test_hooks_and_metadata_show_in_the_response(script):
    file = script(
        'zs_meta_set(ZS_STR("zs.response.header.x-meta"), ZS_STR("1"));'
        'zs_res_hook("", 0, ZS_STR("hook"), zs_json_new_object());',
        before='TARN_CALL_ENTRY(hook, x) { zs_res_set_status(418); return x; }',
    )
    answer = report(file)
    assert answer["response"]["status"] == 418
    assert ["x-meta", "1"] in answer["response"]["headers"]


def test_a_body(script, tmp_path):
    file = script("zs_s64 len = zs_req_body(text, sizeof text); zs_respond(200, text, len);")
    assert report(file, "--request", "POST /", "--body", "hello")["response"]["body"] == "hello"
    assert report(file, "--request", "POST /", "--body", "")["response"]["body"] == ""
    assert report(file, "--request", "POST /")["response"]["body"] == ""
    (tmp_path / "body").write_bytes(b"a" * 60000)
    answer = report(file, "--request", "POST /", "--body", f"@{tmp_path}/body")
    assert answer["response"]["body"] == "a" * 60000
    answer = report(file, "--request", "POST /", "--body", "@-", stdin=b"from stdin")
    assert answer["response"]["body"] == "from stdin"


def test_a_fetch(script):
    with Origin() as origin:
        url = origin.add(Serve(b"fetched"))
        file = script(
            f'zs_s64 a = zs_fetch(ZS_STR("{{\\"url\\":\\"{url}\\"}}"));'
            'zs_s64 len = zs_json_read_string(zs_json_get(a, ZS_STR("body")), text, sizeof text);'
            "zs_respond(200, text, len);"
        )
        assert report(file)["response"]["body"] == "fetched"


def test_other_outcomes(script):
    found = facts(run(script('zs_reverse_proxy(ZS_STR("http://127.0.0.1:9/x"));')).stdout)[0]
    assert ("outcome", "proxy http://127.0.0.1:9/x") in found
    answer = report(script('zs_reverse_proxy(ZS_STR("http://127.0.0.1:9/x"));'))
    assert (answer["outcome"], answer["proxy"]) == ("proxy", "http://127.0.0.1:9/x")
    done = run(script("zs_abort();"))
    assert done.stdout.splitlines()[0].split() == ["outcome", "abort"]
    assert "HTTP/1.1" not in done.stdout
    assert report(script("zs_abort();"))["response"] is None


def test_the_environment_is_real(script):
    file = script(
        'zs_s64 len = zs_env_get(ZS_STR("TARN_SCRIPT_X"), text, sizeof text);'
        "zs_respond(200, text, len);"
    )
    assert report(file, env={"TARN_SCRIPT_X": "yes"})["response"]["body"] == "yes"
    answer = report(file, "--script-env", "OTHER", env={"TARN_SCRIPT_X": "yes"})
    assert answer["response"]["body"] == ""


def test_a_script_that_is_stopped(script):
    file = script("zs_json_get(77, ZS_STR(\"x\"));")
    found, response = facts(run(file, code=1).stdout)
    failed = dict(found)["failed"]
    assert re.match(r"script test\.o section tarn\.request failed at insn \d+ \(.*test\.c:\d+\): ",
                    failed)  # fmt: skip
    assert dict(found)["outcome"] == "failed"
    assert response.startswith("HTTP/1.1 500 ")
    answer = report(file, code=1)
    assert answer["outcome"] == "failed" and len(answer["failures"]) == 1


def test_a_hook_and_a_callee_that_are_stopped_show_in_the_exit_code(script):
    before = 'TARN_CALL_ENTRY(bad, x) { zs_json_get(77, ZS_STR("x")); return x; }'
    hook = script('zs_res_hook("", 0, ZS_STR("bad"), zs_json_new_object());', before)
    answer = report(hook, code=1)
    assert answer["outcome"] == "site" and len(answer["failures"]) == 1
    call = script('zs_call(ZS_STR("test"), ZS_STR("bad"), zs_json_new_object());'
                  'zs_respond(200, ZS_STR("x"));', before)  # fmt: skip
    answer = report(call, code=1)
    assert answer["outcome"] == "script" and len(answer["failures"]) == 1


def test_an_endless_script_ends(script):
    file = script("for (volatile int i = 0;; i++) ;")
    found = facts(run(file, "--script-cpu-limit-ms", "50", code=1).stdout)[0]
    assert "50 ms" in dict(found)["failed"]


def test_what_no_script_sees(script):
    for args in (["--request", "/health"], ["--request", "/%zz"], ["-H", "Bad Name: x"]):
        assert report(script(""), *args, code=1)["outcome"] == "server", args


def test_what_cannot_be_run(script, tmp_path):
    file = script("this is no C")
    done = run(file, code=1)
    assert re.search(r"test\.c:\d+:\d+: error: ", done.stderr) and done.stdout == ""
    file = script("")
    for args in ([tmp_path / "none.c"], [file, "--site", tmp_path / "none"]):
        done = run(*args, code=1)
        assert re.search("^tarn: error: run-script: (cannot|no site).*none", done.stderr, re.M)
    done = run(file, "--request", "POST /", "--body", f"@{tmp_path}/none", code=1)
    assert "--body" in done.stderr


@pytest.mark.parametrize(
    "args, message",
    [
        ([], "no FILE"),
        (["a.c", "b.c"], "'b.c' follows 'a.c'"),
        (["a.txt"], "'a.txt' is no script"),
        (["a.c", "-H", "nothing"], "--header wants 'NAME: VALUE', not 'nothing'"),
        (["a.c", "-H", "content-length: 3"], "--body sets the length"),
        (["a.c", "--request", ""], "--request wants"),
        (["a.c", "--plugin", "b.c"], "--plugin belongs to 'tarn serve'"),
    ],
)
def test_wrong_usage(args, message):
    done = run(*args, code=2)
    assert message in done.stderr and done.stdout == ""
