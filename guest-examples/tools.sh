# Sourced by build.sh, lua/build.sh, bench/programs/build.sh and tests/wasi/run:
# fetches the pinned tools once, into a cache of their own, and gives each a
# function to call.

ZIG=0.17.1
WASMTIME_PY=48.0.0
LUA_SRC=551.1.0
LUA=5.4.9
LUA_SHA256=e4e7941707418e642483f38f27003f7d733c23284f18a5ac796693c05f212d34
RUST=1.95.0

# What every engine that runs WebAssembly 2.0 knows, less SIMD. Named one by
# one because "generic" means something else with each new compiler.
WASM_CPU=mvp+sign_ext+nontrapping_fptoint+bulk_memory+multivalue+mutable_globals

cache=${XDG_CACHE_HOME:-$HOME/.cache}/tasklet-guests
tools_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

say() { echo "$*" >&2; }

# venv NAME PACKAGE==VERSION: a Python environment with that one package. The
# mark is written last: an interrupted installation starts again from nothing.
venv() {
    local dir=$cache/$1
    [ -e "$dir/.complete" ] && return
    rm -rf "$dir"
    mkdir -p "$cache"
    python3 -m venv "$dir"
    "$dir/bin/pip" install --quiet --disable-pip-version-check --no-compile "$2"
    touch "$dir/.complete"
}

need_zig() {
    [ -e "$cache/zig-$ZIG/.complete" ] || say "fetching ziglang $ZIG (440 MB of disk; 6 to 90 s)"
    venv "zig-$ZIG" "ziglang==$ZIG"
}

# zig_cc ARGUMENT...: C to WebAssembly with WASI preview 1. The prefix map
# keeps the path of this folder out of __FILE__ and of assertions. A stack of
# 64 KiB is plenty here; zig's 16 MiB would only have every snapshot look
# through 16 MiB of zeros.
zig_cc() { zig_compile cc -std=gnu11 "$@"; }

# zig_cxx ARGUMENT...: the same for C++.
zig_cxx() { zig_compile c++ -std=gnu++20 "$@"; }

# zig_guest ARGUMENT...: C to WebAssembly without WASI or a libc, for tasklets of
# a scheduler, which import what guest/include/tasklet.h declares.
zig_guest() {
    TARGET=wasm32-freestanding STACK=16384 zig_compile cc -std=c99 -Werror -ffreestanding \
        -nostdlib -Wl,--no-entry -I "$tools_dir/../guest/include" "$@"
}

zig_compile() {
    local language=$1
    shift
    ZIG_GLOBAL_CACHE_DIR=$cache/zig-cache ZIG_LOCAL_CACHE_DIR=$cache/zig-cache \
        "$cache/zig-$ZIG/bin/python" -m ziglang "$language" \
        -target ${TARGET:-wasm32-wasi} -mcpu=$WASM_CPU -O2 -Wall -Wextra -Wl,-z,stack-size=${STACK:-65536} \
        "-ffile-prefix-map=$tools_dir=." "$@"
}

# crate_folder CRATE MANIFEST [FLAG...]: where cargo has put the sources of a
# crate the manifest depends on; fetches it first when need be.
crate_folder() {
    local crate=$1 manifest=$2
    shift 2
    cargo metadata --quiet --format-version 1 --manifest-path "$manifest" "$@" | python3 -c '
import json, os, sys
for package in json.load(sys.stdin)["packages"]:
    if package["name"] == sys.argv[1]:
        print(os.path.dirname(package["manifest_path"]))' "$crate"
}

need_wat() {
    [ -e "$cache/wat-$WASMTIME_PY/.complete" ] || say "fetching wasmtime $WASMTIME_PY for its wat2wasm (55 MB of disk, 5 s)"
    venv "wat-$WASMTIME_PY" "wasmtime==$WASMTIME_PY"
}

wat2wasm() {
    "$cache/wat-$WASMTIME_PY/bin/python" - "$1" "$2" <<'PY'
import sys, wasmtime
with open(sys.argv[1]) as source:
    module = wasmtime.wat2wasm(source.read())
with open(sys.argv[2], "wb") as out:
    out.write(module)
PY
}

need_rust() {
    rust_target=wasm32-wasip1
    if ! rustc --version | grep -q "^rustc $RUST "; then
        say "this is $(rustc --version), not $RUST: the Rust examples will differ from those checked in"
    fi
    rust_flags=
    [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-wasip1" ] && return
    say "rustup target add wasm32-wasip1 (about 20 MB to fetch, 110 MB of disk)"
    rustup target add wasm32-wasip1 >&2 && return
    say "no such target to be had; std from Debian's sources instead"
    need_rust_from_debian wasm32-wasip1
    say "programs built with it work, but differ byte by byte from those checked in"
}

# need_rust_from_debian TARGET: with a std that is built here.
need_rust_from_debian() {
    local sysroot
    sysroot=$cache/rust-std-$(rustc --version | cut -d' ' -f2)
    "$tools_dir/rust/std-from-debian.sh" "$sysroot" "$1"
    rust_target=$1 rust_flags="--sysroot=$sysroot"
}

# rust_build FOLDER TARGET_DIR [FLAG...]. Panics name files by path, hence the
# remapping; rust_flags are more flags, with \x1f between them.
# CARGO_ENCODED_RUSTFLAGS takes precedence over any setting of the user's.
rust_build() {
    local home=${CARGO_HOME:-$HOME/.cargo} sep=$'\x1f'
    local folder=$1 target_dir=$2
    shift 2
    local flags="--remap-path-prefix=$folder=.$sep--remap-path-prefix=$home=/cargo"
    flags="$flags$sep--remap-path-prefix=$(rustc --print sysroot)=/rust"
    [ -z "$rust_flags" ] || flags="$flags$sep$rust_flags"
    (cd "$folder" && CARGO_ENCODED_RUSTFLAGS=$flags \
        cargo build --quiet --release --locked --target "$rust_target" --target-dir "$target_dir" "$@")
}
