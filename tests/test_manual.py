"""The documents cannot rot: what README.md, docs/manual.md and docs/scripting.md show is run; every option and every
helper of scripts has its entry.

A fenced block with the info string `sh run` is run; the blocks of one section form one script, in an empty directory, with
tarn on the PATH. A block `text output` behind it is what the commands print to standard output, a block `text log` is lines
that come on standard error in this order. What differs from run to run (dates, times, ports) is compared as a pattern.

The ports 8080 and 9090 stand for free ones. In these scripts curl waits until the server listens.
"""

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from harness.binary import REPORT, ROOT, TARN, clean_environment, run_tarn

MANUAL = ROOT / "docs" / "manual.md"
SCRIPTING = ROOT / "docs" / "scripting.md"
DOCUMENTS = [ROOT / "README.md", MANUAL, SCRIPTING]
PORTS = ("8080", "9090")
MARK = "\x01"  # written to both streams behind each block
SCRIPT_SECONDS = 60

PRELUDE = r"""
set -eu -o pipefail -o monitor
trap 'for job in $(jobs -p); do kill -- -$job 2>/dev/null || true; done; wait' EXIT
curl() {
    local word port try
    for word in "$@"; do
        case $word in
        *localhost:*) port=${word#*localhost:}; port=${port%%[!0-9]*} ;;
        *.sock) for try in {1..100}; do [ -S "$word" ] && break; sleep 0.05; done; continue ;;
        *) continue ;;
        esac
        for try in {1..100}; do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.05; done
    done
    command curl "$@"
}
"""

