"""The recorded curves of the full model, small enough for the page: python page/data/record.py writes recorded.json.

Read from results/: every seed of the seven arms of matrix.json, and of the arm `pixels` of plan-today.json.
Steps are shares of the run, and spreads are shares of a run's first spread: the page's own model is smaller.
"""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = {"matrix.json": None, "plan-today.json": ("pixels",)}  # file -> the arms to take; None: all


def digits(value: float) -> float:
    """Three significant digits, which is finer than a line on a screen."""
    return float(f"{value:.3g}")


def curves(run: dict) -> dict:
    """One run's loss, and the spread of online and target features as shares of the first."""
    history = run["history"]
    first = history[0]["feature_std"]
    spread = {
        name: [digits(row[key] / first) for row in history]
        for name, key in (("std", "feature_std"), ("target", "target_feature_std"))
    }
    if spread["target"] == spread["std"]:  # the target is the online encoder
        del spread["target"]
    return {"seed": run["seed"], "loss": [row["loss"] and digits(row["loss"]) for row in history], **spread}


def recorded() -> dict:
    """Arm -> {share: where in the run, runs: one entry a seed}, and the sentence that says where all of it comes from."""
    arms, steps = {}, set()
    for file, names in SOURCES.items():
        results = json.loads((ROOT / "results" / file).read_text(encoding="utf-8"))
        for arm in names or results["arms"]:
            runs = results["arms"][arm]
            rows = [row["step"] for row in runs[0]["history"]]
            steps.add(rows[-1])
            arms[arm] = {"share": [digits(step / rows[-1]) for step in rows], "runs": [curves(run) for run in runs]}
    [last] = steps  # one length for all, or the page's caption would be wrong
    return {"steps": last, "arms": arms}


if __name__ == "__main__":
    target = Path(__file__).with_name("recorded.json")
    target.write_text(json.dumps(recorded(), separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{target}: {target.stat().st_size} bytes")
