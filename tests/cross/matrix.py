"""Every guest from every machine by every machine to every machine; run by `run`, which see.

What is checked of a guest, against its uninterrupted run on the first machine:
 1. begun on A, gone on with on B, and finished on C, for all A, B and C, it prints the same bytes,
    ends in the same way and has taken the same steps;
 2. the snapshots that A and B write have the same bytes whatever A and B are.

Equal bytes make equal runs: what a machine does with a snapshot it has been given before, byte for
byte and with the same files beside it, is looked up and not run again (--every runs it again). So
where 2 holds a guest takes three runs on each machine, and where it does not as many as there are
triples.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
GUESTS = PROJECT / "guest-examples"
REAL = PROJECT / "tests" / "real" / "programs.json"
PAUSED, OUT_OF_STEPS, TRAPPED = 75, 124, 134
# Every file that guests are given has this time, so that it is the same input on each machine.
FILE_TIME_NS = 1_700_000_000_123_456_789
# Of the digest with which a snapshot ends.
DIGEST_BYTES = 32
# Ruby's compilation on an emulated machine takes a while.
SECONDS_MAX = 7200


class Machine:
    """Runs the command line of one target."""

    def __init__(self, name, command, cache):
        self.name = name
        self.command = shlex.split(command)
        self.flags = ["--target", "pulley"] if name.startswith("pulley") else []
        cache.mkdir(parents=True, exist_ok=True)
        self.cache = str(cache.resolve())
        if self.command[-1].endswith(".exe"):
            self.cache = "Z:" + self.cache.replace("/", "\\")

    def run(self, folder, arguments):
        """The exit code, standard output and standard error."""
        # Threads of the compiler gain nothing where guests are run side by side.
        environment = dict(os.environ, TASKLET_CACHE_DIR=self.cache, RAYON_NUM_THREADS="1",
                           RUST_BACKTRACE="0")
        done = subprocess.run(self.command + arguments, cwd=folder, env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS_MAX)
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")


class Guest:
    """A program and what it is given."""

    def __init__(self, listed, folder=GUESTS):
        self.name = listed["name"]
        self.wasm = folder / listed["wasm"]
        self.args = listed.get("args", [])
        self.values = [value.split(":")[1] for value in listed.get("values", [])]
        self.env = listed.get("env", {})
        self.stdin = listed.get("stdin") and (folder / listed["stdin"]).read_bytes()
        files = listed.get("files")
        self.files = files and {name: folder / path for name, path in files.items()}
        self.has_folder = files is not None
        # What the program knows its folder by.
        self.folder = listed.get("folder", ".")
        self.invoke = listed.get("invoke")
        self.endless = listed.get("endless", False)
        self.exit = TRAPPED if "trap" in listed else listed.get("exit", 0)
        expected = None if listed.get("stdout_varies") else listed.get("stdout")
        self.expected = expected and (folder / expected).read_bytes()
        # The parts of the whole run after which it is moved.
        self.parts = listed.get("parts", [0.3, 0.6])
        self.flags = listed.get("flags", [])
        # It is told nothing of times, so that they are no inputs of its.
        self.deterministic = "--deterministic" in self.flags
        # Why its snapshots may differ. If that is NaNs, results are those of one of the machines.
        self.differs = listed.get("differs")
        self.nan = self.differs == "NaN"

    def begin(self):
        """The flags that start it. It has a clock and randomness that are inputs of the test."""
        flags = ["run", "--seed", "20", "--clock", "virtual"]
        for name, value in self.env.items():
            flags += ["-e", f"{name}={value}"]
        if self.invoke:
            flags += ["--invoke", self.invoke]
        return flags


class State:
    """A guest at rest: its snapshot, if it has begun, and its folder."""

    def __init__(self, snapshot, world):
        self.snapshot = snapshot
        self.world = world
        digest = hashlib.sha256(snapshot or b"")
        for name, data, time in world:
            digest.update(repr((name, data, time)).encode())
        self.key = digest.hexdigest()


class Ran:
    """What one slice has done."""

    def __init__(self, code, stdout, report, state, errors):
        self.code, self.stdout, self.report, self.state = code, stdout, report, state
        self.errors = errors

    def end(self):
        """What must be equal of two ends."""
        if self.code == TRAPPED:
            # A trap does not tell its step, only the last that was counted before it; and how much
            # its backtrace knows depends on what has been written down before.
            return self.code, self.report["outcome"]["message"]
        # Only of what goes on is the balance the same however it came there.
        balance = self.report["balance"] if self.code == PAUSED else None
        return self.code, self.report["steps_used"], balance, self.report["outcome"]


def read_world(folder, times):
    """Names, contents and if need be times of all files below, in order; of folders the name alone."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            found.append((name, None, None))
        else:
            time = path.stat().st_mtime_ns if times else FILE_TIME_NS
            found.append((name, path.read_bytes(), time))
    return found


