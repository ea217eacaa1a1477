#!/usr/bin/env bash
# Compares Floe with PenguiFlow on this machine and prints a table; README.md beside this says what is comparable.
#
#   tests/peer/run.sh [FLOE [ROUNDS]]
#
# FLOE is a built binary; without one, it is built and run by cargo. Both are measured in turn, in three rounds or ROUNDS. It needs
# Python 3.11 or newer with `venv`, and the network when it runs for the first time. All that it makes is below the target folder.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
floe=${1:-}
rounds=${2:-3}
folder=${CARGO_TARGET_DIR:-$root/target}/peer
python=$folder/venv/bin/python

if ! "$python" -c 'import penguiflow; assert penguiflow.__version__ == "2.7.0"' 2>/dev/null; then
    python3 -m venv --clear "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check penguiflow==2.7.0
fi
if [ -n "$floe" ]; then
    measure_floe() { "$floe" bench runtime "$@"; }
else
    measure_floe() { cargo run --quiet --locked --manifest-path "$root/Cargo.toml" -- bench runtime "$@"; }
    cargo build --locked --manifest-path "$root/Cargo.toml" -p floe
fi

figures=$folder/figures
rm -rf "$figures"
mkdir -p "$figures"
for round in $(seq "$rounds"); do
    echo "round $round of $rounds; load $(cut -d ' ' -f 1 /proc/loadavg 2>/dev/null || echo unknown)" >&2
    measure_floe --rounds 3 --journal-in "$figures" --json > "$figures/floe-$round.json"
    "$python" "$root/tests/peer/measure.py" > "$figures/peer-$round.json"
done
"$python" "$root/tests/peer/compare.py" "$figures"
