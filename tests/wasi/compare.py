"""Runs calls.wasm in three ways and compares what it tells, line by line; see `run`."""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile

import wasmtime

HERE = os.path.dirname(os.path.abspath(__file__))
MODULE = os.path.join(HERE, "calls.wasm")
ANSWERS = os.path.join(HERE, "answers.txt")
KNOWN = os.path.join(HERE, "..", "..", "docs", "wasi.md")
INPUT = b"one\ntwo two\nthree three three\n"
ARGS = ["", "two words", "\u00e9\U0001f600", "-x=\\\"'\n"]
ENV = [("NAME", "value"), ("EMPTY", ""), ("UTF", "\u00e9"), ("NAME", "again")]
with open(os.path.join(HERE, "faults.c")) as source:
    FAULTS = re.findall(r'FAULT\((\d+), (\w+), "', source.read())
SCENES = [["main", *ARGS], ["unlinked"]]
SCENES += [["fault", index] for index, _ in FAULTS]
SCENES += [["exit", code] for code in ["0", "1", "125", "126", "255", "4294967295"]]
SCENES += [["raise", signal] for signal in ["1", "6", "9", "15", "30"]]
PAUSED = 75
TRAPPED = 134


def world():
    """A fresh folder, equal to every other but for its name."""
    folder = tempfile.mkdtemp(prefix="wasi-calls-")
    at = lambda *names: os.path.join(folder, *names)
    for name in ["box", "box/sub", "ro", "ro/dir"]:
        os.mkdir(at(name))
    for name, content in [("box/hello", "Hello, world!\n"), ("box/sub/inner", "inner"),
                          ("ro/file", "to read"), ("secret", "secret")]:
        with open(at(name), "w") as out:
            out.write(content)
    for name, target in [("link", "hello"), ("dirlink", "sub"), ("out", ".."), ("dangling", "nothing"),
                         ("abs", "/etc/hostname"), ("loop1", "loop2"), ("loop2", "loop1")]:
        os.symlink(target, at("box", name))
    with open(at("stdin"), "wb") as out:
        out.write(INPUT)
    return folder


