-- SPDX-License-Identifier: MIT
-- Calls, tables, strings, closures, garbage: what Lua programs do.
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end

local function queens(n)
  local rows, up, down, found = {}, {}, {}, 0
  local function place(c)
    if c > n then found = found + 1 return end
    for r = 1, n do
      if not rows[r] and not up[r + c] and not down[r - c] then
        rows[r], up[r + c], down[r - c] = true, true, true
        place(c + 1)
        rows[r], up[r + c], down[r - c] = nil, nil, nil
      end
    end
  end
  place(1)
  return found
end

local words = {}
for i = 1, 60000 do words[#words + 1] = ("%x"):format(i * 2654435761 % 4294967296):rep(2) end
table.sort(words)
local seen, hits = {}, 0
for _, w in ipairs(words) do
  local key = w:sub(1, 3):upper()
  seen[key] = (seen[key] or 0) + 1
  if w:find("ab%d+") then hits = hits + 1 end
end
print(fib(31), queens(8), #table.concat(words, ","), hits, seen["1A2"])
