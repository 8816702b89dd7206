# Generators, exceptions, a library of its own, files, regular expressions, big numbers.
import collections
import hashlib
import json
import re


def records(count):
    for i in range(count):
        try:
            if i % 17 == 3:
                raise ValueError(i)
            yield {"i": i, "s": chr(97 + i % 26) * (i % 7), "f": i / 7}
        except ValueError as error:
            yield {"error": str(error)}


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


found = list(records(200))
text = json.dumps(found)
print(hashlib.sha256(text.encode()).hexdigest(), json.loads(text) == found)
print(collections.Counter(re.findall(r"[a-z]+", text)).most_common(5))
print(fib(14), 2**200, sum(i * i for i in range(5000)))
with open("lines.txt", "w") as file:
    for record in found:
        print(record, file=file)
with open("lines.txt") as file:
    print(len(file.read()))
raise SystemExit(4)
