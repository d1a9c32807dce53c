"""Everything behind results/ that `minivjepa ablate` trains, in the order of its worth.

    python results/matrix.py [--keep] [NAME ...]

Each experiment is one `minivjepa ablate` in its own folder under runs/, two seeds at a time; after every two, its results.json is
copied here under the experiment's name.  After a stop or a kill the same command goes on where it was.  --keep: count the
runs that results/ already holds as done, so that another machine can go on.  NAME: only these experiments.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from minivjepa.experiments.jobs import Job
from minivjepa.experiments.plan import plan_jobs
from minivjepa.training.config import Config, from_dict, to_dict
from minivjepa.training.files import read_json, write_json

FOLDER = Path(__file__).parent
RUNS = Path("runs")
SEEDS = "10,11,12,13,14"
FRESH = ",".join(map(str, range(20, 30)))  # the seeds of results/plan.md
EIGHT = ",".join(map(str, range(20, 28)))


def behind(background: str, strength: float = 1.0) -> str:
    """Options for clips with a nuisance."""
    return f"--clips.background {background} --clips.strength {strength}"


EXPERIMENTS = {
    "matrix": f"--arms main --seeds {SEEDS}",
    "long": f"--preset cpu-long --arms vjepa,frozen --seeds {SEEDS}",
    "variants": f"--arms variants --seeds {SEEDS[:-3]}",
    "plan-today": f"--arms vjepa,frozen,pixels,generation-2,generation-3 --seeds {FRESH}",
    "plan-new": f"--arms vjepa,frozen,pixels,generation-2,generation-3 --seeds {FRESH} {behind('new')}",
    "plan-today-long": f"--preset cpu-long --arms vjepa,frozen --seeds {FRESH}",
    "plan-new-half": f"--arms vjepa,frozen,pixels --seeds {FRESH} {behind('new', 0.5)}",
    "plan-new-double": f"--arms vjepa,frozen,pixels --seeds {FRESH} {behind('new', 2.0)}",
    "plan-still": f"--arms vjepa,frozen,pixels --seeds {FRESH} {behind('still')}",
    "plan-drifting": f"--arms vjepa,frozen,pixels --seeds {FRESH} {behind('drifting')}",
    "plan-new-long": f"--preset cpu-long --arms vjepa,frozen --seeds {EIGHT} {behind('new')}",
    "plan-1000-steps": f"--arms vjepa,frozen --seeds {FRESH} --steps 1000",
    "plan-7000-steps": f"--arms vjepa,frozen --seeds {FRESH} --steps 7000",
    "plan-still-long": f"--preset cpu-long --arms vjepa,frozen --seeds {EIGHT} {behind('still')}",
    "plan-drifting-long": f"--preset cpu-long --arms vjepa,frozen --seeds {EIGHT} {behind('drifting')}",
    "plan-14000-steps": f"--arms vjepa,frozen --seeds {FRESH} --steps 14000",
}


SHARED = {"variants": "matrix"}  # experiments in another's folder: some variants are taught by its runs


def result_of(job: Job, results: dict[str, Any]) -> Any:
    """What a results.json holds of one job, or None."""
    rows = results["arms"].get(job.name, []) if job.kind == "arm" else results.get(job.name, [])
    if job.kind == "control" and job.name != "raw_pixels":
        return results["controls"].get(job.name)
    return next((row for row in rows if row["seed"] == job.config.seed), None)


def restore(out: Path, kept: Path) -> None:
    """Lay out a folder as if the runs that a kept results.json holds had been made there."""
    results = read_json(kept)
    config = from_dict(Config, results["config"])
    write_json(out / "ablation.json", {"preset": results["preset"], "config": to_dict(config)})
    seeds = [row["seed"] for row in results["untrained"]]
    for job in plan_jobs([*results["arms"]], seeds, config, out):
        if (found := result_of(job, results)) is not None:
            job.folder.mkdir(parents=True)
            write_json(job.folder / "config.json", {"data": "digits", **to_dict(job.config)})
            write_json(job.result_file, found)


def run(name: str, keep: bool) -> None:
    """One experiment, two more seeds in each round."""
    out, kept, words = RUNS / SHARED.get(name, name), FOLDER / f"{name}.json", EXPERIMENTS[name].split()
    if keep and kept.exists() and not out.exists():
        out.mkdir(parents=True)
        restore(out, kept)
    place = words.index("--seeds") + 1
    seeds = words[place].split(",")
    for count in range(2, len(seeds) + 2, 2):
        words[place] = ",".join(seeds[:count])
        resume = ["--resume"] if (out / "ablation.json").exists() else []
        print(f"{name}: minivjepa ablate --out {out} {' '.join(words + resume)}", flush=True)
        subprocess.run([sys.executable, "-m", "minivjepa", "ablate", "--out", str(out), *words, *resume], check=True)
        shutil.copy(out / "results.json", kept)


def main() -> None:
    """Run the experiments that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*EXPERIMENTS, []], metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--keep", action="store_true", help="count the runs that results/ holds as done")
    options = parser.parse_args()
    for name in options.names or EXPERIMENTS:
        run(name, options.keep)


if __name__ == "__main__":
    main()
