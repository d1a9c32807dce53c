"""Results files that grow row by row: what results/worlds.py and results/pusht.py share.  After a stop they go on where they were."""

import fcntl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from minivjepa.training.config import to_dict
from minivjepa.training.files import finite_or_null, read_json, versions, write_json

Metrics = dict[str, Any]
# list of the results file, what identifies a row, how to compute the rest of it
Job = tuple[str, Metrics, Callable[[], Metrics]]


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Meanwhile no other process changes a results file."""
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def begin(file: Path, settings: dict[str, Any], also: str = "") -> None:
    """Make a results file with these settings, or check that it has them.  also: what else to delete before a new start."""
    plain = finite_or_null({name: to_dict(value) if is_dataclass(value) else value for name, value in settings.items()})
    new = {"command": f"python results/{file.stem}.py", "date": time.strftime("%Y-%m-%d"), "versions": versions()}
    with locked(file):
        results = read_json(file) if file.exists() else {**new, "settings": plain}
        if changed := [name for name, value in results["settings"].items() if plain.get(name) != value]:
            raise SystemExit(
                f"{file} was made with other settings of {', '.join(changed)}; delete it{also} to start again"
            )
        write_json(file, {**results, "settings": plain})


def fit(trainer: Any, data: str) -> Any:
    """Train to the end, or go on from the last checkpoint, without a bar; returns the model.  data: what the run is made from."""
    with trainer.run.open(trainer.config, data, trainer.run.config_file.exists()):
        return trainer.fit(lambda step, row: None)


def has(results: Metrics, kind: str, key: Metrics) -> bool:
    """Whether one of the results' lists has a row with this key."""
    return any(all(row.get(name) == value for name, value in key.items()) for row in results.get(kind, []))


def run_missing(file: Path, jobs: Iterable[Job]) -> None:
    """Run what a results file lacks, and add each row to it.  Another process may add rows meanwhile; none is added twice."""
    for kind, key, job in jobs:
        if has(read_json(file), kind, key):
            continue
        start = time.process_time()
        row = {**key, **job(), "seconds": round(time.process_time() - start, 1)}
        with locked(file):
            results = read_json(file)
            if not has(results, kind, key):
                results.setdefault(kind, []).append(row)
                write_json(file, results)
        print(" ".join(map(str, key.values())), row.get("success", ""), row["seconds"], flush=True)
