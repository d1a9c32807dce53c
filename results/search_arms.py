"""Every arm of the plan gets the same number of trials before it is compared: python results/search_arms.py

A trial changes one or a few fields of an arm's recipe and trains one run with seed 100, on the clips on which the plan compares
the arm: today's, or those with a new background in every frame.  The two best of each are trained with seed 101 too; the better mean
of both is the arm's tuned recipe for these clips.  The score is the mean of four held-out accuracies on validation clips: linear and attentive
probes for direction and identity.  results/search_arms.json keeps every trial; a run that is in it is not repeated.
"""

import sys
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from search import Wanted, run_missing

from minivjepa.data.digits import CLIPS, ClipRules
from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import markdown
from minivjepa.objective import SIGReg, VICReg
from minivjepa.training.arms import with_arm
from minivjepa.training.config import PRESETS, Config
from minivjepa.training.recipe import build_model

FILE = Path(__file__).with_suffix(".json")
KINDS = {"today": CLIPS, "new": ClipRules(background="new", strength=0.5)}
SCORES = ("linear_direction", "linear_identity", "attentive_direction", "attentive_identity")
FIRST, SECOND = 100, 101
RATES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "lr / 2": {"lr": 1.25e-3},
    "lr * 2": {"lr": 5e-3},
    "predictor lr * 2": {"predictor_lr": 4.0},
    "squared error": {"loss": "l2"},
}
# arm -> trial -> fields; those of the prevention stand under "prevention"
TRIALS: dict[str, dict[str, dict[str, Any]]] = {
    "vjepa": RATES | {"momentum .99": {"momentum": 0.99}},
    "frozen": RATES | {"raw targets": {"prevention": {"normalise": False}}},
    "pixels": RATES | {"raw targets": {"prevention": {"normalise": False}}},
    "vicreg": {
        "as it is": {},
        "projector 64": {"prevention": {"projector": 64}},
        "projector 128": {"prevention": {"projector": 128}},
        "projector 128, weights * 10": {"prevention": {"projector": 128, "regulariser": VICReg(10.0, 0.4)}},
        "projector 128, squared error, raw targets": {"loss": "l2", "prevention": {"projector": 128, "normalise": False}},
        "projector 128, lr / 2": {"lr": 1.25e-3, "prevention": {"projector": 128}},
    },
    "sigreg": {
        "as it is": {},
        "projector 64": {"prevention": {"projector": 64}},
        "projector 128": {"prevention": {"projector": 128}},
        "projector 64, lambda 1": {"prevention": {"projector": 64, "regulariser": SIGReg(1.0)}},
        "projector 64, squared error, raw targets": {"loss": "l2", "prevention": {"projector": 64, "normalise": False}},
        "projector 64, lr / 2": {"lr": 1.25e-3, "prevention": {"projector": 64}},
    },
}  # fmt: skip
COMPARED = {
    "today": ("vjepa", "frozen", "vicreg", "sigreg"),
    "new": ("vjepa", "frozen", "pixels"),
}  # kind of clips -> arms
EVERY = [(arm, name, kind) for kind, arms in COMPARED.items() for arm in arms for name in TRIALS[arm]]


def recipe(arm: str, name: str, kind: str) -> Config:
    """The config of one trial."""
    config = with_arm(replace(PRESETS["cpu"], clips=KINDS[kind]), arm)
    fields = dict(TRIALS[arm][name])
    prevention = replace(config.prevention, **fields.pop("prevention", {}))
    return replace(config, prevention=prevention, **fields)


def score(runs: list[dict[str, Any]]) -> float:
    """What a trial is chosen by."""
    return mean(run[name] for run in runs for name in SCORES)


def best(results: dict[str, Any], count: int, seeds: int) -> list[tuple[str, str, str]]:
    """The best trials of each arm and kind of clips, among those with at least so many seeds."""
    chosen = []
    for kind, arms in COMPARED.items():
        for arm in arms:
            known = [name for name in TRIALS[arm] if len(results.get(f"{arm}/{name}/{kind}", [])) >= seeds]
            ranked = sorted(known, key=lambda name: -score(results[f"{arm}/{name}/{kind}"][:seeds]))
            chosen += [(arm, name, kind) for name in ranked[:count]]
    return chosen


def wanted(keys: list[tuple[str, str, str]], seed: int) -> list[Wanted]:
    """Trials of (arm, trial, kind of clips) with one seed."""
    return [("/".join(key), recipe(*key), seed, build_model) for key in keys]


def trials_table(results: dict[str, Any]) -> str:
    """Every trial that has runs, means over its seeds; the winners in bold."""
    winners, lines = best(results, 1, seeds=2), []
    for arm, name, kind in EVERY:
        if runs := results.get(f"{arm}/{name}/{kind}"):
            means = [f"{mean(run[metric] for run in runs):.3f}" for metric in SCORES]
            seeds, total = ", ".join(str(run["seed"]) for run in runs), f"{score(runs):.3f}"
            lines.append([kind, arm, name, seeds, f"**{total}**" if (arm, name, kind) in winners else total, *means])
    return markdown(["clips", "arm", "trial", "seeds", "score", *(METRICS[m].title for m in SCORES)], lines, words=4)


def main() -> None:
    """All trials with the first seed, the best two with the second, then the winners."""
    results = run_missing(wanted(EVERY, FIRST), FILE)
    results = run_missing(wanted(best(results, 2, seeds=1), SECOND), FILE)
    for arm, name, kind in best(results, 1, seeds=2):
        print(f"{arm}, {kind}: {name}, {score(results[f'{arm}/{name}/{kind}']):.3f}")


if __name__ == "__main__":
    sys.exit(main())
