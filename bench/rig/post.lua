-- wrk posts events that were signed before: a file of "id timestamp signature" for each thread, one body for all.
-- Arguments: directory, path, "close" or "keep-alive". Ids that have run out come again, which the rows then show.

local thread_count = 0

function setup(thread)
    thread:set("number", thread_count)
    thread_count = thread_count + 1
end

function init(args)
    local directory, path, connection = args[1], args[2], args[3]
    local file = io.open(directory .. "/body", "rb")
    body = file:read("*a")
    file:close()
    head = "POST " .. path .. " HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: " .. connection
        .. "\r\ncontent-type: application/json\r\ncontent-length: " .. #body .. "\r\n"
    signed = {}
    for line in io.lines(directory .. "/signed." .. number) do
        local id, timestamp, signature = line:match("(%S+) (%S+) (%S+)")
        signed[#signed + 1] = "webhook-id: " .. id .. "\r\nwebhook-timestamp: " .. timestamp
            .. "\r\nwebhook-signature: " .. signature .. "\r\n\r\n"
    end
    place = 0
end

function request()
    place = place % #signed + 1
    return head .. signed[place] .. body
end

function done(summary, latency, requests)
    local errors = summary.errors
    print(string.format(
        'RESULT {"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "non_2xx": %d, "socket_errors": %d}',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        errors.status, errors.connect + errors.read + errors.write + errors.timeout
    ))
end
