for i = 1, 3 do print("hello " .. i, #arg, ...) end
