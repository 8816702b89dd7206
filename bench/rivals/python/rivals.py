"""Greenlets of Python; see README.md for what is printed.

They have no scheduler and no channels: a turn is a switch to the other by name, and a message a
switch that hands it a value. So both are less than what the others do.
"""

import sys
import time

from greenlet import getcurrent, greenlet


def report(name, begun, count):
    print(f"{name} {(time.process_time() - begun) * 1e9 / count:.1f}")


def memory():
    """Memory of this process and the page tables for it, in bytes."""
    with open("/proc/self/status") as status:
        lines = [line.split() for line in status]
    return 1024 * sum(int(line[1]) for line in lines if line[0] in ("VmRSS:", "VmPTE:"))


def turns(count):
    def switch(other):
        to = other[0].switch
        for _ in range(count // 2):
            to()

    ones, others = [], []
    ones.append(greenlet(lambda: switch(others)))
    others.append(greenlet(lambda: switch(ones)))
    begun = time.process_time()
    ones[0].switch()
    report("turn", begun, count // 2 * 2)


def messages(count):
    def pong(message):
        to = ping.switch
        while True:
            message = to(message)

    def send():
        to = pongs.switch
        for message in range(count // 2):
            assert to(message) == message

    ping = greenlet(send)
    pongs = greenlet(pong)
    begun = time.process_time()
    ping.switch()
    report("message", begun, count // 2 * 2)


def spawns(count):
    def nothing():
        pass

    begun = time.process_time()
    for _ in range(count):
        greenlet(nothing).switch()
    report("spawn", begun, count)


def live(count):
    def wait():
        getcurrent().parent.switch()

    before = memory()
    alive = []
    for _ in range(count):
        alive.append(greenlet(wait))
        alive[-1].switch()
    print(f"memory {(memory() - before) // len(alive)}")


if __name__ == "__main__":
    asked = [int(arg) for arg in sys.argv[2:]]
    if sys.argv[1] == "times":
        turns(asked[0])
        messages(asked[1])
        spawns(asked[2])
    else:
        live(asked[0])
