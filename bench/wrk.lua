-- Prints wrk's own totals as one line of JSON after the run; nothing here runs during it, so the
-- generator keeps its static request and its full speed.
-- What is sent is settled before the run.
local post = os.getenv("BENCH_POST")
if post and post ~= "" then
   wrk.method = "POST"
   wrk.body = post
   wrk.headers["Content-Type"] = "application/json"
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      '\nBENCH {"requests": %d, "bytes": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, ' ..
      '"errors": {"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}\n',
      summary.requests, summary.bytes, summary.duration,
      latency:percentile(50), latency:percentile(99),
      e.connect, e.read, e.write, e.status, e.timeout))
end