# What differs from run to run, and what stands for it in both texts.
VARYING = [
    (r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT", "DATE"),
    (r"\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} \+0000", "DATE"),
    (r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z", "DATE"),
    (r"\"timestamp\":\"\d+\"", '"timestamp":"N"'),
    (r"127\.0\.0\.1:\d+ - -", "CLIENT - -"),
    (r"(\[::1\]|::ffff:127\.0\.0\.1|\[::ffff:127\.0\.0\.1\]):\d+ - -", "CLIENT - -"),
    (r" \d\.\d{6} ", " SECONDS "),
    (r"in \d+\.\d ms", "in N ms"),
    (r"CPU  \d+\.\d (us|ms), .*", "CPU  N"),
    (r"^cpu +\d+\.\d us$", "cpu N us"),
    (r"(\(|; )/\S*/(\w+\.c:\d)", r"\1\2"),  # as clang writes names of files
    (r"\d+ workers? on (io_uring|epoll)( \(.*\))?", "N workers"),
    (r"http://(\[::\]|0\.0\.0\.0):", "http://ANY:"),
    (r"  +\d+", " N"),  # aligned by wc and the like
]


class Section:
    """The runnable blocks below one heading: [commands, expected output or None, expected log]."""

    def __init__(self, document, title):
        self.document = document
        self.name = f"{document.name}: {title}"
        self.blocks = []

    def add(self, info, text):
        if info == "sh run":
            self.blocks.append([text, None, []])
        elif info == "text output":
            self.blocks[-1][1] = text
        elif info == "text log":
            self.blocks[-1][2] += text.splitlines()


def sections(document):
    found, fence, lines = [Section(document, "start")], None, []
    for line in document.read_text("utf-8").splitlines():
        if fence is None and re.match(r"#{1,3} ", line):
            found.append(Section(document, line.lstrip("# ").replace("`", "")))
        elif fence is None and line.startswith("```"):
            fence, lines = line[3:].strip(), []
        elif line == "```":
            found[-1].add(fence, "".join(lines))
            fence = None
        else:
            lines.append(line + "\n")
    assert fence is None, f"{document.name}: a block is not closed"
    return [section for section in found if section.blocks]


def normalised(text):
    for pattern, name in VARYING:
        text = re.sub(pattern, name, text, flags=re.M)
    return text.replace("\r", "")


def free_ports(count):
    sockets = [socket.create_server(("", 0)) for _ in range(count)]
    ports = [str(s.getsockname()[1]) for s in sockets]
    for s in sockets:
        s.close()
    return ports


def finish(process):
    """Waits for a script and returns its output; one that hangs is ended together with what it started."""
    try:
        return process.communicate(timeout=SCRIPT_SECONDS)[0].decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        subprocess.run(["pkill", "-P", str(process.pid)], check=False)
        process.kill()
        raise


def run_section(section, folder):
    """Runs the blocks; returns their outputs, the log, and the names for the ports."""
    ports = dict(zip(PORTS, free_ports(len(PORTS))))
    script = PRELUDE + "".join(f"{block[0]}\nprintf '{MARK}'\n" for block in section.blocks)
    for written, real in ports.items():
        script = re.sub(rf"\b{written}\b", real, script)
    (folder / "bin").mkdir()
    (folder / "bin" / "tarn").symlink_to(os.path.abspath(TARN))
    (folder / "work").mkdir()
    if section.document == SCRIPTING:  # its recipes are there
        (folder / "work" / "examples").symlink_to(ROOT / "examples")
    with open(folder / "log", "wb+") as log:
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder / "work",
            env=clean_environment(
                {"PATH": f"{folder}/bin:{os.environ['PATH']}", "PORT": ports["8080"]}
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        output = finish(process)
        log.seek(0)
        stderr = log.read().decode("utf-8", "replace")
    for written, real in ports.items():
        output, stderr = output.replace(real, written), stderr.replace(real, written)
    assert not REPORT.search(stderr), stderr
    assert process.returncode == 0, f"exit code {process.returncode}\n{output}\n{stderr}"
    return output.split(MARK), stderr


ALL_SECTIONS = [section for document in DOCUMENTS for section in sections(document)]


@pytest.mark.parametrize("section", ALL_SECTIONS, ids=lambda section: section.name)
def test_examples(section, tmp_path):
    outputs, log = run_section(section, tmp_path)
    for (commands, expected, _), output in zip(section.blocks, outputs):
        if expected is not None:
            assert normalised(output) == normalised(expected), f"behind\n{commands}\nlog:\n{log}"
    seen = iter(normalised(log).splitlines())
    for _, _, lines in section.blocks:
        for line in lines:
            assert normalised(line) in seen, f"not in the log, or not in this order: {line}\n{log}"


def test_every_document_has_examples():
    for document in DOCUMENTS:
        assert any(section.name.startswith(document.name) for section in ALL_SECTIONS), document


# The options: headings `#### --name ARGUMENT, -x` with a line of facts, against `tarn help --name`.

HEADING = re.compile(r"^#### (.*)\n\n(?:((?:Default|Environment|Also): .*)\n)?", re.M)


def manual_options():
    """{name: (heading words, {fact: value})} as the manual has it."""
    options = {}
    for heading, facts in HEADING.findall(MANUAL.read_text("utf-8")):
        words = re.findall(r"`([^`]+)`", heading)
        pairs = dict(fact.split(": ", 1) for fact in facts.replace("`", "").split(" · ") if fact)
        options[words[0].split()[0]] = (words, pairs)
    return options


def help_options():
    """The options in `tarn --help`, as spelled there."""
    return re.findall(r"^(?:  -\w, | {6})(--[a-z0-9-]+)", run_tarn("--help").stdout, re.M)


def help_facts(option):
    """The rows of `tarn help --option`, and its line of usage."""
    text = run_tarn("help", option).stdout
    usage = re.match(r" +(?:(-\w), )?(--[a-z0-9-]+)(?: ([A-Z]+))?", text)
    rows = re.findall(r"^    ([A-Z][a-z]+(?: written)?)  +(.*(?:\n {18}\S.*)*)", text, re.M)
    return usage.groups(), {name: re.sub(r"\s+", " ", value) for name, value in rows}


def test_the_manual_has_every_option_and_no_other():
    assert sorted(manual_options()) == sorted(help_options())


@pytest.mark.parametrize("option", sorted(manual_options()))
def test_the_entry_of_an_option_says_what_the_program_says(option):
    (letter, name, argument), rows = help_facts(option)
    words, facts = manual_options()[option]
    assert words == [f"{name} {argument}" if argument else name] + ([letter] if letter else [])
    assert facts.get("Environment") == rows.get("Environment")
    assert facts.get("Also") == rows.get("Also written")
    if "Default" in rows or "Environment" in rows:
        assert facts["Default"] == rows.get("Default", "none")


def test_an_option_that_is_no_option_is_noticed():
    """The comparison above can fail: names that are no options have no help."""
    assert "--no-such-option" not in help_options()
    assert run_tarn("help", "no-such-option").returncode == 2


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_somewhere(document):
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#\s]*)(?:#[^)]*)?\)", text):
        if target and not target.startswith("https://"):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert anchor in anchors, f"{document.name} has no heading for #{anchor}"


def test_tests_and_files_that_documents_name_exist():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        text = document.read_text("utf-8")
        for path, name in re.findall(
            r"`((?:src|tests|fuzz|tools)/[\w/.]+\.\w+)(?:::(\w+))?`", text
        ):
            assert (ROOT / path).exists(), f"{document.name} names {path}"
            definition = f"\n{name}(" if path.endswith(".c") else f"def {name}("
            assert not name or definition in (ROOT / path).read_text(
                "utf-8"
            ), f"{document.name} names {path}::{name}"


def test_every_guarantee_names_a_test():
    text = (
        (ROOT / "SECURITY.md").read_text("utf-8").split("## Guarantees")[1].split("## Reporting")[0]
    )
    guarantees = re.split(r"^\d+\. ", text, flags=re.M)[1:]
    assert guarantees
    for guarantee in guarantees:
        assert re.search(r"`(tests/\w+\.py|src/\w+/\w+_test\.c)::\w+`", guarantee), guarantee


def test_metrics_are_all_in_the_manual():
    source = (ROOT / "src" / "server" / "metrics.c").read_text("utf-8")
    names = set(re.findall(r'"(tarn_[a-z_]+)"', source))
    shown = set(re.findall(r"`(tarn_[a-z_]+)(?:\{[a-z]+\})?` \|", MANUAL.read_text("utf-8")))
    assert names == shown


def test_helpers_of_scripts_are_all_in_their_manual():
    header = (ROOT / "src" / "script" / "helpers.h").read_text("utf-8")
    names = re.findall(r"^    X\((zs_\w+), \d\)", header, re.M)
    text = SCRIPTING.read_text("utf-8").split("\n## Helpers\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`zs_.*?) \|", text, re.M)
    shown = [name for row in rows for name in re.findall(r"`(zs_\w+)`", row)]
    assert sorted(shown) == sorted(names)


def test_no_path_of_one_machine():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        assert not re.search(r"(?<![\w/])/(work|root|home)/", document.read_text("utf-8")), document