def contents(folder):
    """Every file, link and directory below a folder, the streams apart."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(place, name)
            short = os.path.relpath(path, folder)
            if os.path.islink(path):
                found[short] = "-> " + os.readlink(path)
            elif os.path.isdir(path):
                found[short] = "folder"
            elif short not in ("stdin", "stdout", "stderr", "snapshot", "compiled"):
                with open(path, "rb") as source:
                    found[short] = source.read()
    return found


class Outcome:
    """What a run left: lines, how it ended, and its folder."""

    def __init__(self, folder, ending):
        read = lambda name: open(os.path.join(folder, name), "rb").read().decode("utf-8", "replace")
        self.lines = read("stdout").splitlines() + ["ending: " + ending]
        self.errors = read("stderr")
        self.files = contents(folder)


def reference(engine, module, scene):
    folder = world()
    config = wasmtime.WasiConfig()
    config.argv = ["calls.wasm", *scene]
    config.env = ENV
    config.stdin_file = os.path.join(folder, "stdin")
    config.stdout_file = os.path.join(folder, "stdout")
    config.stderr_file = os.path.join(folder, "stderr")
    config.preopen_dir(os.path.join(folder, "box"), "/")
    config.preopen_dir(os.path.join(folder, "ro"), "ro", False)
    store = wasmtime.Store(engine)
    store.set_wasi(config)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    ending = "returned"
    try:
        linker.instantiate(store, module).exports(store)["_start"](store)
    except wasmtime.ExitTrap as exit:
        ending = f"exit {exit.code}" if exit.code else "returned"
    except (wasmtime.Trap, wasmtime.WasmtimeError):
        ending = "trap"
    del store
    return Outcome(folder, ending)


def ours(tool, scene, steps=None):
    """In one go, or with a pause whenever `steps()` are used up."""
    folder = world()
    at = lambda name: os.path.join(folder, name)
    given = ["-q", "--stdin", at("stdin"), "--dir", at("box") + "::/", "--dir", at("ro") + "::ro:ro"]
    command = [tool, "run", *given]
    for name, value in ENV:
        command += ["-e", f"{name}={value}"]
    after = [MODULE, "--", *scene]
    pauses = 0
    with open(at("stdout"), "wb") as out, open(at("stderr"), "wb") as err:
        while True:
            more = ["--steps", str(steps()), "-o", at("snapshot")] if steps else []
            ended = subprocess.run([*command, *more, *after], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
            if ended.returncode != PAUSED:
                break
            pauses += 1
            command, after = [tool, "resume", at("snapshot"), *given], []
    # A program that exits with 0 cannot be told from one that returns, by the exit code.
    ending = {TRAPPED: "trap", 0: "returned"}.get(ended.returncode, f"exit {ended.returncode}")
    outcome = Outcome(folder, ending)
    outcome.pauses = pauses
    return outcome


def known():
    """The cases in the table of docs/wasi.md that says where tasklet differs, by their names."""
    with open(KNOWN) as source:
        rows = re.findall(r"^\| (`[^|]*`) \|", source.read().partition("## Where it differs")[2], re.M)
    return {case for row in rows for case in re.findall(r"`([^`]*)`", row)}


def key(scene, line):
    """By what the list in docs/wasi.md names a case."""
    return line.partition(" -> ")[0] if scene[0] in ("main", "unlinked") else " ".join(scene)


def function(scene, line):
    if scene[0] == "fault":
        return dict(FAULTS)[scene[1]]
    return {"exit": "proc_exit", "raise": "proc_raise"}.get(scene[0]) or line.partition(":")[0]


class Tally:
    """A case is a line of the long scenes, or one of the short ones."""

    def __init__(self):
        self.cases = self.equal = self.others = 0
        self.functions, self.known, self.used = set(), known(), set()
        self.answers = []

    def compare(self, scene, wanted, found, how):
        """Notes what differs; the first of the two ways also counts, and is what is blessed."""
        first = how == "in one go"
        long = scene[0] in ("main", "unlinked")
        if first:
            self.answers.append("$ " + (scene[0] if long else " ".join(scene)))
        all_equal = True
        for index in range(max(len(wanted.lines), len(found.lines))):
            want, have = (lines[index] if index < len(lines) else "(nothing)"
                          for lines in (wanted.lines, found.lines))
            all_equal &= want == have
            if want != have and not self.is_known(key(scene, want)):
                self.differs(scene, how, want, have)
            if first:
                self.answers += [want] if want == have else [want, "tasklet> " + have]
                if long and index + 1 < len(wanted.lines):
                    self.count(function(scene, want), want == have)
        if first and not long:
            self.count(function(scene, ""), all_equal)
        if wanted.errors != found.errors and long:
            self.differs(scene, how, wanted.errors, found.errors)
        for name in sorted(wanted.files.keys() | found.files.keys()):
            want, have = wanted.files.get(name), found.files.get(name)
            if want != have:
                self.differs(scene, how, f"{name}: {want}", f"{name}: {have}")

    def count(self, name, equal):
        self.functions.add(name)
        self.cases += 1
        self.equal += equal

    def is_known(self, name):
        if name in self.known:
            self.used.add(name)
        return name in self.known

    def differs(self, scene, how, want, have):
        self.others += 1
        print(f"{' '.join(scene[:2])!r}, {how}\n  wasmtime  {want}\n  tasklet   {have}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tool")
    parser.add_argument("--every", type=int, default=3000, help="steps between two pauses, about")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--bless", action="store_true")
    options = parser.parse_args()
    engine = wasmtime.Engine()
    module = wasmtime.Module.from_file(engine, MODULE)
    chance = random.Random(options.seed)
    steps = lambda: chance.randint(1, 2 * options.every)
    tally, pauses = Tally(), 0
    for scene in SCENES:
        wanted = reference(engine, module, scene)
        tally.compare(scene, wanted, ours(options.tool, scene), "in one go")
        if scene[0] == "main":
            paused = ours(options.tool, scene, steps)
            tally.compare(scene, wanted, paused, f"paused, --every {options.every} --seed {options.seed}")
            pauses += paused.pauses
    if options.bless:
        with open(ANSWERS, "w") as out:
            out.write("\n".join(tally.answers) + "\n")
    for name in sorted(tally.known - tally.used):
        print(f"docs/wasi.md lists `{name}` as a difference, which it is not")
    print(f"{len(tally.functions)} functions, {tally.cases} cases, {tally.equal} equal, "
          f"{len(tally.used)} known differences, {tally.others} others, {pauses} pauses")
    return 1 if tally.others or tally.known - tally.used else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as tempfile.tempdir:
        status = main()
    sys.exit(status)