def write_world(folder, world):
    for name, data, time in world:
        path = folder / name
        if data is None:
            path.mkdir()
        else:
            path.write_bytes(data)
            os.utime(path, ns=(time, time))


class Runs:
    """Slices of one guest, each run once unless --every."""

    def __init__(self, guest, every):
        self.guest, self.every = guest, every
        self.done = {}
        self.count = 0
        files = guest.files or {}
        world = [(name, path.read_bytes(), FILE_TIME_NS) for name, path in sorted(files.items())]
        self.start = State(None, world)

    def slice(self, machine, state, steps):
        key = machine.name, state.key, steps
        if self.every or key not in self.done:
            self.done[key] = self.run(machine, state, steps)
            self.count += 1
        return self.done[key]

    def run(self, machine, state, steps):
        guest = self.guest
        with tempfile.TemporaryDirectory(prefix="tasklet-cross-") as name:
            folder = Path(name)
            # Names that are the same, and mean the same, on every machine.
            (folder / "files").mkdir()
            write_world(folder / "files", state.world)
            (folder / "stdin").write_bytes(guest.stdin or b"")
            os.utime(folder / "stdin", ns=(FILE_TIME_NS, FILE_TIME_NS))
            shutil.copyfile(guest.wasm, folder / guest.wasm.name)
            if state.snapshot is None:
                arguments = guest.begin()
            else:
                (folder / "in.cbor").write_bytes(state.snapshot)
                arguments = ["resume", "in.cbor"]
            arguments += ["--stdin", "stdin", "--report", "report.json", "-o", "out.cbor"]
            arguments += machine.flags + guest.flags
            if steps is not None:
                arguments += ["--steps", str(steps)]
            if guest.has_folder:
                arguments += ["--dir", f"files::{guest.folder}"]
            if state.snapshot is None:
                arguments += [guest.wasm.name, "--", *guest.values, *guest.args]
            code, stdout, errors = machine.run(folder, arguments)
            report = folder / "report.json"
            if not report.exists():
                raise Difference(f"{machine.name} failed with code {code}: {errors.strip()}")
            out = folder / "out.cbor"
            after = State(out.read_bytes() if out.exists() else None,
                          read_world(folder / "files", not guest.deterministic))
            return Ran(code, stdout, json.loads(report.read_text()), after, errors)


class Difference(Exception):
    pass


def same(what, found, wanted):
    if found != wanted:
        raise Difference(f"{what}: {shown(found)}, not {shown(wanted)}")


def shown(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:200]}... ({len(text)} characters)"


class Result:
    """Of one guest: for each triple of machines nothing, or what was wrong."""

    def __init__(self, guest):
        self.guest = guest
        self.moves = {}
        self.notes = []
        self.steps = self.bytes = self.runs = 0
        self.identical = True
        self.failed = False


