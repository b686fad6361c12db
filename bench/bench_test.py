#!/usr/bin/python3
"""Unit tests of the benchmark: its arithmetic, its parsers, and that it refuses doubtful figures.

    python3 -m unittest bench/bench_test.py
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
# pylint: disable=wrong-import-position
import contestants
import measure
import procfs
import report
import workloads
from cgroup import CgroupError, MemoryGroup
from contestants import BenchError

WRK_OUTPUT = """Running 1s test
  1 threads and 100 connections
BENCH {"requests": 10, "bytes": 2000, "duration_us": 1000000, "p50_us": 5, "p99_us": 9, \
"errors": {"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0}}
"""


H2LOAD_OUTPUT = """progress: 100% of clients started
TLS Protocol: TLSv1.3
Cipher: TLS_AES_128_GCM_SHA256
Server Temp Key: X25519 253 bits
Application protocol: h2
Main benchmark duration is over for thread #0. Stopping all clients.

finished in 1.00s, 1000.00 req/s, 12.04MB/s
requests: 1000 total, 1020 started, 1000 done, 1000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 1004 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 12.04MB (12620192) total, 7.59MB (7959730) headers (space savings 39.20%), 171.29KB \
(175400) data
                     min         max         mean         sd        +/- sd
time for request:      234us     11.96ms      4.27ms      1.99ms    67.28%
time for connect:        0us         0us         0us         0us     0.00%
"""


class WorkloadTest(unittest.TestCase):
    def test_groups_name_only_known_workloads(self):
        for name in workloads.GROUPS:
            self.assertTrue(workloads.select([name]))

    def test_a_workload_is_taken_once(self):
        names = [workload.name for workload in workloads.select(["174B", "core", "174B@100"])]
        self.assertEqual(names.count("174B"), 1)

    def test_other_connections_make_another_workload_without_bars(self):
        workload = workloads.lookup("174B@500")
        self.assertEqual((workload.name, workload.connections), ("174B@500", 500))
        self.assertEqual((workload.bar, workload.goal), (0, 0))
        self.assertGreater(workloads.lookup("174B").bar, 0)

    def test_unknown_names_are_refused(self):
        for name in ("175B", "174B@", "174B@x", "174B@0", "idle@5"):
            with self.assertRaises(KeyError, msg=name):
                workloads.lookup(name)


class WrkTest(unittest.TestCase):
    def setUp(self):
        self.workload = workloads.lookup("174B")
        self.totals = measure.parse_bench(WRK_OUTPUT)

    def check(self, response_len=200):
        measure.check_totals("x", self.totals, self.workload, response_len)

    def test_good_totals_pass(self):
        self.check()

    def test_answers_cut_off_by_the_end_pass(self):
        self.totals["bytes"] += 100 * 200
        self.check()

    def test_any_error_is_refused(self):
        for kind in list(self.totals["errors"]):
            self.totals["errors"] = dict.fromkeys(self.totals["errors"], 0)
            self.totals["errors"][kind] = 1
            with self.assertRaisesRegex(BenchError, kind):
                self.check()

    def test_answers_of_another_size_are_refused(self):
        for response_len in (201, 10):
            with self.assertRaisesRegex(BenchError, "expected one"):
                self.check(response_len)

    def test_no_request_is_refused(self):
        self.totals.update(requests=0, bytes=0)
        with self.assertRaisesRegex(BenchError, "no request"):
            self.check()

    def test_output_without_totals_is_refused(self):
        with self.assertRaises(BenchError):
            measure.parse_bench("unable to connect")

    def test_big_bodies_are_counted_by_bytes(self):
        totals = dict(self.totals, bytes=25_000_000)
        self.assertEqual(measure.served_count(totals, workloads.lookup("10MB"), 10_000_000), 2.5)
        self.assertEqual(measure.served_count(totals, workloads.lookup("10KB"), 10_000_000), 10)

    def test_a_sample_divides_by_requests_and_by_time(self):
        sample = measure.load_sample(self.totals, 10, 500_000_000, 700_000_000, {"pss_kib": 1})
        self.assertEqual(sample["cpu_us"], 50_000)
        self.assertEqual(sample["requests_per_s"], 10)
        self.assertEqual(sample["busy_share"], 0.5)
        self.assertAlmostEqual(sample["foreign_share"], 0.2)
        self.assertEqual(sample["core_us"], 70_000)


class H2loadTest(unittest.TestCase):
    def check(self, old="", new="", response_len=174):
        self.assertIn(old, H2LOAD_OUTPUT)
        totals = measure.parse_h2load(H2LOAD_OUTPUT.replace(old, new) if old else H2LOAD_OUTPUT)
        measure.check_totals("x", totals, workloads.lookup("h2-174B"), response_len)
        return totals

    def test_good_totals_pass(self):
        totals = self.check()
        self.assertEqual((totals["requests"], totals["bytes"]), (1000, 175_400))
        self.assertEqual((totals["mean_us"], totals["max_us"]), (4270, 11_960))
        self.assertEqual(totals["duration_us"], 1_000_000)

    def test_a_sample_has_what_the_table_shows(self):
        sample = measure.load_sample(self.check(), 1000, 10_000_000, 20_000_000, {"pss_kib": 1})
        self.assertEqual(sample["cpu_us"], 10)
        for metric, _, _, _ in report.COLUMNS["h2"]:
            self.assertIn(metric, sample)

    def test_any_error_is_refused(self):
        for old, new, kind in ((" 0 failed", " 1 failed", "failed"),
                               (" 0 errored", " 1 errored", "errored"),
                               (" 0 timeout", " 1 timeout", "timeout"),
                               (" 0 3xx", " 1 3xx", "status"), (" 0 5xx", " 1 5xx", "status"),
                               ("1000 total", "1001 total", "unfinished"),
                               ("1004 2xx", "999 2xx", "without 2xx"),
                               ("protocol: h2", "protocol: http/1.1", "other protocol")):
            with self.assertRaisesRegex(BenchError, kind):
                self.check(old, new)

    def test_bodies_of_another_size_are_refused(self):
        for response_len in (100, 176):
            with self.assertRaisesRegex(BenchError, "expected one"):
                self.check(response_len=response_len)

    def test_all_streams_may_be_cut_off(self):
        self.check("(175400) data", f"({1000 * 174 + 200 * 174}) data")
        with self.assertRaisesRegex(BenchError, "expected one"):
            self.check("(175400) data", f"({1000 * 174 + 200 * 174 + 1}) data")

    def test_output_without_totals_is_refused(self):
        with self.assertRaisesRegex(BenchError, "no totals"):
            measure.parse_h2load("Could not connect to host")

    def test_times_have_units(self):
        for text, expected in (("0us", 0), ("12us", 12), ("4.5ms", 4500), ("2.00s", 2_000_000),
                               ("1m", 60_000_000)):
            self.assertEqual(measure.parse_duration_us(text), expected)
        with self.assertRaises(BenchError):
            measure.parse_duration_us("soon")


class HandshakeTest(unittest.TestCase):
    OUTPUT = ('BENCH {"requests": 9, "bytes": 0, "duration_us": 1000000, "p50_us": 5, "p99_us": 9,'
              ' "errors": {"connect": 0, "handshake": 0, "not resumed": 0, "stuck": 0}}\n')

    def test_good_totals_pass_and_any_error_is_refused(self):
        workload = workloads.lookup("handshake-resumed")
        measure.check_totals("x", measure.parse_bench(self.OUTPUT), workload, 0)
        for kind in ("connect", "handshake", "not resumed", "stuck"):
            broken = self.OUTPUT.replace(f'"{kind}": 0', f'"{kind}": 1')
            with self.assertRaisesRegex(BenchError, kind):
                measure.check_totals("x", measure.parse_bench(broken), workload, 0)


class TlsSetupTest(unittest.TestCase):
    """What each contestant is told when the workload is over TLS, and that it is not otherwise."""

    CONTESTANTS = (contestants.Tarn("tarn", "epoll"), contestants.Nginx("nginx"),
                   contestants.Caddy("caddy"))

    @staticmethod
    def told(contestant, credentials):
        setup = contestants.Setup(site=Path("/site"), file=Path("/site/x"), status=200, workers=1,
                                  cpus=(0,), connections=1, tls=credentials)
        with tempfile.TemporaryDirectory() as scratch:
            argv = contestant.command(setup, Path(scratch), 1)
            files = [path.read_text() for path in Path(scratch).iterdir()]
        return "\n".join([*argv, *files])

    def test_each_gets_certificate_and_key(self):
        credentials = contestants.Credentials(Path("/the.cert"), Path("/the.key"))
        for contestant in self.CONTESTANTS:
            self.assertTrue(contestant.does_tls)
            for word in ("/the.cert", "/the.key"):
                self.assertIn(word, self.told(contestant, credentials))
                self.assertNotIn(word, self.told(contestant, None))


class AnswerTest(unittest.TestCase):
    def test_length_is_found_in_any_case(self):
        self.assertEqual(measure.content_length(b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 12"), 12)

    def test_304_has_no_body_whatever_it_says(self):
        self.assertEqual(measure.content_length(b"HTTP/1.1 304 X\r\nContent-Length: 12"), 0)

    def test_missing_length_is_refused(self):
        with self.assertRaises(BenchError):
            measure.content_length(b"HTTP/1.1 200 OK\r\nDate: x")


class ProcfsTest(unittest.TestCase):
    @staticmethod
    def burn(seconds):
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    def test_process_clock_is_the_sum_of_schedstat(self):
        self.burn(0.05)
        clock = procfs.process_cpu_ns(os.getpid())
        threads = procfs.threads_cpu_ns(os.getpid())
        self.assertGreater(clock, 40_000_000)
        self.assertLess(abs(clock - threads), 20_000_000)

    def test_time_of_ended_threads_is_kept(self):
        before = procfs.cpu_ns([os.getpid()])
        thread = threading.Thread(target=self.burn, args=(0.05,))
        thread.start()
        thread.join()
        self.assertGreater(procfs.cpu_ns([os.getpid()]) - before, 45_000_000)

    def test_tree_has_grandchildren(self):
        with subprocess.Popen(["sh", "-c", "sleep 5 & echo $!; wait"], stdout=subprocess.PIPE,
                              text=True, start_new_session=True) as shell:
            grandchild = int(shell.stdout.readline())
            try:
                self.assertEqual(procfs.tree_of(shell.pid), sorted([shell.pid, grandchild]))
            finally:
                os.kill(grandchild, 9)
                shell.wait()

    def test_memory_grows_with_use(self):
        before = procfs.pss_kib([os.getpid()])
        block = bytearray(os.urandom(8 << 20))
        self.assertGreater(procfs.pss_kib([os.getpid()]) - before, 7 << 10)
        self.assertGreater(procfs.peak_rss_kib([os.getpid()]), len(block) >> 10)


class CgroupTest(unittest.TestCase):
    """Against plain directories: which files are written, and that nothing is left behind."""

    def test_a_directory_without_memory_control_is_refused_and_left_clean(self):
        with tempfile.TemporaryDirectory() as parent:
            with self.assertRaisesRegex(CgroupError, "no memory controller"):
                with MemoryGroup(parent, 1):
                    pass
            self.assertEqual(os.listdir(parent), [])

    def test_limit_and_peak_of_both_versions(self):
        for limit, peak in (("memory.max", "memory.peak"),
                            ("memory.limit_in_bytes", "memory.max_usage_in_bytes")):
            with tempfile.TemporaryDirectory() as parent:
                group = MemoryGroup(parent, 12345)
                group.path.mkdir()
                (group.path / limit).write_text("")
                (group.path / peak).write_text("678\n")
                # The kernel makes the files with the directory; here they are there before.
                group._set_limit()  # pylint: disable=protected-access
                self.assertEqual((group.path / limit).read_text(), "12345")
                self.assertEqual(group.peak_bytes(), 678)


def result_of(ours, peer, **workload):
    samples = {name: [dict(requests_per_s=1, cpu_us=value, core_us=3 * value, busy_share=1,
                           foreign_share=0.0, p50_us=1, p99_us=1, pss_kib=1024) for value in values]
               for name, values in (("tarn-uring", ours), ("nginx", peer))}
    described = dict(name="w", title="t", kind="load", connections=1, memory_limit=0, bar=1.7,
                     goal=1.9, **workload)
    return {"workload": described, "options": {"rounds": 3, "seconds": 1, "memory_cgroup": False},
            "contestants": {name: {"label": name, "samples": rows,
                                   "summary": report.summarize(rows)}
                            for name, rows in samples.items()},
            "ratios": report.ratios("load", samples)}


class ReportTest(unittest.TestCase):
    def test_ratio_is_the_median_of_the_rounds(self):
        # The medians alone would say 20 / 10; round by round it is 1.5, 2.5, 1.5.
        result = result_of([10, 8, 20], [15, 20, 30])
        self.assertEqual(result["ratios"]["tarn-uring"]["nginx"],
                         {"median": 1.5, "min": 1.5, "max": 2.5})

    def test_bars(self):
        for peer, met, words in ((16, False, "MISSED"), (18, True, "bar 1.7 met, goal 1.9 not yet"),
                                 (20, True, "goal 1.9 met")):
            text, is_met = report.verdicts(result_of([10], [peer]))[0]
            self.assertEqual(is_met, met)
            self.assertIn(words, text)

    def test_the_whole_core_is_told(self):
        text, _ = report.verdicts(result_of([10, 10], [20, 22]))[0]
        self.assertIn("; interrupts included 2.10 (2.00-2.20)", text)

    def test_text_and_markdown_have_every_contestant(self):
        result = result_of([10, 11], [20, 22])
        for text in (report.as_text(result), report.as_markdown(result)):
            self.assertIn("tarn-uring", text)
            self.assertIn("20.00-22.00", text)
            self.assertIn("2.00 (2.00-2.00)", text)

    def test_a_busy_machine_is_said(self):
        result = result_of([10], [20])
        result["contestants"]["nginx"]["summary"]["foreign_share"]["median"] = 0.5
        self.assertIn("50%", report.warnings(result)[0])


if __name__ == "__main__":
    unittest.main()
