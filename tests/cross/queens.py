"""Prints where eight queens can stand; moved to another machine in the middle of a generator."""

import collections
import hashlib
import json


def queens(size, row=0, placed=()):
    if row == size:
        yield placed
        return
    for column in range(size):
        if all(column != c and abs(column - c) != row - r for r, c in enumerate(placed)):
            yield from queens(size, row + 1, placed + (column,))


seen = collections.Counter()
digest = hashlib.sha256()
for number, solution in enumerate(queens(6), 1):
    seen[solution[0]] += 1
    digest.update(bytes(solution))
    print(number, " ".join(f"{chr(97 + c)}{r + 1}" for r, c in enumerate(solution)), flush=True)
print(json.dumps(seen), digest.hexdigest()[:16], f"{sum(s * 0.1 for s in seen):.3f}")
