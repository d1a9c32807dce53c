"""The experiments behind results/world_ablation.json: `python results/world_ablation.py`, stopped or killed, goes on where it was.

Seeds 10 to 12.  Recipes were searched on seeds 100 and above.
"""

import shlex
import sys
import time
from pathlib import Path

import torch
from tqdm import tqdm

from minivjepa.training.files import read_json, versions, write_json
from minivjepa.world.ablation import experiments, rank_correlation, settings

FILE = Path(__file__).with_suffix(".json")
SEEDS = (10, 11, 12)


def main() -> None:
    """Run what the results file lacks."""
    torch.set_num_threads(1)
    head = {
        "command": shlex.join(["python", "results/world_ablation.py"]),
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions(),
    }
    results = (
        read_json(FILE) if FILE.exists() else {**head, "complete": False, "seeds": list(SEEDS), "settings": settings()}
    )
    if results["settings"] != settings():
        raise SystemExit(f"{FILE} was made with other settings; delete it to start again")
    jobs = [(kind, key, job) for kind, found in experiments(SEEDS).items() for key, job in found]
    for kind, key, job in tqdm(jobs, desc="runs", unit="run"):
        rows = results.setdefault(kind, [])
        if not any(all(row.get(k) == v for k, v in key.items()) for row in rows):
            start = time.perf_counter()
            found = job()
            rows.append({**key, **found, "seconds": round(time.perf_counter() - start, 1)})
            write_json(FILE, results)
    rows = results["ranking"]
    results["spearman"] = {
        str(weight): rank_correlation(
            *zip(*((row["loss"], row["position_r2"]) for row in rows if row["weight"] == weight))
        )
        for weight in sorted({row["weight"] for row in rows})
    }
    write_json(FILE, {**results, "complete": True})


if __name__ == "__main__":
    sys.exit(main())