def check(guest, machines, every, short):
    """Takes the guest through all triples."""
    result = Result(guest)
    runs = Runs(guest, every)
    reference = machines[0]
    try:
        total = 6_000 if guest.endless else None
        whole = runs.slice(reference, runs.start, total)
        # A trap does not tell where it was to the step, so the moves are early.
        result.steps = whole.report["steps_used"]
        code = PAUSED if guest.endless else guest.exit
        same(f"exit code of the whole run on {reference.name}", whole.code, code)
        if guest.expected is not None:
            output = whole.stdout if not guest.endless else guest.expected[:len(whole.stdout)]
            same("output of the whole run", whole.stdout, output)
            if not guest.endless:
                same("output of the whole run", whole.stdout, guest.expected)
        wholes = [whole]
        if guest.nan:
            result.notes.append(f"on {reference.name}: {printed(whole)}")
        for machine in machines[1:]:
            again = runs.slice(machine, runs.start, total)
            if guest.nan:
                same(f"steps on {machine.name}", again.end()[:3], whole.end()[:3])
                result.notes.append(f"on {machine.name}: {printed(again)}")
                wholes.append(again)
                continue
            same(f"output of the whole run on {machine.name}", again.stdout, whole.stdout)
            same(f"end of the whole run on {machine.name}", again.end(), whole.end())
        at = [max(1, int(result.steps * part)) for part in guest.parts]
        cuts = [at[0], max(1, at[1] - at[0]), total and total - at[1]]
    except (Difference, subprocess.TimeoutExpired) as error:
        result.failed = True
        result.notes.append(str(error))
        return result
    for first in machines:
        for second in machines:
            for third in machines:
                # In the short form each pair is moved between once.
                if short and third is not first:
                    continue
                names = first.name, second.name, third.name
                try:
                    move(runs, (first, second, third), cuts, wholes)
                    result.moves[names] = None
                except (Difference, subprocess.TimeoutExpired) as error:
                    result.moves[names] = str(error)
                    result.failed = True
    identical(result, runs, machines, cuts)
    result.runs = runs.count
    return result


def printed(ran):
    """Numbers, in hexadecimal."""
    return " ".join(f"{int(word) & 0xFFFF_FFFF_FFFF_FFFF:x}" for word in ran.stdout.split())


def move(runs, machines, cuts, wholes):
    """One triple; its end must be that of a whole run."""
    state, output = runs.start, b""
    for machine, steps in zip(machines, cuts):
        ran = runs.slice(machine, state, steps)
        output += ran.stdout
        if ran.code != PAUSED:
            # The shortest end in the first or second slice already.
            break
        state = ran.state
    # Of NaNs that were made on one machine and are carried on by another, the output is the former's.
    whole = next((whole for whole in wholes if whole.stdout == output), wholes[0])
    same("output", output, whole.stdout)
    same("end", ran.end(), whole.end())


def identical(result, runs, machines, cuts):
    """Whether all snapshots taken at the same step are the same bytes."""
    if result.failed:
        return
    firsts = {}
    seconds = {}
    guest = runs.guest
    written = guest.has_folder and not guest.files and not guest.deterministic
    read = timeless if written else lambda snapshot, _=None: snapshot
    for machine in machines:
        first = runs.slice(machine, runs.start, cuts[0])
        if first.state.snapshot is None:
            continue
        firsts.setdefault(read(first.state.snapshot), []).append(machine.name)
        result.bytes = len(first.state.snapshot)
        if first.code != PAUSED:
            continue
        for other in machines:
            second = runs.slice(other, first.state, cuts[1])
            if second.state.snapshot is not None:
                names = f"{machine.name}->{other.name}"
                bytes_ = read(second.state.snapshot, first.state.snapshot)
                seconds.setdefault(bytes_, []).append(names)
    if written and result.bytes:
        result.notes.append("its snapshots are compared without the times of files it has written")
    for found in (firsts, seconds):
        if len(found) > 1:
            result.identical = False
            groups = "; ".join(", ".join(names) for names in found.values())
            result.notes.append(f"snapshots differ: {groups}")


def timeless(snapshot, parent=None):
    """A snapshot without the times at which files were last written, which are no input of the
    test where the guest writes them; and so without its own digest and its parent's."""
    body = re.sub(rb"hmtime_ns\x1b.{8}", b"hmtime_ns", snapshot[:-DIGEST_BYTES], flags=re.DOTALL)
    return body.replace(parent[-DIGEST_BYTES:], b"") if parent else body


def table(results, machines):
    """From each machine, by all of them, to each machine."""
    names = [machine.name for machine in machines]
    width = max(len(result.guest.name) for result in results) + 2
    head = f"{'guest':{width}}{'from':10}" + "".join(f"{'to ' + name:13}" for name in names)
    lines = [head + "steps, and the snapshots of all machines"]
    for result in results:
        for row, first in enumerate(names):
            cells = ""
            for third in names:
                moves = [error for (a, _, c), error in result.moves.items()
                         if (a, c) == (first, third)]
                good = sum(error is None for error in moves)
                cell = f"{good}/{len(moves)}" if good < len(moves) else f"ok by {good}"
                cells += f"{cell if moves else '-':13}"
            lead = result.guest.name if row == 0 else ""
            tail = ""
            if row == 0:
                differ = f"differ: {result.guest.differs}" if result.guest.differs else "DIFFER"
                what = "identical" if result.identical else differ
                tail = f"{result.steps} steps, {result.bytes} bytes, {what}"
            lines.append(f"{lead:{width}}{first:10}{cells}{tail}".rstrip())
    return "\n".join(lines)


