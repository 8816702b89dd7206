#!/usr/bin/env bash
# rust/std-from-debian.sh SYSROOT [TARGET...]: builds the standard library for
# each TARGET (wasm32-wasip1 if none is named) into SYSROOT, with the rustc at
# hand, where `rustup target add` finds nothing.
#
# Debian's rust-src of the very same version has the sources, for wasm32-wasip1
# its wasi-libc the C library underneath; both are fetched by apt from the
# machine's own mirror, signatures checked, and only unpacked: nothing is
# installed, nothing asks for root. 45 MB to fetch and, while it works, 0.6 GB of
# disk; 45 s of CPU and 100 MB a target. The result works as well as rustup's,
# but differs from it byte by byte, and so do programs linked with it.
set -euo pipefail
export LC_ALL=C
sysroot=${1:?usage: std-from-debian.sh SYSROOT [TARGET...]}
shift
version=$(rustc --version | cut -d' ' -f2)
lib() { echo "$sysroot/lib/rustlib/$1/lib"; }

missing=
for target in "${@:-wasm32-wasip1}"; do
    [ -e "$(lib "$target")/.complete" ] || missing="$missing $target"
done
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null || { echo "this takes a Debian with apt-get" >&2; exit 3; }
work=$sysroot.building
mkdir -p "$work"/{etc/apt.conf.d,etc/preferences.d,state/lists/partial,cache/archives/partial,root}

# An apt of its own, with the backports of two releases. The mirror is the one
# this machine uses for its main archive.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(SUITE)' 'Created-By: Packages' |
    awk '$2 !~ /security/ { print $1; exit }')
key=/usr/share/keyrings/debian-archive-keyring.gpg
for suite in trixie-backports bookworm-backports; do
    echo "deb [signed-by=$key] $mirror $suite main"
done >"$work/etc/sources.list"
: >"$work/state/status"
cat >"$work/apt.conf" <<CONF
Dir::Etc "$work/etc";
Dir::Etc::sourcelist "sources.list";
Dir::Etc::sourceparts "-";
Dir::State "$work/state";
Dir::State::status "$work/state/status";
Dir::Cache "$work/cache";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "5";
CONF
export APT_CONFIG=$work/apt.conf
if ! ls "$work"/root/usr/src/rustc-*/library >/dev/null 2>&1; then
    apt-get update -qq
    found=$(apt-cache madison rust-src | awk -v v="$version" 'index($3, v) == 1 { print $3; exit }')
    [ -n "$found" ] || { echo "Debian has no rust-src $version (any more)" >&2; exit 3; }
    (cd "$work" && rm -f ./*.deb && apt-get download -qq "rust-src=$found" wasi-libc &&
        for deb in ./*.deb; do dpkg-deb -x "$deb" root; done && rm -f ./*.deb)
fi
library=$(echo "$work"/root/usr/src/rustc-*/library)

# A shared std would need a linker for the target, and nobody links with it.
sed -i 's/crate-type = \["dylib", "rlib"\]/crate-type = ["rlib"]/' "$library/std/Cargo.toml"

for target in $missing; do
    flags= features="panic-unwind backtrace"
    case $target in
        wasm32-wasip1) flags=-Ctarget-feature=+crt-static features="$features compiler-builtins-mem" ;;
    esac
    # The metadata string sets these crates apart from crates of the same name in
    # somebody's dependencies; the feature and flag are what rustc's own build uses.
    (cd "$library" && RUSTC_BOOTSTRAP=1 __CARGO_DEFAULT_LIB_METADATA=tasklet \
        RUSTFLAGS="-Zforce-unstable-if-unmarked -Cembed-bitcode=yes -Cdebuginfo=0 $flags --remap-path-prefix=$library=/rust/library" \
        cargo build --quiet --release --locked --target "$target" --target-dir "$work/target" \
        --manifest-path sysroot/Cargo.toml --features "$features")
    to=$(lib "$target")
    rm -rf "$to"
    mkdir -p "$to/self-contained"
    cp "$work/target/$target/release/deps/"*.rlib "$to/"
    case $target in
        wasm32-wasip1)
            cp "$work"/root/usr/lib/wasm32-wasi/{libc.a,crt1-command.o,crt1-reactor.o} "$to/self-contained/" ;;
        *-windows-gnu)
            for object in rsbegin rsend; do
                RUSTC_BOOTSTRAP=1 rustc --target "$target" --emit obj -O "--sysroot=$sysroot" \
                    -o "$to/$object.o" "$library/rtstartup/$object.rs"
            done ;;
    esac
    touch "$to/.complete"
done
rm -rf "$work"
