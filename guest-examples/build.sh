#!/usr/bin/env bash
# Rebuilds the example programs, bit for bit. See --help.
set -euo pipefail
export LC_ALL=C

usage() {
    cat <<'HELP'
build.sh [--check] [--only KIND]...

Without options: build every example and put it beside this script.
  --check      build into a temporary folder and compare with the files here;
               exit 1 if one differs
  --only KIND  only the programs of that kind (repeatable): c, rust, wat, lua,
               and tasklets-c, tasklets-rust: those of tasklets/

Tools, pinned and kept in ${XDG_CACHE_HOME:-$HOME/.cache}/tasklet-guests:
  c, tasklets-c, lua
          ziglang 0.17.1 from PyPI: compiler, linker, libc. 440 MB of disk; a
          minute for its libc the first time, then 2 s
  lua     the crate lua-src 551.1.0 (Lua's own C sources). 1 MB; 4 s
  wat     wasmtime 48.0.0 from PyPI (its wat2wasm). 55 MB; 1 s
  rust    rustc 1.95.0 with the target wasm32-wasip1: rustup target add, 110 MB;
          failing that, std from Debian's sources, 0.6 GB and 50 s. Then 3 s
  tasklets-rust
          the same with the target wasm32-unknown-unknown, and for those that
          have a system too wasm32-wasip1, std always from Debian's sources.
          Then 50 s
Needs python3 with venv; for rust, tasklets-rust and lua also cargo.
HELP
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/tools.sh"

check=no kinds=
while [ $# -gt 0 ]; do
    case $1 in
        --check) check=yes ;;
        --only)
            case ${2-} in
                c | rust | wat | lua | tasklets-c | tasklets-rust) kinds="$kinds $2" ;;
                *) usage >&2; exit 2 ;;
            esac
            shift ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
[ -n "$kinds" ] || kinds="c wat rust lua tasklets-c tasklets-rust"

# Everything is first built here, so that a failure leaves no half-written file.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$work/out
mkdir -p "$out/lua" "$out/tasklets"

build_c() {
    need_zig
    local source name flags
    for source in "$here"/c/*.c; do
        name=$(basename "$source" .c)
        flags=
        case $name in simd) flags=-mcpu=$WASM_CPU+simd128 ;; esac
        zig_cc ${flags:+"$flags"} "$source" -o "$work/$name.wasm"
        python3 "$here/strip.py" "$work/$name.wasm" "$out/$name.wasm"
    done
}

build_wat() {
    need_wat
    local source name
    for source in "$here"/wat/*.wat; do
        name=$(basename "$source" .wat)
        wat2wasm "$source" "$out/$name.wasm"
    done
}

build_rust() {
    need_rust
    rust_build "$here/rust" "$work/rust"
    local file
    for file in "$work/rust/wasm32-wasip1/release"/*.wasm; do
        python3 "$here/strip.py" "$file" "$out/$(basename "$file")"
    done
}

build_tasklets-c() {
    need_zig
    local source name
    for source in "$here"/tasklets/c/*.c; do
        name=$(basename "$source" .c)
        # The header is for C++, too.
        TARGET=wasm32-freestanding zig_compile c++ -x c++ -std=c++11 -pedantic -Werror \
            -c -I "$here/../guest/include" "$source" -o "$work/$name.o"
        zig_guest -pedantic "$source" -o "$work/$name.wasm"
        python3 "$here/strip.py" "$work/$name.wasm" "$out/tasklets/$name.wasm"
    done
}

# From a copy with the crate inside: cargo puts the path of what is outside of a
# workspace into the names of its functions. One package at a time, so that none
# gets the features that another asks for. Programs with a main have WASI.
build_tasklets-rust() {
    local key value manifest name source=$work/tasklets
    cp -R "$here/tasklets/rust" "$source"
    cp -R "$here/../guest" "$source/guest"
    sed -i 's|path = "../../../../guest"|path = "../guest"|' "$source"/*/Cargo.toml
    for key in version edition rust-version license; do
        value=$(sed -n "s/^$key = //p" "$here/../Cargo.toml")
        sed -i "s/^$key.workspace = true/$key = $value/" "$source/guest/Cargo.toml"
    done
    sed -i '/^\[lints\]/,$d' "$source/guest/Cargo.toml"
    need_rust_from_debian wasm32-wasip1
    need_rust_from_debian wasm32-unknown-unknown
    rust_flags="$rust_flags"$'\x1f'"-Clink-arg=-zstack-size=65536"
    for manifest in "$here"/tasklets/rust/*/Cargo.toml; do
        name=$(basename "$(dirname "$manifest")")
        rust_target=wasm32-unknown-unknown
        [ ! -e "$(dirname "$manifest")/src/main.rs" ] || rust_target=wasm32-wasip1
        rust_build "$source" "$work/target" --package "$name"
        python3 "$here/strip.py" "$work/target/$rust_target/release/${name//-/_}.wasm" \
            "$out/tasklets/$name.wasm"
    done
}

build_lua() { "$here/lua/build.sh" "$out/lua/lua.wasm"; }

status=0
for kind in $kinds; do
    begin=$SECONDS
    "build_$kind"
    echo "$kind: built in $((SECONDS - begin)) s"
done

for file in "$out"/*.wasm "$out"/lua/*.wasm "$out"/tasklets/*.wasm; do
    [ -e "$file" ] || continue
    name=${file#"$out"/}
    if [ $check = no ]; then
        cp "$file" "$here/$name"
        chmod 644 "$here/$name"
    elif ! cmp -s "$file" "$here/$name"; then
        echo "differs: $name" >&2
        status=1
    fi
done
[ $check = no ] || [ $status != 0 ] || echo "all as checked in"
exit $status
