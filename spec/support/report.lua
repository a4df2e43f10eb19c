-- report.lua: how busted tells spec/run.lua what happened: each failure with the
-- line it happened on, and one last line with the counts.
return function(options)
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base" ()

  ---The message's own place, where it has one: an assertion of spec/support blames
  ---its caller.
  local function where(report)
    local place = type(report.message) == "string" and report.message:match "^%.?/?(spec/%S-:%d+):"
    local trace = report.trace or report.element.trace
    if place then return place end
    if not trace or not trace.short_src then return "?" end
    return ("%s:%d"):format(trace.short_src, trace.currentline or 0)
  end

  local function text(message)
    if type(message) == "string" then return message end
    if message == nil then return "it failed without a message" end
    local metatable = getmetatable(message)
    if metatable and metatable.__tostring then return tostring(message) end
    return require "pl.pretty".write(message)
  end

  local function show(kind, report)
    io.write(("%s: %s: %s\n"):format(where(report), kind, report.name))
    io.write("    ", text(report.message):gsub("\n", "\n    "), "\n")
    local traceback = report.trace and report.trace.traceback
    if options.verbose and traceback then io.write(traceback, "\n") end
  end

  function handler.suiteEnd()
    for _, report in ipairs(handler.failures) do show("failed", report) end
    for _, report in ipairs(handler.errors) do show("error", report) end
    for _, report in ipairs(handler.pendings) do
      local place = report.element.trace or {}
      io.write(("%s:%d: skipped: %s"):format(place.short_src or "?", place.currentline or 0, report.name))
      io.write(report.message and ": " .. text(report.message):gsub("^%S+:%d+: ", "") or "", "\n")
    end
    io.write(("%d passed, %d failed, %d skipped\n"):format(handler.successesCount,
      handler.failuresCount + handler.errorsCount, handler.pendingsCount))
    io.stdout:flush()
    return nil, true
  end

  busted.subscribe({ "suite", "end" }, handler.suiteEnd)
  return handler
end
