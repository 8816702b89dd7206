#!/usr/bin/env bash
# lua/build.sh [OUT.wasm]: compiles Lua 5.4 from its own, unchanged C sources.
#
# The sources come with the crate lua-src, which cargo fetches (1 MB, checked
# against its published hash); they are not kept in this repository. Building
# takes about 20 s, and ziglang (440 MB of disk) when ../build.sh has not
# fetched it yet.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../tools.sh"
out=${1:-$here/lua.wasm}

need_zig

# A manifest of nobody's workspace, only to have cargo fetch the crate and say
# where it put it.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
: >"$work/src/lib.rs"
cat >"$work/Cargo.toml" <<TOML
[package]
name = "fetch-lua"
version = "0.0.0"
edition = "2021"
[workspace]
[dependencies]
lua-src = "=$LUA_SRC"
TOML
lua=$(crate_folder lua-src "$work/Cargo.toml")/lua-$LUA
[ -f "$lua/lapi.c" ] || { say "lua-src $LUA_SRC holds no lua-$LUA"; exit 1; }

# Another Lua behind the same version number would be another program.
sum=$(cat "$lua"/*.c "$lua"/*.h | sha256sum | cut -d' ' -f1)
[ "$sum" = "$LUA_SHA256" ] || { say "the sources of Lua $LUA are not those expected: $sum"; exit 1; }

# -D_WASI_EMULATED_*: signal.h for sig_atomic_t, clock() for os.clock.
# -Wno-return-type: where lua-src has WASI raise "not supported", it returns nothing.
STACK=262144 zig_cc -Wno-unused-parameter -Wno-return-type "-ffile-prefix-map=$lua=lua" -I"$here/shim" -I"$lua" \
    -include "$here/shim/lua-wasi.h" \
    -D_WASI_EMULATED_SIGNAL -D_WASI_EMULATED_PROCESS_CLOCKS \
    "$here/main.c" "$lua"/*.c -o "$work/lua.wasm" \
    -lwasi-emulated-signal -lwasi-emulated-process-clocks
python3 "$here/../strip.py" "$work/lua.wasm" "$out"
