-- SPDX-License-Identifier: MIT
-- What a build of the interpreter could get wrong: numbers, calls through pointers, setjmp-based
-- errors, coroutines, the collector, files, sub-processes.
assert(arg[1] == "one" and arg[2] == "two")

assert(1 << 62 == 4611686018427387904 and math.maxinteger + 1 == math.mininteger)
assert(7 // 2 == 3 and -7 // 2 == -4 and -7 % 3 == 2 and 7.5 // 2 == 3.0)
assert(string.format("%.14g %5.2f %x %q", 0.1, math.pi, 255, "a\nb") == '0.1  3.14 ff "a\\\nb"')
assert(math.tointeger("8") == 8 and tostring(2^53) == "9.007199254741e+15")
assert(("x"):rep(1000):len() == 1000 and ("hello world"):gsub("o", "0") == "hell0 w0rld")
assert(("key = value"):match("^(%w+)%s*=%s*(%w+)$") == "key")
assert(string.pack("<i4z", 77, "abc") == "M\0\0\0abc\0")
assert(utf8.char(228, 8364) == "ä€")

local ok, err = pcall(function() error({ code = 42 }) end)
assert(not ok and err.code == 42)
assert(not pcall(string.rep, "x", -1, {}))
local deep = 0
local function recurse() deep = deep + 1; return 1 + recurse() end
ok, err = pcall(recurse)
assert(not ok and err:find("stack overflow") and deep > 1000)
assert(select(2, xpcall(error, function(m) return "handled " .. m end, "x")) == "handled x")

local gen = coroutine.wrap(function() for i = 1, 100 do coroutine.yield(i * i) end end)
local sum = 0
for _ = 1, 100 do sum = sum + gen() end
assert(sum == 338350)

local t = setmetatable({}, { __index = function(_, k) return k * 2 end, __len = function() return 9 end })
assert(t[21] == 42 and #t == 9)
local weak = setmetatable({}, { __mode = "v" })
for i = 1, 1000 do weak[i] = {} end
collectgarbage()
assert(next(weak) == nil)
do
  local closed = false
  do local c <close> = setmetatable({}, { __close = function() closed = true end }) end
  assert(closed)
end
local words = {}
for i = 1, 20000 do words[i] = ("%05d"):format((i * 7919) % 20000) end
table.sort(words)
for i = 2, #words do assert(words[i - 1] <= words[i]) end

local name = os.tmpname()
local f = assert(io.open(name, "w+"))
f:write("line 1\nline 2\n", 3.5, "\n")
f:seek("set")
assert(f:read("l") == "line 1" and f:read("L") == "line 2\n" and f:read("n") == 3.5)
f:close()
assert(os.rename(name, name .. ".x") and os.remove(name .. ".x") and not io.open(name))
assert(os.date("!%Y-%m-%d", 86400) == "1970-01-02" and os.time() > 1600000000)
assert(load("return ...")(5) == 5 and not load("return return"))

local p = assert(io.popen("echo from the shell; exit 3"))
assert(p:read("a") == "from the shell\n")
assert(select(3, p:close()) == 3)
assert(select(3, os.execute("kill -9 $$")) == 9)

print("lua: all good")
