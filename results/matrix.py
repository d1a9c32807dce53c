"""Everything behind results/ that `minivjepa ablate` trains, in the order of its worth.

    python results/matrix.py [--keep] [NAME ...]

Each experiment is one `minivjepa ablate` in a folder under runs/, two seeds at a time; after every two, its results.json is
copied here under the experiment's name.  After a stop or a kill the same command goes on where it was.  --keep: count the
runs that results/ already holds as done, so that another machine can go on.  NAME: only these experiments.
"""

import argparse
import shutil
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

from search_arms import FILE, TRIALS, best

from minivjepa.commands.ablate import ablate
from minivjepa.experiments.jobs import Job
from minivjepa.experiments.plan import Ablation, plan_jobs
from minivjepa.training.arms import VARIANTS, with_arm
from minivjepa.training.config import Config, differences, from_dict
from minivjepa.training.files import read_json, write_json
from minivjepa.training.runs import Run, few
from minivjepa.vjepa import ARMS

FOLDER = Path(__file__).parent
RUNS = Path("runs")
SEEDS = "10,11,12,13,14"
FRESH = ",".join(map(str, range(20, 30)))  # the seeds of results/plan.md
EIGHT = ",".join(map(str, range(20, 28)))
FOUR = ",".join(map(str, range(20, 24)))  # what was run before the plan was amended


def behind(background: str, strength: float = 0.5) -> str:
    """Options for clips with a nuisance."""
    return f"--clips.background {background} --clips.strength {strength}"


THREE, GENERATIONS = "vjepa,frozen,pixels", "generation-2,generation-3"
FOR_NEW = "vjepa-for-new,frozen-for-new,pixels-for-new"  # tuned on clips with a new background
FOR_TODAY = "vjepa-for-today,frozen-for-today,vicreg-for-today,sigreg-for-today"
PLAIN_VARIANTS = ",".join(VARIANTS)  # before add_tuned_arms, whose arms belong to other experiments
EXPERIMENTS = {
    "plan-today": f"--arms {THREE},{GENERATIONS} --seeds {FRESH}",
    "plan-today-long": f"--preset cpu-long --arms {THREE} --seeds {FRESH}",
    "plan-new": f"--arms {THREE},{GENERATIONS} --seeds {FRESH} {behind('new')}",
    "plan-new-tuned": f"--arms {FOR_NEW} --seeds {FRESH} {behind('new')}",
    "matrix": f"--arms main --seeds {SEEDS}",
    "long": f"--preset cpu-long --arms vjepa,frozen --seeds {SEEDS}",
    "plan-still": f"--arms {THREE} --seeds {FRESH} {behind('still')}",
    "plan-drifting": f"--arms {THREE} --seeds {FRESH} {behind('drifting')}",
    "plan-today-tuned": f"--arms {FOR_TODAY},{FOR_NEW} --seeds {FRESH}",
    "plan-new-quarter": f"--arms {FOR_NEW} --seeds {FRESH} {behind('new', 0.25)}",
    "plan-new-long": f"--preset cpu-long --arms vjepa,frozen --seeds {EIGHT} {behind('new')}",
    "variants": f"--arms {PLAIN_VARIANTS} --seeds {SEEDS[:-3]}",
    "plan-1000-steps": f"--arms vjepa,frozen --seeds {FRESH} --steps 1000",
    "plan-7000-steps": f"--arms vjepa,frozen --seeds {FRESH} --steps 7000",
    "plan-still-long": f"--preset cpu-long --arms vjepa,frozen --seeds {EIGHT} {behind('still')}",
    "plan-drifting-long": f"--preset cpu-long --arms vjepa,frozen --seeds {EIGHT} {behind('drifting')}",
    "plan-14000-steps": f"--arms vjepa,frozen --seeds {FRESH} --steps 14000",
    "plan-new-strong": f"--arms {THREE},{GENERATIONS} --seeds {FOUR} {behind('new', 1.0)}",
}
# experiments in another's folder: they share its controls, and some arms are taught by its runs
SHARED = {"variants": "matrix", "plan-new-tuned": "plan-new", "plan-today-tuned": "plan-today"}
# experiments that look at the same pixels as another, whose slowest control they take over
PIXELS = {name: name.removesuffix("-long") for name in EXPERIMENTS if name.endswith("-long")}
PIXELS |= {f"plan-{steps}-steps": "plan-today" for steps in (1000, 7000, 14000)} | {"long": "matrix"}


def add_tuned_arms() -> None:
    """Make the winners of search_arms.py arms: vjepa-for-new is what won among the trials of vjepa on clips of the kind new."""
    for arm, trial, kind in best(read_json(FILE), 1, seeds=2):
        fields = dict(TRIALS[arm][trial])
        plain = with_arm(Config(), arm).prevention
        prevention = {**vars(plain), **fields.pop("prevention", {})}
        VARIANTS[f"{arm}-for-{kind}"] = {"prevention": type(plain)(**prevention), **fields}


