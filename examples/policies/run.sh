#!/bin/sh
# Runs the flow while its routes change: three tickets by the routes of the day, three by those of the night.
# From the root of the repository: sh examples/policies/run.sh
set -eu
here=examples/policies
out=target/policies.jsonl
mkdir -p target
rm -f "$out"
cp "$here/day.json" "$here/routes.json"

# Until the first three have come out, for half a minute at most.
wait_for_three() {
    for _ in $(seq 300); do
        if [ -f "$out" ] && [ "$(wc -l <"$out")" -ge 3 ]; then return; fi
        sleep 0.1
    done
}

tickets() {
    head -n 3 "$here/input.jsonl"
    wait_for_three
    cp "$here/night.json" "$here/routes.json"
    sleep 1.1 # the file is looked at once a second at most
    tail -n 3 "$here/input.jsonl"
}

export ON_CALL='{ "search": "ada" }'
# One at a time: a message that comes while another has the file looked at goes by the routes that there are.
tickets | ${FLOE:-floe} run "$here" --build --envelope --in-flight 1 --output "$out"
cp "$here/day.json" "$here/routes.json"
cat "$out"
