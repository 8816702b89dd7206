-- demo.lua [SCALE = 1]: a walk through Lua that a budget may interrupt at any
-- place. Prints the same lines in every run; works in the folder it is given,
-- and leaves it as it was. On standard input: a name, a count, that many
-- numbers, and then lines of text.

local scale = tonumber(arg[1]) or 1

local function section(title)
  print(("-- %s %s"):format(title, ("-"):rep(40 - #title)))
end

-- Keys in order: pairs() goes by hash values, which are nobody's business.
local function sorted(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  local i = 0
  return function()
    i = i + 1
    if keys[i] ~= nil then return keys[i], t[keys[i]] end
  end
end

------------------------------------------------------------------------------
section "standard input"

local name = io.read("l") or "nobody"
print("Hello, " .. name .. "!")
local count = io.read("n") or 0
local sum, largest = 0, -math.huge
for _ = 1, count do
  local number = io.read("n")
  sum, largest = sum + number, math.max(largest, number)
end
io.read("l") -- the rest of that line
print(("%d numbers, sum %g, largest %g"):format(count, sum, largest))
local text = {}
for line in io.lines() do text[#text + 1] = line end
print(#text .. " lines of text")

------------------------------------------------------------------------------
section "strings"

local all = table.concat(text, "\n")
local frequency = {}
for word in all:gmatch("%a+") do
  word = word:lower()
  frequency[word] = (frequency[word] or 0) + 1
end
for word, times in sorted(frequency) do
  if times > 1 then print(("  %-8s%s"):format(word, ("*"):rep(times))) end
end
print((all:gsub("(%w+) (%w+)", "%2 %1", 2)))
print((all:sub(1, 40):gsub("[aeiou]", { a = "4", e = "3", o = "0" })))
print((("a,b;c d"):gsub("[,; ]", string.byte)))
print(all:find("wasm", 1, true), all:match("(%d+)%-(%d+)"))
print(("%5d|%-5d|%05.1f|%x|%q|%s"):format(42, 42, math.pi, 255, 'a "b"\n', true))
print(("tasklet"):reverse(), ("tasklet"):upper(), #"tasklet", ("x"):rep(3, "-"))
print(utf8.char(252, 8364, 128512), utf8.len("grün"), ("%s"):format(("A"):byte()))
print(string.pack("<i4 z", 258, "ab"):byte(1, -1))

local lines = {}
for i = 1, 600 * scale do
  lines[#lines + 1] = ("%d:%s"):format(i, ("%x"):format(i * 2654435761 % 4294967296))
end
local joined = table.concat(lines, " ")
local letters = select(2, joined:gsub("%a", ""))
print(#joined .. " characters, " .. letters .. " letters")

------------------------------------------------------------------------------
section "closures and varargs"

local function counter(step)
  local n = 0
  return function() n = n + step; return n end, function() n = 0 end
end
local by_three, reset = counter(3)
by_three(); by_three()
print(by_three(), reset(), by_three())

local function compose(...)
  local steps = table.pack(...)
  return function(value)
    for i = 1, steps.n do value = steps[i](value) end
    return value
  end
end
print(compose(math.sqrt, math.floor, tostring)(1000), select("#", nil, nil), select(-1, 1, 2, 3))

local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
print("fib", fib(15 + scale))

local cache = setmetatable({}, { __index = function(t, n)
  local value = n < 2 and n or t[n - 1] + t[n - 2]
  t[n] = value
  return value
end })
print("fib by __index", cache[60])

------------------------------------------------------------------------------
section "metatables"

local Vector = {}
Vector.__index = Vector
local function vector(x, y) return setmetatable({ x = x, y = y }, Vector) end
Vector.__add = function(a, b) return vector(a.x + b.x, a.y + b.y) end
Vector.__mul = function(a, k) return vector(a.x * k, a.y * k) end
Vector.__eq = function(a, b) return a.x == b.x and a.y == b.y end
Vector.__lt = function(a, b) return a:length() < b:length() end
Vector.__le = function(a, b) return not (b < a) end
Vector.__len = function() return 2 end
Vector.__call = function(self, key) return self[key] end
Vector.__concat = function(a, b) return tostring(a) .. tostring(b) end
Vector.__tostring = function(v) return ("(%g, %g)"):format(v.x, v.y) end
function Vector:length() return math.sqrt(self.x ^ 2 + self.y ^ 2) end

local a, b = vector(3, 4), vector(1, 0.5)
print(tostring(a + b), tostring(a * 2), a == vector(3, 4), b < a, b >= a, #a, a "y", a .. b, a:length())

local Animal = {}
Animal.__index = Animal
function Animal.new(class, name) return setmetatable({ name = name }, class) end
function Animal:speak() return self.name .. " says " .. self:sound() end
local Dog = setmetatable({}, { __index = Animal })
Dog.__index = Dog
function Dog:sound() return "woof" end
print(Animal.new(Dog, "Rex"):speak())

do -- to-be-closed variables run in reverse
  local function closing(what)
    return setmetatable({}, { __close = function() print("closing " .. what) end })
  end
  local first <close> = closing("first")
  local second <close> = closing("second")
  print("inside")
end

local weak, kept = setmetatable({}, { __mode = "v" }), {}
for i = 1, 100 do
  weak[i] = {}
  if i % 10 == 0 then kept[#kept + 1] = weak[i] end
end
collectgarbage()
local alive = 0
for _ in pairs(weak) do alive = alive + 1 end
print(alive .. " of 100 survive the collector")

------------------------------------------------------------------------------
section "numbers"

print(7 // 2, -7 // 2, 7 % -3, -7 % 3, 7 / 2, 2 ^ 10, 1 << 40, 0xff ~ 0x0f, ~0)
print(math.maxinteger + 1 == math.mininteger, math.type(1), math.type(1.0), 10 // 0.0, 3 | 4)
print(tonumber("0x1p4"), tonumber("  12  "), tonumber("z", 36), tonumber("1e1"), tonumber("none"))
math.randomseed(42)
local dice = {}
for _ = 1, 1200 do
  local n = math.random(6)
  dice[n] = (dice[n] or 0) + 1
end
print("dice", table.concat(dice, " "))

local composite, primes = {}, 0
for n = 2, 5000 * scale do
  if not composite[n] then
    primes = primes + 1
    for m = n * n, 5000 * scale, n do composite[m] = true end
  end
end
print(primes .. " primes")

local pi, sign = 0.0, 1.0
for i = 1, 10000 * scale, 2 do
  pi, sign = pi + sign / i, -sign
end
print(("pi is about %.6f"):format(pi * 4))

------------------------------------------------------------------------------
section "tables"

local people = {}
for i = 1, 200 * scale do
  people[i] = { id = i, age = i * 7919 % 90, name = "p" .. i * 31 % 1000 }
end
table.sort(people, function(x, y)
  if x.age ~= y.age then return x.age < y.age end
  return x.id < y.id
end)
for i = 1, #people, #people // 8 do
  local p = people[i]
  print(("  %3d years: %-5s number %d"):format(p.age, p.name, p.id))
end
local list = { 1, 2, 3, 4, 5 }
table.insert(list, 3, "new")
table.remove(list, 1)
table.move(list, 2, 4, 6)
print(table.concat(list, " "), table.unpack(list, 1, 2))

-- Queens on a board: recursion, with tables going back and forth.
local function queens(n)
  local solutions, columns, up, down = 0, {}, {}, {}
  local function place(row)
    if row > n then solutions = solutions + 1; return end
    for c = 1, n do
      if not (columns[c] or up[row + c] or down[row - c]) then
        columns[c], up[row + c], down[row - c] = true, true, true
        place(row + 1)
        columns[c], up[row + c], down[row - c] = nil, nil, nil
      end
    end
  end
  place(1)
  return solutions
end
for n = 4, 6 do print(n .. " queens: " .. queens(n) .. " solutions") end

-- Life on a torus: a glider moves on by one cell, down and right, in four steps.
local width, height, grid = 12, 8, {}
for y = 0, height - 1 do
  grid[y] = {}
  for x = 0, width - 1 do grid[y][x] = 0 end
end
for _, cell in ipairs { { 1, 0 }, { 2, 1 }, { 0, 2 }, { 1, 2 }, { 2, 2 } } do
  grid[cell[2]][cell[1]] = 1
end
local function step()
  local after = {}
  for y = 0, height - 1 do
    after[y] = {}
    for x = 0, width - 1 do
      local near = -grid[y][x]
      for dy = -1, 1 do
        for dx = -1, 1 do near = near + grid[(y + dy) % height][(x + dx) % width] end
      end
      after[y][x] = (near == 3 or near == 2 and grid[y][x] == 1) and 1 or 0
    end
  end
  grid = after
end
for generation = 0, 12 do
  if generation % 4 == 0 then
    print("generation " .. generation)
    for y = 0, height - 1 do
      local row = {}
      for x = 0, width - 1 do row[#row + 1] = grid[y][x] == 1 and "#" or "." end
      print("  " .. table.concat(row))
    end
  end
  step()
end

------------------------------------------------------------------------------
section "loaded code"

local chunk = load("local n = ... return n * n + (offset or 0)", "square", "t", { offset = 1 })
print(chunk(12), load("return", "nothing")() == nil)
goto over
print("never printed")
::over::
print(pcall(function(...) return select("#", ...) end, 1, nil, 3))

------------------------------------------------------------------------------
section "files"

local path, renamed = "demo-notes.txt", "demo-renamed.txt"
local file = assert(io.open(path, "w"))
for i = 1, 20 do file:write("note ", i, "\t", i * i, "\n") end
print(file:seek("cur", 0), file:seek("set", 5), file:seek("end"))
file:close()
print(io.type(file), io.type(io.stdout))

local total = 0
for note, square in io.lines(path, "l", "l") do
  total = total + tonumber(note:match("\t(%d+)")) + tonumber(square:match("\t(%d+)"))
end
print("squares add up to " .. total)

file = assert(io.open(path, "r+"))
file:seek("set", 5)
file:write("ONE")
file:seek("set")
print(file:read("l"), file:read(6), file:read(0) == "", #file:read("a"), file:read("l"))
file:close()

file = assert(io.open(path, "a"))
file:write("3.5 0x10 -2e2 rest\n"):close()
file = assert(io.open(path))
file:seek("end", -19)
print(file:read("n", "n", "n", "l"))
file:close()

print(os.rename(path, renamed), io.open(path) == nil, (select(2, io.open(path))))
print(os.remove(renamed), (os.remove(renamed)))

------------------------------------------------------------------------------
section "the end"
print(os.date("!%Y-%m-%d %H:%M", 86400 * 365), os.time { year = 2000, month = 1, day = 1, hour = 12 } > 0)
print(os.clock() >= 0, os.getenv("TASKLET_DEMO_UNSET"))
print("bye, " .. name)
