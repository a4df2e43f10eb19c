-- page.lua: a report as one HTML page: its data as JSON, with the style and the script that show
-- it (lua/report/), which are parts of this library as text.
--
-- The page loads nothing, and runs no script but its own, which a number that nobody knows
-- beforehand vouches for. Data can't end the element that it is in: there is no "<" in it.

local core = ...
local rille = require "rille"

---@class rille.page
local page = {}

local UNSAFE = { ["<"] = "\\u003c", [">"] = "\\u003e", ["&"] = "\\u0026",
                 ["\226\128\168"] = "\\u2028", ["\226\128\169"] = "\\u2029" }
local SCRIPTS = { "elements_js", "timeline_js", "travel_js", "page_js" }
local ENTITIES = { ["<"] = "&lt;", [">"] = "&gt;", ["&"] = "&amp;", ['"'] = "&quot;" }

---A value as JSON that may stand in an HTML page.
function page.json(value)
  local text = assert(rille.json.encode(value))
  return (text:gsub("[<>&]", UNSAFE):gsub("\226\128[\168\169]", UNSAFE))
end

local function hexadecimal(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

local function script()
  local parts = {}
  for i, name in ipairs(SCRIPTS) do parts[i] = require("rille." .. name) end
  return table.concat(parts, "\n")
end

---@param report table as report.lua collects it
---@return string html
function page.html(report)
  local parts = { title = report.title:gsub('[<>&"]', ENTITIES), data = page.json(report),
                  nonce = hexadecimal(core.entropy()), style = require "rille.page_css", script = script() }
  return (require "rille.page_html":gsub("{{(%l+)}}", parts))
end

return page
