-- browser.lua: a page as a browser shows it, and what happens when somebody uses it: Chromium, without a
-- window and without a network.
--
-- The page is put into a frame of the wanted width; a program in the page around it looks and clicks, and
-- its answer is a value. Needs chromium (Debian: apt-get install chromium).
local process = require "spec.support.process"
local rille = require "rille"
local scratch = require "spec.support.scratch"

local browser = {}

local FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
  .. "--disable-component-update --disable-sync --disable-extensions --hide-scrollbars --allow-file-access-from-files "
  .. "--host-resolver-rules='MAP * ~NOTFOUND' --virtual-time-budget=20000"

-- Frames, one after another; the program gets the frame's window and document.
local AROUND = [[<!doctype html><meta charset="utf-8"><body><script>
const answers = [], errors = [];
async function visit({ address, width }) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:800px;border:0`;
  frame.src = address;
  await new Promise(loaded => { frame.onload = loaded; document.body.append(frame); });
  const window_ = frame.contentWindow, document_ = frame.contentDocument;
  window_.onerror = message => { errors.push(String(message)); };
  document_.addEventListener("securitypolicyviolation", e => { errors.push(e.violatedDirective); });
  const $ = selector => document_.querySelector(selector), all = selector => [...document_.querySelectorAll(selector)];
  const text = selector => $(selector) ? $(selector).textContent : null;
  const later = () => new Promise(done => setTimeout(done, 50));
  answers.push(await (async (window, document) => { PROGRAM })(window_, document_));
  frame.remove();
}
(async () => {
  try { for (const one of VISITS) await visit(one); } catch (e) { errors.push(String(e.stack || e)); }
  const done = document.createElement("pre");
  done.id = "answers";
  done.textContent = encodeURIComponent(JSON.stringify({ answers, errors }));
  document.body.replaceChildren(done);
})();
</script>]]

---The command; nil where there is none.
function browser.find()
  local path = process.run "command -v chromium || command -v chromium-browser || command -v google-chrome"
  return path:match "^(/[^\n]+)"
end

local function unescaped(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

---What a program of JavaScript answers for each of the visits.
---@param visits { address: string, width: integer }[] addresses begin with the page's file
---@return any[] answers
function browser.visit(visits, program)
  local parts = { PROGRAM = program, VISITS = rille.json.encode(visits) }
  local around = AROUND:gsub("%u%u+", parts)
  local file, folder = scratch.file("around.html", around), scratch.path "profile"
  local output = process.run(("timeout 120 '%s' %s --user-data-dir='%s' --dump-dom 'file://%s' 2>'%s.messages'")
    :format(browser.find(), FLAGS, folder, file, folder))
  local found = output:match '<pre id="answers">([^<]*)</pre>'
  if not found then error("no answer: " .. output:sub(1, 2000), 2) end
  local told = assert(rille.json.decode(unescaped(found)))
  if #told.errors > 0 then error(table.concat(told.errors, "\n"), 2) end
  return told.answers
end

return browser
