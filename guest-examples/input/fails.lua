print("before")
local function deeper(n) return n == 0 and nil + 1 or 1 + deeper(n - 1) end
print(deeper(5))
