-- bench.lua [PERCENT = 100]: an even mix of what Lua programs do, for
-- bench/overhead. Prints a few sums, so that no way to run it can leave work
-- out unseen.

local function scaled(n) return n * (tonumber(arg[1]) or 100) // 100 end

local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end

local function sieve(limit)
  local composite, count = {}, 0
  for i = 2, limit do
    if not composite[i] then
      count = count + 1
      for j = i * i, limit, i do composite[j] = true end
    end
  end
  return count
end

local function words(rounds)
  local counts, total = {}, 0
  for round = 1, rounds do
    local line = ("the quick %d brown fox %x jumps"):format(round, round * 7919)
    for word in line:gmatch("%a+") do counts[word] = (counts[word] or 0) + 1 end
    total = total + #line:gsub("o", "00"):upper()
  end
  return total, counts.fox
end

local Point = {}
Point.__index = Point
Point.__add = function(a, b) return setmetatable({ x = a.x + b.x, y = a.y + b.y }, Point) end

local function objects(rounds)
  local sum = setmetatable({ x = 0, y = 0 }, Point)
  for i = 1, rounds do sum = sum + setmetatable({ x = i, y = -i / 2 }, Point) end
  return sum.x, sum.y
end

local function sorting(count)
  local list, seed = {}, 42
  for i = 1, count do
    seed = (seed * 1103515245 + 12345) % 2147483648
    list[i] = seed
  end
  table.sort(list, function(a, b) return a > b end)
  return list[1], list[count]
end

print(fib(scaled(25)))
print(sieve(scaled(200000)))
print(words(scaled(12000)))
print(objects(scaled(120000)))
print(sorting(scaled(30000)))
