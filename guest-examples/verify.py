"""verify.py [--write] [NAME...]: run the examples of examples.json under plain
wasmtime (not tasklet) and compare what they print with expected/.

--write replaces the expected files instead; read the difference before you
keep it. Each run has a fresh folder, so the examples may run in any order.
Run it with the Python of build.sh's cache, or any that has wasmtime:

    python3 -m venv venv && venv/bin/pip install wasmtime==48.0.0
    venv/bin/python guest-examples/verify.py
"""
import json
import os
import shutil
import sys
import tempfile

import wasmtime

HERE = os.path.dirname(os.path.abspath(__file__))
ENDLESS_FUEL = 60_000  # enough for the numbers in expected/counter.out
READ = {"i32": int, "i64": int, "f32": float, "f64": float}


def value(text):
    kind, number = text.split(":")
    return READ[kind](number)


def run(example):
    """(exit code, trap message or None, stdout bytes, results, steps)"""
    config = wasmtime.Config()
    config.consume_fuel = True
    engine = wasmtime.Engine(config)
    module = wasmtime.Module.from_file(engine, os.path.join(HERE, example["wasm"]))
    store = wasmtime.Store(engine)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    with tempfile.TemporaryDirectory() as scratch:
        wasi = wasmtime.WasiConfig()
        wasi.argv = [os.path.basename(example["wasm"])] + example.get("args", [])
        wasi.env = list(example.get("env", {}).items())
        wasi.stdin_file = os.path.join(HERE, example["stdin"]) if "stdin" in example else os.devnull
        wasi.stdout_file = out = os.path.join(scratch, "stdout")
        wasi.stderr_file = os.path.join(scratch, "stderr")
        folder = os.path.join(scratch, "folder")
        os.mkdir(folder)
        if "files" in example:
            for name, source in example["files"].items():
                shutil.copyfile(os.path.join(HERE, source), os.path.join(folder, name))
            wasi.preopen_dir(folder, ".")
        store.set_wasi(wasi)
        store.set_fuel(10**12)
        instance = linker.instantiate(store, module)
        fuel = ENDLESS_FUEL if example.get("endless") else 10**12
        store.set_fuel(fuel)
        code, trap, results = 0, None, []
        try:
            function = instance.exports(store)[example.get("invoke", "_start")]
            results = function(store, *map(value, example.get("values", [])))
            if results is None:
                results = []
            elif not isinstance(results, list):
                results = [results]
        except wasmtime.ExitTrap as stop:
            code = stop.code
        except wasmtime.Trap as stop:
            trap = stop.message.split("wasm trap:")[-1].strip()
        except wasmtime.WasmtimeError as stop:  # newer versions wrap traps in it
            trap = str(stop).split("wasm trap:")[-1].strip()
        steps = fuel - store.get_fuel()
        left = sorted(os.listdir(folder))
        if left != sorted(example.get("files", {})):
            print(f"{example['name']}: left behind {left}")
        with open(out, "rb") as f:
            return code, trap, f.read(), results, steps


def main():
    names = [a for a in sys.argv[1:] if not a.startswith("-")]
    write = "--write" in sys.argv[1:]
    failed = 0
    with open(os.path.join(HERE, "examples.json"), encoding="utf-8") as f:
        examples = json.load(f)
    for example in examples:
        if names and example["name"] not in names:
            continue
        code, trap, printed, results, steps = run(example)
        wrong = []
        if example.get("endless"):
            if trap is None or "fuel" not in trap:
                wrong.append(f"ended: {trap}")
        elif trap is None and "trap" in example or trap is not None and example.get("trap", "\0") not in trap:
            wrong.append(f"trap: {trap}")
        if code != example.get("exit", 0):
            wrong.append(f"exit code {code}")
        if results != [value(v) for v in example.get("results", [])]:
            wrong.append(f"results {results}")
        if "stdout" in example:
            path = os.path.join(HERE, example["stdout"])
            if write and not example.get("endless"):
                with open(path, "wb") as f:
                    f.write(printed)
            with open(path, "rb") as f:
                expected = f.read()
            if example.get("endless"):  # the file holds the beginning
                same = printed.startswith(expected)
            elif example.get("stdout_varies"):
                same = [len(line) for line in printed.split()] == [len(line) for line in expected.split()]
            else:
                same = printed == expected
            if not same:
                wrong.append("prints something else")
        print(f"{example['name']:16} {steps:>12,} steps  {'; '.join(wrong) or 'ok'}")
        failed += bool(wrong)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
