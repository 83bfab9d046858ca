-- Plays prepared requests from a file, each a length of eight hex digits and then the exact bytes.
-- Arguments: the file; "once" ends with the file, "again" begins anew. PACE_MS waits between requests.

local ffi = require("ffi")
ffi.cdef("int getpid(void); int kill(int process, int signal);")
local SIGINT = 2

local input, again
local asked = 0

local function next_request()
  local length = input:read(8)
  if length == nil and again then
    input:seek("set", 0)
    length = input:read(8)
  end
  return length and input:read(tonumber(length, 16))
end

function init(arguments)
  input = assert(io.open(arguments[1], "rb"))
  again = arguments[2] == "again"
end

function request()
  local bytes = next_request()
  if asked == 0 then
    -- wrk asks once before it begins, to look at the request, and throws that one away.
    input:seek("set", 0)
  end
  asked = asked + 1
  if bytes == nil then
    -- wrk sleeps until its time is over, unless it is interrupted: then it ends in order, and measures
    -- until then. What was asked and not answered yet is not counted: at most one request a connection.
    wrk.thread:stop()
    ffi.C.kill(ffi.C.getpid(), SIGINT)
    return "GET / HTTP/1.1\r\n\r\n"
  end
  return bytes
end

local pace = tonumber(os.getenv("PACE_MS") or "")
if pace then
  function delay()
    return pace
  end
end

function done(summary, latency)
  local failed = summary.errors
  io.write(string.format(
    '{"answered":%d,"microseconds":%d,"refused":%d,"broken":%d,"p50_ms":%.3f,"p99_ms":%.3f}\n',
    summary.requests, summary.duration, failed.status,
    failed.connect + failed.read + failed.write + failed.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
