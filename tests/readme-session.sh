#!/usr/bin/env bash
# The session the README opens with, typed as written, and what it must print.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
tasklet() { "$project/target/release/tasklet" "$@"; }
expect() { # expect STATUS OUTPUT COMMAND...
  local status=$1 output=$2 got code=0
  shift 2
  got=$("$@" 2>talk) || code=$?
  if [ "$code" != "$status" ] || [ "$got" != "$output" ]; then
    printf 'expected status %s and:\n%s\ngot status %s and:\n%s\n' \
      "$status" "$output" "$code" "$got" >&2
    cat talk >&2
    exit 1
  fi
}
expect 75 $'10\n20' tasklet run "$project/guest-examples/counter.wasm" --steps 575 -o t1.cbor
expect 75 $'30\n40\n50' tasklet resume t1.cbor --steps 575 -o t2.cbor
expect 75 $'30\n40\n50' tasklet resume t1.cbor --steps 575 -o t3.cbor
cmp t2.cbor t3.cbor
echo "session: as the README says"
