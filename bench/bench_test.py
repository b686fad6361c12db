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
        self.totals = measure.parse_wrk(WRK_OUTPUT)

    def check(self, response_len=200):
        measure.check_wrk("x", self.totals, self.workload, response_len)

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
            measure.parse_wrk("unable to connect")

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
    samples = {name: [dict(requests_per_s=1, cpu_us=value, core_us=3 * value, busy_share=1, foreign_share=0.0,
                           p50_us=1, p99_us=1, pss_kib=1024) for value in values]
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