def check_arms(names: Iterable[str]) -> None:
    """Exit if the search has not yet found an arm of one of these experiments."""
    for name in names:
        words = EXPERIMENTS[name].split()
        arms = words[words.index("--arms") + 1].split(",")
        if unknown := [arm for arm in arms if arm not in {"main", *ARMS, *VARIANTS}]:
            raise SystemExit(f"{name} needs {', '.join(unknown)}; run python results/search_arms.py first")


def result_of(job: Job, results: dict[str, Any]) -> Any:
    """What a results.json holds of one job, or None."""
    if job.kind == "control" and job.name != "raw_pixels":
        return results["controls"].get(job.name)
    rows = results["arms"].get(job.name, []) if job.kind == "arm" else results[job.name]
    return next((row for row in rows if row["seed"] == job.config.seed), None)


def to_train_again(names: Iterable[str]) -> set[tuple[str, str, int]]:
    """Folder, arm and seed of every run that teaches one of these experiments' and that results/ holds without weights."""
    again = set()
    for name in names:
        folder, words = SHARED.get(name, name), EXPERIMENTS[name].split()
        files = [file for file in (FOLDER / f"{one}.json" for one in (folder, name)) if file.exists()]
        kept = [(arm, run["seed"]) for file in files for arm, runs in read_json(file)["arms"].items() for run in runs]
        arms, seeds = (words[words.index(option) + 1].split(",") for option in ("--arms", "--seeds"))
        for arm, seed in ((arm, int(seed)) for arm in arms for seed in seeds if (arm, int(seed)) not in kept):
            while arm := VARIANTS.get(arm, {}).get("teacher"):
                again.add((folder, arm, seed))
    return again


def restore(out: Path, kept: Path, again: Container[tuple[str, str, int]] = ()) -> None:
    """Lay out a folder as if the runs that a kept results.json holds had been made there.

    again: folder, arm and seed of what is left out.  Exits if an arm was another one then.
    """
    results = read_json(kept)
    config = from_dict(Config, results["config"])
    if not out.exists():
        Run(out, Ablation).create(Ablation(results["preset"], config), "digits")
    for job in plan_jobs([*results["arms"]], [row["seed"] for row in results["untrained"]], config, out):
        found = result_of(job, results)
        if found is None or job.folder.exists() or (out.name, job.name, job.config.seed) in again:
            continue
        changes = results.get("changes", {}).get(job.name) if job.kind == "arm" else None  # older files lack them
        then = (
            job.config
            if changes is None
            else from_dict(Config, {**results["config"], **changes, "seed": job.config.seed})
        )
        if lines := differences(then, job.config):
            raise SystemExit(
                f"{kept} has other runs of {job.name} ({few(lines)}); take them out of it, or leave --keep out"
            )
        Run(job.folder).create(job.config, "digits")
        write_json(job.result_file, found)


def borrow_pixels(out: Path, donor: Path) -> None:
    """Take over the probes of raw pixels, which see nothing of a run but its clips and its seed."""
    for file in donor.glob("runs/control-raw_pixels-*/result.json"):
        place = out / file.relative_to(donor)
        if not place.exists():
            place.parent.mkdir(parents=True)
            shutil.copy(file, place)


def run(name: str, again: set[tuple[str, str, int]] | None) -> None:
    """One experiment, two more seeds in each round.  again: what to train although results/ holds it; None: all."""
    out, words = RUNS / SHARED.get(name, name), EXPERIMENTS[name].split()
    for kept in (FOLDER / f"{file}.json" for file in (out.name, name)):
        if again is not None and kept.exists():
            restore(out, kept, again)
    place = words.index("--seeds") + 1
    seeds = words[place].split(",")
    for count in range(2, len(seeds) + 2, 2):
        words[place] = ",".join(seeds[:count])
        if name in PIXELS and out.exists():
            borrow_pixels(out, RUNS / PIXELS[name])
        resume = ["--resume"] if out.exists() else []
        print(f"{name}: minivjepa ablate --out {out} {' '.join(words + resume)}", flush=True)
        if ablate(["--out", str(out), *words, *resume]) != 0:
            raise SystemExit(1)
        shutil.copy(out / "results.json", FOLDER / f"{name}.json")


def main() -> None:
    """Run the experiments that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*EXPERIMENTS, []], metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--keep", action="store_true", help="count the runs that results/ holds as done")
    options = parser.parse_args()
    add_tuned_arms()
    names = options.names or [*EXPERIMENTS]
    check_arms(names)
    again = to_train_again(names) if options.keep else None
    for name in names:
        run(name, again)


if __name__ == "__main__":
    main()
