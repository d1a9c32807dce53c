#!/usr/bin/env bash
# All that this project wants to know of a GPU, most valuable first. How long it takes on one is not known yet.
#
#   results/gpu.sh                        after a stop, a kill or MINUTES the same command goes on where it was
#   DEVICE=cpu SIZE=tiny results/gpu.sh   tries the script itself on a machine without a GPU, in a few minutes
#
# PYTHON: an interpreter with what the extra `test` needs; the package itself is taken from here (.venv/bin/python).
# MINUTES: when to stop (9, since some machines end a command after 10); what runs then has half a minute to save its work.
# WORK: where work is kept that has begun (runs/gpu-DEVICE-SIZE).
# It leaves gpu-tests.txt, speed-cuda.json, gpu-arms.json and gpu-long.json in results/, which `make results` turns into
# pages; a trial leaves its files in WORK.
set -euo pipefail
cd "$(dirname "$0")/.."
DEVICE=${DEVICE:-cuda} SIZE=${SIZE:-full} PYTHON=${PYTHON:-.venv/bin/python} MINUTES=${MINUTES:-9}
WORK=${WORK:-runs/gpu-$DEVICE-$SIZE}
if [ "$DEVICE-$SIZE" = cuda-full ]; then TO=results; else TO=$WORK; fi
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}

# what differs in a trial: preset of the arms, preset of the long runs, runs at once, parts and options of speed.py, which tests
case $SIZE in
    full) ARMS=cpu LONG=cuda JOBS=15 PARTS=rows,peers,clips,data GEOMETRY=() TESTS="cuda or GPU" ;;
    tiny) ARMS=tiny LONG=tiny JOBS=2 PARTS=rows GEOMETRY=(--geometry tiny) TESTS="emulated and pixels" ;;
    *) echo "SIZE is $SIZE, expected full or tiny" >&2; exit 2 ;;
esac
CHECK="import av, einops, matplotlib, pytest, sklearn, torch, tyro; '$DEVICE' == 'cpu' or torch.cuda.is_available() or exit('torch finds no GPU')"
WHY=$("$PYTHON" -c "$CHECK" 2>&1) || {
    echo "$PYTHON cannot measure this: ${WHY##*$'\n'}; give a PYTHON with the extra test that sees a GPU, or DEVICE=cpu SIZE=tiny" >&2
    exit 2
}
mkdir -p "$WORK"

# step NAME COMMAND...: run the command unless it has ended well before, for as long as there are minutes left
# timeout signals its child only, so COMMAND is the program that has to hear it, and no shell around it
step() {
    local name=$1 left=$((MINUTES * 60 - SECONDS))
    shift
    [ ! -e "$WORK/$name.done" ] || return 0
    if [ "$left" -gt 0 ]; then
        echo "== $name, $((left / 60)) minutes left: $*"
        if timeout --foreground --signal=INT --kill-after=30 "$left" "$@"; then touch "$WORK/$name.done"; return 0; fi
    fi
    [ "$((MINUTES * 60 - SECONDS))" -gt 0 ] || { echo "$MINUTES minutes are over; the same command goes on with $name"; exit 3; }
    echo "$name failed; what follows it goes on" >&2
    FAILED=1
}

arms() { # STEP FILE PRESET ARMS SEEDS: an ablation that goes on, and its results
    local folder=$WORK/$2 words=()
    [ ! -e "$folder/config.json" ] || words=(--resume)
    step "$1" "$PYTHON" -m minivjepa ablate --preset "$3" --arms "$4" --seeds "$5" --device "$DEVICE" --jobs "$JOBS" --out "$folder" "${words[@]}"
    [ ! -e "$folder/results.json" ] || cp "$folder/results.json" "$TO/$2.json"
}

speed() { # STEP PARTS OPTION...: what results/speed.py measures
    step "$1" "$PYTHON" results/speed.py --device "$DEVICE" --file "$TO/speed-$DEVICE.json" --resume --only "${@:2}"
}

FAILED=0
# a failed test is written down, too, and stops nothing
[ -e "$WORK/tests.done" ] || step tests "$PYTHON" -m pytest -q tests/test_devices.py tests/test_speed.py -k "$TESTS" > >(tee -i "$TO/gpu-tests.txt") 2>&1
arms arms gpu-arms "$ARMS" vjepa,no-stopgrad,no-ema,neither,frozen 10,11,12
arms long-10 gpu-long "$LONG" vjepa 10
speed speed "$PARTS" "${GEOMETRY[@]}"
for last in 11 12 13 14; do # one seed more at a time: those that fit in the minutes count
    arms "long-$last" gpu-long "$LONG" vjepa "$(seq -s, 10 $last)"
done
[ "$SIZE" = tiny ] || speed matrix matrix
echo "all is measured; next: make results"
exit "$FAILED"
