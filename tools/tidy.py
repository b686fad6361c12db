#!/usr/bin/env python3
"""Checks the rules of the house that a compiler does not: layers, who includes what, lengths, dead files, marks.

    tools/tidy.py            checks the tree around it
    tools/tidy.py --self-test breaks a copy in each way once and sees it found
"""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

LAYERS = ["base", "http", "bpf", "io", "tls", "site", "req", "conn", "proxy", "script", "cache", "server"]
ONLY_IN = {  # header, or folder of headers -> the folder whose files alone may include it
    "liburing.h": "io",
    "sys/epoll.h": "io",
    "ares.h": "io",
    "sqlite3.h": "cache",
    "maxminddb.h": "script",
    "zlib.h": "site",
    "zstd.h": "site",
    "brotli/encode.h": "site",
    "nghttp2/": "conn",
    "openssl/": "tls",
}
LINE_MAX = 100
FILE_MAX = 1000
FUNCTION_MAX = 100
MARKS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def sources(root):
    for folder in ("src", "fuzz", "bench", "sdk"):
        for base, _, names in os.walk(os.path.join(root, folder)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(base, name), root)


def check_includes(path, lines, found):
    parts = path.split("/")
    if parts[0] != "src":
        return
    layer = parts[1]
    if layer not in LAYERS:
        found.append(f"{path}: folder {layer} is not in the list of layers")
        return
    for number, line in enumerate(lines, 1):
        match = re.match(r'\s*#\s*include\s+["<]([^">]+)[">]', line)
        if not match:
            continue
        name = match.group(1)
        owner = ONLY_IN.get(name) or ONLY_IN.get(name.split("/")[0] + "/")
        if owner and layer != owner:
            found.append(f"{path}:{number}: only src/{owner}/ includes {name}")
        first = name.split("/")[0]
        if '"' in line and first in LAYERS and LAYERS.index(first) > LAYERS.index(layer):
            found.append(f"{path}:{number}: {layer} includes {first}, which is below it")


def check_lengths(path, lines, found):
    if len(lines) > FILE_MAX:
        found.append(f"{path}: {len(lines)} lines, at most {FILE_MAX}")
    for number, line in enumerate(lines, 1):
        if len(line.rstrip("\n")) > LINE_MAX and "http" not in line:
            found.append(f"{path}:{number}: {len(line.rstrip())} columns, at most {LINE_MAX}")
        if MARKS.search(line):
            found.append(f"{path}:{number}: a mark instead of the work")
        if line.rstrip("\n") != line.rstrip("\n").rstrip():
            found.append(f"{path}:{number}: white space at the end")
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start is not None:
            if number - start > FUNCTION_MAX and not line.startswith("};"):
                found.append(f"{path}:{start}: {number - start} lines in one function, at most {FUNCTION_MAX}")
            start = None


def check_guard(path, text, found):
    if path.startswith("src/") and path.endswith(".h"):
        guard = "TARN_" + re.sub(r"[/.]", "_", path[4:]).upper()
        if f"#ifndef {guard}\n#define {guard}\n" not in text:
            found.append(f"{path}: the include guard is not {guard}")
        if not text.startswith("/*"):
            found.append(f"{path}: a header begins with its contract")


def check_dead(paths, texts, found):
    included = set()
    for text in texts.values():
        included.update(re.findall(r'#\s*include\s+"([^"]+)"', text))
    for path in paths:
        if path.startswith("src/") and path.endswith(".h") and path[4:] not in included:
            found.append(f"{path}: nobody includes it")


def check(root):
    found = []
    paths = list(sources(root))
    texts = {}
    for path in paths:
        with open(os.path.join(root, path), encoding="utf-8") as file:
            texts[path] = file.read()
        lines = texts[path].splitlines(keepends=True)
        check_includes(path, lines, found)
        check_lengths(path, lines, found)
        check_guard(path, texts[path], found)
    check_dead(paths, texts, found)
    return found


def self_test():
    breaks = {
        "a layer": ("src/base/str.c", '#include "server/addr.h"\n', "which is below it"),
        "a library": ("src/req/req.c", "#include <liburing.h>\n", "only src/io/"),
        "a long line": ("src/base/str.c", "/* " + "x" * 120 + " */\n", "columns"),
        "a mark": ("src/base/str.c", "/* TO" + "DO */\n", "a mark"),
        "a long file": ("src/base/str.c", "\n" * 1100, "lines, at most"),
        "a long function": ("src/base/str.c", "void\nx(void)\n{\n" + "    ;\n" * 120 + "}\n", "in one function"),
        "a dead header": ("src/base/dead.h", "/* */\n#ifndef TARN_BASE_DEAD_H\n#define TARN_BASE_DEAD_H\n#endif\n", "nobody"),
        "a guard": ("src/base/bad.h", "/* */\n#ifndef BAD_H\n#define BAD_H\n#endif\n", "include guard"),
    }
    for name, (path, text, expected) in breaks.items():
        with tempfile.TemporaryDirectory() as copy:
            subprocess.run(["cp", "-r", os.path.join(ROOT, "src"), copy], check=True)
            with open(os.path.join(copy, path), "a", encoding="utf-8") as file:
                file.write(text)
            if not any(expected in line and path in line for line in check(copy)):
                sys.exit(f"tidy: self-test: {name} was not found")
    print(f"tidy: {len(breaks)} deliberate breaks found")


def main():
    if "--self-test" in sys.argv:
        self_test()
        return
    found = check(ROOT)
    for line in found:
        print(line)
    if found:
        sys.exit(f"tidy: {len(found)} findings")
    print("tidy: clean")


main()
