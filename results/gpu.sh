#!/usr/bin/env bash
# All that this project wants to know of a GPU, most valuable first: about 25 minutes of a data-centre GPU.
#
#   results/gpu.sh                        after a stop, a kill or MINUTES the same command goes on where it was
#   DEVICE=cpu SIZE=tiny results/gpu.sh   tries the script itself on a machine without a GPU, in a few minutes
#
# PYTHON: the interpreter that has the package with its extra `test` (.venv/bin/python).  MINUTES: when to stop (25).
# WORK: where work is kept that has begun (runs/gpu-DEVICE).
# It leaves gpu-tests.txt, speed-DEVICE.json, gpu-arms.json and gpu-long.json in results/ (a trial: in runs/gpu-cpu), which
# `make results` turns into pages.
set -euo pipefail
cd "$(dirname "$0")/.."
DEVICE=${DEVICE:-cuda} SIZE=${SIZE:-full} PYTHON=${PYTHON:-.venv/bin/python} MINUTES=${MINUTES:-25}
WORK=${WORK:-runs/gpu-$DEVICE}
if [ "$DEVICE" = cuda ]; then TO=results; else TO=$WORK; fi
mkdir -p "$WORK"

# what differs in a trial: preset of the arms, preset of the long runs, runs at once, options of speed.py, which tests
case $SIZE in
    full) ARMS=cpu LONG=cuda JOBS=15 SPEED="--only rows,peers,clips,data,matrix" TESTS="cuda or GPU" ;;
    tiny) ARMS=tiny LONG=tiny JOBS=2 SPEED="--only rows --geometry tiny" TESTS="emulated and pixels" ;;
    *) echo "SIZE is $SIZE, expected full or tiny" >&2; exit 2 ;;
esac

# step NAME COMMAND...: run the command unless it has ended well before, for as long as there are minutes left
step() {
    local name=$1 left=$((MINUTES * 60 - SECONDS))
    shift
    [ ! -e "$WORK/$name.done" ] || return 0
    if [ "$left" -gt 0 ]; then
        echo "== $name, $((left / 60)) minutes left: $*"
        if timeout --foreground --signal=INT "$left" "$@"; then touch "$WORK/$name.done"; return 0; fi
    fi
    [ "$((MINUTES * 60 - SECONDS))" -gt 0 ] || { echo "$MINUTES minutes are over; the same command goes on with $name"; exit 3; }
    echo "$name failed; what follows it goes on" >&2
    FAILED=1
}

tests() { # a failed test is written down, too, and stops nothing
    "$PYTHON" -m pytest -q tests/test_devices.py tests/test_speed.py -k "$TESTS" 2>&1 | tee "$TO/gpu-tests.txt"
}

arms() { # FILE PRESET ARMS SEEDS: an ablation that goes on, and its results
    local folder=$WORK/$1 words=()
    [ ! -e "$folder/config.json" ] || words=(--resume)
    "$PYTHON" -m minivjepa ablate --preset "$2" --arms "$3" --seeds "$4" --device "$DEVICE" --jobs "$JOBS" --out "$folder" "${words[@]}"
    cp "$folder/results.json" "$TO/$1.json"
}
export -f tests arms
export DEVICE PYTHON WORK TO JOBS TESTS

FAILED=0
step tests bash -euo pipefail -c tests
step speed "$PYTHON" results/speed.py --device "$DEVICE" --file "$TO/speed-$DEVICE.json" --resume $SPEED
step arms bash -euo pipefail -c "arms gpu-arms $ARMS vjepa,no-stopgrad,no-ema,neither,frozen 10,11,12"
for last in 10 11 12 13 14; do # one seed more at a time: those that fit in the minutes count
    step "long-$last" bash -euo pipefail -c "arms gpu-long $LONG vjepa $(seq -s, 10 $last)"
done
echo "all is measured; next: make results"
exit "$FAILED"
