#!/usr/bin/env bash
# Builds the programs of the benchmark. See --help.
set -euo pipefail
export LC_ALL=C

usage() {
    cat <<'HELP'
build.sh [--check] [--only kernels|c|cpp|rust|asyncify]...

Without options: build every program of the benchmark, and fetch the tool for
the rival asyncify.
  --check      build into a temporary folder and compare with the checked-in
               programs; exit 1 if one differs
  --only KIND  only that (repeatable)

  kernels   from c/, with ziglang; put beside this script. 3 s
  c         sqlite, zstd, bzip2 and quickjs, from big/ and the C sources that
            crates bring, checked against sources/Cargo.lock. 40 s
  cpp       from big/, with ziglang. 30 s the first time, for its libc++
  rust      from rust/, with the crates its Cargo.lock names. 50 s
  asyncify  Binaryen 132 from npm; needs npm and node. 110 MB of disk, 5 s

What is not checked in goes into ${XDG_CACHE_HOME:-$HOME/.cache}/tasklet-guests/bench,
where the benchmark looks for them. For the compilers, and what they take, see
guest-examples/build.sh --help.
HELP
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guests=$(cd "$here/../../guest-examples" && pwd)
# shellcheck source=../../guest-examples/tools.sh
. "$guests/tools.sh"
BINARYEN=132.0.0

check=no kinds=
while [ $# -gt 0 ]; do
    case $1 in
        --check) check=yes ;;
        --only)
            case ${2-} in
                kernels | c | cpp | rust | asyncify) kinds="$kinds $2" ;;
                *) usage >&2; exit 2 ;;
            esac
            shift ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
[ -n "$kinds" ] || kinds="kernels c cpp rust asyncify"

# Everything is first built here, so that a failure leaves no half-written file.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/out" "$cache/bench"
same="-ffile-prefix-map=$here=. -I$here/c -I$guests/c"

# finish NAME: strips $work/NAME.wasm and has it ready in $work/out.
finish() { python3 "$guests/strip.py" "$work/$1.wasm" "$work/out/$1.wasm"; }

build_kernels() {
    need_zig
    local source name
    for source in "$here"/c/*.c; do
        name=$(basename "$source" .c)
        # shellcheck disable=SC2086
        zig_cc $same "$source" -o "$work/$name.wasm"
        finish "$name"
    done
}

# from_crate NAME CRATE FOLDER FILES ARGUMENT...: big/NAME.c together with
# FILES (a pattern) in FOLDER of a crate.
from_crate() {
    local name=$1 crate=$2 folder=$3 files=$4
    shift 4
    folder=$(crate_folder "$crate" "$here/sources/Cargo.toml" --locked --filter-platform wasm32-wasip1)/$folder
    # The warnings of other people's sources are theirs.
    # shellcheck disable=SC2086
    (cd "$folder" && STACK=1048576 zig_cc -w $same "-ffile-prefix-map=$folder=$name" -I. \
        "$here/big/$name.c" $files "$@" -o "$work/$name.wasm")
    finish "$name"
}

build_c() {
    need_zig
    from_crate sqlite libsqlite3-sys sqlite3 sqlite3.c \
        -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_OMIT_WAL -D_WASI_EMULATED_GETPID \
        -lwasi-emulated-getpid
    from_crate zstd zstd-sys zstd/lib 'common/*.c compress/*.c decompress/*.c' -DZSTD_DISABLE_ASM
    from_crate bzip2 bzip2-sys bzip2-1.0.8 \
        'blocksort.c bzlib.c compress.c crctable.c decompress.c huffman.c randtable.c' -DBZ_NO_STDIO
    from_crate quickjs rquickjs-sys quickjs 'quickjs.c libregexp.c libunicode.c dtoa.c' \
        -D_GNU_SOURCE -DQUICKJS_NG_BUILD -D_WASI_EMULATED_PROCESS_CLOCKS -D_WASI_EMULATED_SIGNAL \
        -lwasi-emulated-process-clocks -lwasi-emulated-signal
}

build_cpp() {
    need_zig
    # shellcheck disable=SC2086
    zig_cxx $same -fno-exceptions "$here/big/words.cpp" -o "$work/words.wasm"
    finish words
}

build_rust() {
    need_rust
    rust_build "$here/rust" "$work/rust"
    local file
    for file in "$work/rust/wasm32-wasip1/release"/*.wasm; do
        python3 "$guests/strip.py" "$file" "$work/out/$(basename "$file")"
    done
}

build_asyncify() {
    local dir=$cache/binaryen-$BINARYEN
    [ -e "$dir/.complete" ] && return
    say "fetching binaryen $BINARYEN from npm (110 MB of disk, 5 s)"
    rm -rf "$dir"
    mkdir -p "$dir"
    npm install --prefix "$dir" --silent --no-audit --no-fund --ignore-scripts "binaryen@$BINARYEN"
    touch "$dir/.complete"
}

status=0
for kind in $kinds; do
    begin=$SECONDS
    "build_$kind"
    echo "$kind: done in $((SECONDS - begin)) s"
done

for file in "$work"/out/*.wasm; do
    [ -e "$file" ] || continue
    name=$(basename "$file")
    to=$cache/bench/$name
    [ ! -e "$here/c/${name%.wasm}.c" ] || to=$here/$name
    if [ $check = no ]; then
        cp "$file" "$to"
        chmod 644 "$to"
    elif [ "$to" = "$here/$name" ] && ! cmp -s "$file" "$to"; then
        echo "differs: $name" >&2
        status=1
    fi
done
exit $status