def markdown(results):
    """The table of docs/cross.md."""
    lines = ["| guest | steps | bytes of the first snapshot | moves | snapshots |",
             "|---|---|---|---|---|"]
    for result in results:
        good = sum(error is None for error in result.moves.values())
        differ = f"differ: {result.guest.differs}" if result.guest.differs else "DIFFER"
        what = "identical" if result.identical else differ
        lines.append(f"| {result.guest.name} | {result.steps} | {result.bytes} "
                     f"| {good} of {len(result.moves)} | {what} |")
    return "\n".join(lines)


def real(names):
    """Programs of tests/real. They look at the files they read and write, of which a deterministic
    run tells the same on every machine."""
    for listed in json.loads(REAL.read_text()):
        if listed["name"] in names:
            caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
            cached = f"{caches / 'tasklet-guests'}/"
            yield Guest({
                **listed, "wasm": listed["wasm"].replace("cache:", cached),
                "flags": ["--deterministic"],
            }, PROJECT)


def guests(arguments):
    found = [Guest(listed) for listed in json.loads((GUESTS / "examples.json").read_text())]
    for path in arguments.guests or []:
        path = Path(path)
        found += [Guest(listed, path.parent) for listed in json.loads(path.read_text())]
    if arguments.python:
        here = Path(__file__).resolve().parent
        # NB: the script is no file. CPython asks for device and inode numbers of files, which are
        # the machine's, and takes more steps for larger ones. Most of its steps are its start; it
        # is moved between its second and its fifth line.
        found.append(Guest({
            "name": "python", "wasm": arguments.python, "stdout": "queens.py.out",
            "args": ["-c", (here / "queens.py").read_text()], "parts": [0.85, 0.88],
        }, here))
    found += real(arguments.real or [])
    if arguments.guest:
        unknown = set(arguments.guest) - {guest.name for guest in found}
        if unknown:
            sys.exit(f"no such guest: {', '.join(sorted(unknown))}")
        found = [guest for guest in found if guest.name in arguments.guest]
    return found


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--machine", action="append", required=True, metavar="NAME=COMMAND")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--guests", action="append", metavar="LIST.json")
    parser.add_argument("--guest", action="append", metavar="NAME")
    parser.add_argument("--python", metavar="WASM")
    parser.add_argument("--real", action="append", metavar="NAME")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--every", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    return parser.parse_args()


def main():
    arguments = parse()
    machines = []
    for given in arguments.machine:
        name, command = given.split("=", 1)
        machines.append(Machine(name, command, arguments.cache / f"modules-{name}"))
    chosen = guests(arguments)
    lock = threading.Lock()

    def one(guest):
        result = check(guest, machines, arguments.every, arguments.short)
        with lock:
            print(f"{guest.name}: {result.runs} runs, {'FAILED' if result.failed else 'ok'}",
                  file=sys.stderr, flush=True)
        return result

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        # The longest first, so that no processor is idle at the end.
        order = sorted(chosen, key=lambda guest: -guest.wasm.stat().st_size)
        done = dict(zip(order, pool.map(one, order)))
    results = [done[guest] for guest in chosen]
    print(markdown(results) if arguments.markdown else table(results, machines))
    bad = 0
    for result in results:
        if result.failed or not (result.identical or result.guest.differs):
            bad += 1
        for note in result.notes:
            print(f"{result.guest.name}: {note}")
        for names, error in result.moves.items():
            if error:
                print(f"{result.guest.name}: {' -> '.join(names)}: {error}")
    moves = sum(len(result.moves) for result in results)
    runs = sum(result.runs for result in results)
    print(f"{len(results)} guests, {moves} moves there and on, {runs} runs")
    print(f"{len(results) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
