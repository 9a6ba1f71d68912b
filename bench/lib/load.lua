-- For wrk: a browser's headers and, in turn, the cookies of a file; so many requests at once of each
-- connection; at the end one line of numbers.
local requests, last, pipelined = {}, 0, 1

function init(args)
  pipelined = tonumber(args[2])
  wrk.headers["Host"] = "localhost:3000"
  wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
  wrk.headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
  wrk.headers["Accept-Language"] = "en-GB,en;q=0.5"
  wrk.headers["Accept-Encoding"] = "gzip, deflate, br"
  for line in io.lines(args[1]) do
    wrk.headers["Cookie"] = line
    requests[#requests + 1] = wrk.format()
  end
end

function request()
  local text = ""
  for _ = 1, pipelined do
    last = last % #requests + 1
    text = text .. requests[last]
  end
  return text
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("numbers %d %d %d %d %d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed))
end
