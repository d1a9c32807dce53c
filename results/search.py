"""The search for the default recipe: every trial that was made, in the order in which it was made, then those planned.

    python results/search.py        # runs what results/search.json lacks, two trials at a time, and prints the table

Seeds 100 to 104 and validation digits only; what is reported elsewhere uses other seeds and test digits.  A trial trains
one run, of `vjepa` unless said, and reads from its online encoder, on validation clips, what the choice was made by.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from page_tables import search_table
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from minivjepa.collapse import feature_std
from minivjepa.data import known_clips
from minivjepa.data.protocol import FULL, Budget
from minivjepa.evaluation.judge import encode_split
from minivjepa.evaluation.probes import attentive_accuracy, knn_accuracy, linear_accuracy, standardise
from minivjepa.training.arms import with_arm
from minivjepa.training.config import Config, changed_fields, differences, from_dict, to_dict
from minivjepa.training.files import read_json, write_json
from minivjepa.training.recipe import build_model
from minivjepa.training.runs import Run, few
from minivjepa.training.trainer import Trainer
from minivjepa.vjepa import VJEPA

FILE = Path(__file__).with_suffix(".json")
CPU = torch.device("cpu")
# trials marked "first" were read by attentive probes without weight decay: compare those among themselves
PROBE = "final"
# the recipe that the search started from
START = Config(
    masks=("future",), dim=64, depth=3, heads=2, predictor_dim=48, predictor_depth=2, predictor_heads=2, steps=1500, batch=32,
    lr=2e-3, predictor_lr=2.0, warmup=40, final_lr=0.05, weight_decay=0.04, final_weight_decay=0.04, momentum=0.996, final_momentum=1.0,
)  # fmt: skip
SMALL = {"batch": 16, "steps": 2600, "lr": 4e-3}
SLOWER = SMALL | {"lr": 2.5e-3}
MIDDLE = SLOWER | {"weight_decay": 0.1, "final_weight_decay": 0.1}
LONG = MIDDLE | {"steps": 7800, "momentum": 0.99}
HEADS = LONG | {"heads": 4, "predictor_heads": 4}
LONGER = HEADS | {"steps": 8400, "momentum": 0.98}
# (what is tried, the arm and the fields that differ from START, seeds)
TRIALS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("start", {}, (100, 101)),
    ("small batch", SMALL, (100, 101)),
    ("small batch, weight decay .2", SMALL | {"weight_decay": 0.2, "final_weight_decay": 0.2}, (100, 101)),
    ("small batch, 4 heads", SMALL | {"heads": 4, "predictor_heads": 4}, (100, 101)),
    ("small batch, 96 wide", SMALL | {"steps": 1900, "dim": 96, "heads": 4}, (100, 101)),
    ("small batch, future .75", SMALL | {"masks": ("future:0.75",)}, (100, 101)),
    ("small batch, future and tube", SMALL | {"steps": 1700, "masks": ("future", "tube:0.75")}, (100, 101)),
    ("small batch, momentum .99", SMALL | {"momentum": 0.99}, (100, 101)),
    ("small batch, lr 3e-3, predictor x4", SMALL | {"lr": 3e-3, "predictor_lr": 4.0}, (100, 101)),
    ("slower: small batch, lr 2.5e-3", SMALL | {"lr": 2.5e-3}, (100, 101)),
    ("batch 8", {"batch": 8, "steps": 4200, "lr": 4e-3}, (100, 101)),
    ("slower, weight decay .2", SLOWER | {"weight_decay": 0.2, "final_weight_decay": 0.2}, (100, 101)),
    ("middle: weight decay .1", MIDDLE, (100, 101)),
    ("middle, no EMA", MIDDLE | {"arm": "no-ema"}, (100, 101)),
    ("middle, neither", MIDDLE | {"arm": "neither"}, (100, 101)),
    ("slower, lr 1.5e-3", SLOWER | {"lr": 1.5e-3}, (100, 101)),
    ("slower, 4 heads", SLOWER | {"heads": 4, "predictor_heads": 4}, (100, 101)),
    ("slower, momentum .99", SLOWER | {"momentum": 0.99}, (100, 101)),
    ("middle, 7800 steps", MIDDLE | {"steps": 7800}, (100, 101)),
    ("long: 7800 steps, momentum .99", LONG, (100, 101)),
    ("long, frozen", LONG | {"arm": "frozen"}, (100, 101)),
    ("long, 4 heads", HEADS, (100, 101)),
    ("longer, momentum .98", LONG | {"steps": 9000, "momentum": 0.98}, (100, 101)),
    ("long, 4 heads, frozen", HEADS | {"arm": "frozen"}, (100, 101)),
    ("longer, 4 heads, momentum .98", LONGER, (100, 101)),
    ("longer, 96 wide", LONGER | {"steps": 6600, "dim": 96}, (100, 101)),
    ("longer, 80 wide, 5 heads", LONGER | {"steps": 7200, "dim": 80, "heads": 5}, (100, 101)),
    ("longer, 96 wide, 6 heads, momentum .99", LONGER | {"steps": 6200, "dim": 96, "heads": 6, "momentum": 0.99}, (100, 101)),
]  # fmt: skip


def first_recipe(changes: dict[str, Any]) -> Config:
    """The config of a trial of this page."""
    fields = {name: value for name, value in changes.items() if name != "arm"}
    return with_arm(replace(START, **fields), changes.get("arm", "vjepa"))


def trial(
    config: Config, seed: int, budget: Budget = FULL, build: Callable[[Config], VJEPA] = build_model
) -> dict[str, Any]:
    """Train one run and judge its online encoder on validation clips.  build: makes the model."""
    torch.set_num_threads(1)
    config = replace(config, seed=seed, checkpoint_every=10**6, log_every=1000)
    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "run")
        run.create(config, "digits")
        began, clock = time.process_time(), time.perf_counter()
        model = (
            Trainer(config, known_clips(config.grid, "train", seed, CPU, config.clips), run, CPU, model=build(config))
            .fit(lambda *_: None)
            .eval()
        )
        spent, waited = time.process_time() - began, time.perf_counter() - clock
        parts = [encode_split(model.encoder, config, split, budget, CPU) for split in ("train", "validation")]
        (x, y), (train, held_out) = (part.pooled for part in parts), parts
        scores = {
            f"linear_{task}": linear_accuracy(x, getattr(train, task), y, getattr(held_out, task))
            for task in ("direction", "identity")
        }
        scores["knn_identity"] = knn_accuracy(x, train.identity, y, held_out.identity, budget.neighbours)
        scores["feature_std"] = feature_std(held_out.tokens)
        train, held_out = standardise(parts)
        for task, (score, _) in attentive_accuracy(train, held_out, held_out, budget, seed).items():
            scores[f"attentive_{task}"] = score
    return {"seed": seed, "cpu_seconds": round(spent, 1), "seconds": round(waited, 1), **scores}


RECIPES = "recipes"  # in the files of search_arms.py and search_moving.py, beside the trials
# name of a trial, its config, a seed, what builds the model
Wanted = tuple[str, Config, int, Callable[[Config], VJEPA]]


def run_all(wanted: Sequence[Wanted], runs: dict[str, list[Any]], save: Callable[[], object]) -> None:
    """Add to `runs` (trial -> its runs) those that it lacks, two at once.  save: called when one is finished.

    A run that fails, for example because its loss is NaN, is named at the end; the others go on, and it's tried again next time.
    """
    missing = [one for one in wanted if one[2] not in {run["seed"] for run in runs[one[0]]}]
    failed = []
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool, tqdm(total=len(missing), unit="run") as bar:
        jobs = {pool.submit(trial, config, seed, FULL, build): (name, seed) for name, config, seed, build in missing}
        for job in as_completed(jobs):
            name, seed = jobs[job]
            bar.update(1)
            if error := job.exception():
                failed.append(f"failed: {name}, seed {seed}: {error}")
                continue
            runs[name].append(job.result())
            runs[name].sort(key=lambda run: run["seed"])
            save()
            bar.write(f"{name}: {job.result()}")
    if failed:
        print("\n".join(failed), file=sys.stderr)


def check_recipes(file: Path, results: dict[str, Any], wanted: Sequence[Wanted]) -> None:
    """Exit if a trial that has runs in the file was made with another recipe."""
    then = results.get(RECIPES, {"changes": {}})
    for name, config, seed, _ in wanted:
        if results.get(name) and name in then["changes"]:
            old = from_dict(Config, {**then["base"], **then["changes"][name], "seed": seed})
            if lines := differences(old, replace(config, seed=seed)):
                raise SystemExit(
                    f"{file} has other runs of {name!r} ({few(lines)}); take them out, or rename the trial"
                )


def run_missing(wanted: Sequence[Wanted], file: Path) -> dict[str, Any]:
    """Trial -> its runs: those in the file, and those that it lacks.  The file also has every trial's recipe, under RECIPES."""
    held = read_json(file) if file.exists() else {}
    check_recipes(file, held, wanted)
    then = held.pop(RECIPES, {"base": to_dict(Config()), "changes": {}})
    base = from_dict(Config, then["base"])
    changes = then["changes"] | {name: changed_fields(base, config) for name, config, *_ in wanted}
    runs = {name: [] for name, *_ in wanted} | held

    def save() -> None:
        """Write the trials that have runs, and their recipes."""
        own = {name: rows for name, rows in runs.items() if rows}
        recipes = {"base": then["base"], "changes": {name: changes[name] for name in own if name in changes}}
        write_json(file, {RECIPES: recipes, **own})

    run_all(wanted, runs, save)
    return runs


def main() -> None:
    """Run the trials that have no result yet; what is finished is written at once."""
    results = read_json(FILE) if FILE.exists() else []
    known = {result["trial"]: result for result in results}
    for name, changes, _ in TRIALS:
        if name not in known:
            known[name] = {"trial": name, "changes": changes, "probe": PROBE, "runs": []}
            results.append(known[name])
    wanted = [(name, first_recipe(changes), seed, build_model) for name, changes, seeds in TRIALS for seed in seeds]
    runs = {name: result["runs"] for name, result in known.items()}
    run_all(wanted, runs, lambda: write_json(FILE, [result for result in results if result["runs"]]))
    print(search_table(read_json(FILE)))


if __name__ == "__main__":
    sys.exit(main())
