# Generators, closures, exceptions, modules of its own, files, big numbers.
import binascii
import hashlib
import json
import os
import re
import sys


class Version:
    def __init__(self, number):
        self.number = number

    def __lt__(self, other):
        return self.number < other.number

    def __repr__(self):
        return "v%d" % self.number


def records(count):
    for i in range(count):
        try:
            if i % 17 == 3:
                raise ValueError(i)
            yield {"i": i, "s": chr(97 + i % 26) * (i % 7), "f": i / 8}
        except ValueError as error:
            yield {"error": str(error)}


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)


found = list(records(150))
text = json.dumps(found)
digest = hashlib.sha256(text.encode()).digest()
print(binascii.hexlify(digest).decode(), json.loads(text) == found)
print(sorted(Version(i * 7919 % 61) for i in range(1, 61))[:8])
print(fib(14), 2**200, deep(40), sum(i * i for i in range(5000)))
print(re.match(r"(\w+) (\d+)", "record 17").group(2), sys.implementation.name)
try:
    {}["none"]
except KeyError as error:
    print("KeyError", error)
finally:
    print("finally")
with open("lines.txt", "w") as file:
    for record in found:
        file.write(repr(record) + "\n")
with open("lines.txt") as file:
    print(len(file.read()), file.read() == "")
print(sorted(os.listdir(".")))
add = [lambda x, i=i: x + i for i in range(5)]
print([f(10) for f in add])
sys.exit(5)
