"""Training that survives: resume is bit-identical, files are never torn, bad luck is said plainly."""

import dataclasses
import errno
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from minivjepa.data.digits import DigitClips
from minivjepa.training import files, runs
from minivjepa.training.arms import with_arm
from minivjepa.training.config import Config
from minivjepa.training.files import HALF_WRITTEN, LOCK, check_new, finite_or_null, locked, write_atomically, write_text
from minivjepa.training.recipe import build_model
from minivjepa.training.runs import Run, RunStopped
from minivjepa.training.trainer import Trainer
from minivjepa.vjepa import ARMS

CPU = torch.device("cpu")


def silent(step: int, row: dict[str, Any] | None) -> None:
    return


def start(out: Path, config: Config) -> Trainer:
    run = Run(out)
    if not run.config_file.exists():
        run.create(config, "digits")
    return Trainer(config, DigitClips(config.grid, seed=config.seed), run, CPU)


def weights(out: Path) -> dict[str, Any]:
    return torch.load(out / "checkpoint.pt", weights_only=True)


def same(a: Any, b: Any) -> bool:
    """Equal to the bit, through nested containers."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return bool(a == b)


def rows(out: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without the only field that is a clock's."""
    found = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found]


@pytest.mark.parametrize("arm", ["vjepa", "no-stopgrad", "sigreg"])
@pytest.mark.parametrize("stop", [2, 3, 7])
def test_resume_is_bit_identical(tmp_path: Path, short: Config, arm: str, stop: int) -> None:
    """Catches: optimiser state, loss sums or step counts that a checkpoint forgets."""
    config = dataclasses.replace(short, prevention=ARMS[arm])
    start(tmp_path / "whole", config).fit(silent)

    def interrupt(step: int, row: dict[str, Any] | None) -> None:
        if step == stop:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "cut", config).fit(interrupt)
    assert weights(tmp_path / "cut")["step"] == stop + 1
    start(tmp_path / "cut", config).fit(silent)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    assert rows(tmp_path / "whole") == rows(tmp_path / "cut")


def test_resume_after_a_kill_before_the_first_checkpoint_starts_again(tmp_path: Path, short: Config) -> None:
    """Catches: rows of the lost attempt that stay in metrics.jsonl, or a torn last line that breaks resuming."""
    start(tmp_path / "whole", short).fit(silent)
    run = Run(tmp_path / "cut")
    run.create(short, "digits")
    run.metrics_file.write_text(
        '{"step": 0, "seconds": 0.1}\n{"step": 4, "loss": 0.1, "seconds": 0.2}\n{"step": 8, "lo'
    )
    start(tmp_path / "cut", short).fit(silent)
    assert rows(tmp_path / "whole") == rows(tmp_path / "cut")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path, short: Config) -> None:
    """Catches: one step too many."""
    start(tmp_path / "a", short).fit(silent)
    before = {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()}
    start(tmp_path / "a", short).fit(silent)
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()}


@pytest.mark.slow
def test_ten_sigkills_at_random_moments_lose_nothing(tmp_path: Path) -> None:
    """Catches: a checkpoint torn by a kill, more than N steps lost, lines lost or doubled."""
    options = ["--preset", "tiny", "--steps", "1500", "--log-every", "20", "--checkpoint-every", "10"]
    options += ["--monitor-clips", "16", "--data", "digits", "--device", "cpu"]
    command = [sys.executable, "-m", "minivjepa", "train", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    subprocess.run([*command, "--out", str(whole)], check=True, capture_output=True, env=environment)
    chance, reached = random.Random(0), 0
    for kill in range(10):
        before = (cut / "metrics.jsonl").stat().st_mtime_ns if kill else 0
        process = subprocess.Popen(
            [*command, "--out", str(cut), *(["--resume"] if kill else [])],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        while not (cut / "metrics.jsonl").exists() or (cut / "metrics.jsonl").stat().st_mtime_ns == before:
            assert process.poll() is None
            time.sleep(0.005)  # the process has loaded its checkpoint: now it trains
        time.sleep(chance.random() * 0.6)
        assert process.poll() is None
        process.kill()
        process.wait()
        step = weights(cut)["step"] if (cut / "checkpoint.pt").exists() else 0
        assert step >= reached
        assert Run(cut).history()[-1]["step"] - step <= 10
        reached = step
    assert 0 < reached < 1500
    subprocess.run([*command, "--out", str(cut), "--resume"], check=True, capture_output=True, env=environment)
    assert same(weights(whole), weights(cut))
    assert rows(whole) == rows(cut)
    assert sorted(p.name for p in cut.iterdir()) == [".lock", "checkpoint.pt", "config.json", "metrics.jsonl"]


def test_a_loss_that_is_not_a_number_stops_the_run_and_names_the_step(tmp_path: Path, short: Config) -> None:
    """Catches: hours of training on NaN, or a checkpoint full of it."""
    trainer = start(tmp_path / "a", short)
    render = trainer.source.batch

    def poison(step: int, index: torch.Tensor) -> tuple[torch.Tensor, Any]:
        clip, factors = render(step, index)
        return (clip * float("nan") if step == 6 else clip), factors

    trainer.source.batch = poison  # type: ignore[method-assign]
    with pytest.raises(RunStopped, match=r"the loss is nan at step 7; the checkpoint before it was kept .* --lr"):
        trainer.fit(silent)
    state = weights(tmp_path / "a")
    assert state["step"] == 6
    assert all(bool(v.isfinite().all()) for v in state["model"].values())


def test_a_weight_that_is_not_finite_is_never_saved(tmp_path: Path, short: Config) -> None:
    """Catches: a good loss followed by a bad update, saved as a good checkpoint."""
    trainer = start(tmp_path / "a", short)

    def break_weights(step: int, row: dict[str, Any] | None) -> None:
        if step == 2:
            trainer.optimiser.step = lambda: trainer.model.encoder.norm.weight.data.fill_(float("inf"))  # type: ignore

    with pytest.raises(RunStopped, match=r"weight is no longer finite after step 3; no checkpoint was saved yet"):
        trainer.fit(break_weights)


def test_a_full_disk_keeps_the_last_checkpoint_and_says_what_to_do(
    tmp_path: Path, short: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a torn checkpoint, or half a file left behind."""
    start(tmp_path / "whole", short).fit(silent)
    trainer, save, calls = start(tmp_path / "a", short), torch.save, []

    def full(state: Any, file: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            file.write(b"half a checkpoint")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(state, file)

    monkeypatch.setattr(runs.torch, "save", full)
    with pytest.raises(
        RunStopped,
        match=r"at step 9 .No space left.* MiB are free.; the checkpoint before it was kept. Free some disk space",
    ):
        trainer.fit(silent)
    assert weights(tmp_path / "a")["step"] == 6
    assert not list((tmp_path / "a").glob("*.tmp"))
    start(tmp_path / "a", short).fit(silent)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "a"))


def test_metrics_on_a_full_disk_are_said_too(tmp_path: Path) -> None:
    """Catches: a traceback where the disk is the trouble."""
    run = Run(tmp_path)
    run.metrics_file = Path("/dev/full") if Path("/dev/full").exists() else tmp_path
    with pytest.raises(RunStopped, match="Free some disk space"):
        run.append({"step": 1})


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    """Catches: writing in place."""
    file = tmp_path / "x"
    file.write_text("old")

    def half(opened: Any) -> None:
        opened.write(b"new")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(file, half)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_report_can_name_any_file(tmp_path: Path) -> None:
    """Catches: hours of training without a report, because a folder's name is not UTF-8."""
    write_text(tmp_path / "report.html", "été \udcff")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "été \\udcff"


def test_two_writes_of_one_file_do_not_meet(tmp_path: Path) -> None:
    """Catches: one temporary name for two processes, whose file becomes a mixture of both or vanishes."""

    def twice(opened: Any) -> None:
        write_atomically(tmp_path / "x", lambda other: other.write(b"first"))
        opened.write(b"second")

    write_atomically(tmp_path / "x", twice)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x", "second")]


HOLD = """
import sys, time
from pathlib import Path
from minivjepa.training.files import locked

with locked(Path(sys.argv[1])):
    print("here", flush=True)
    time.sleep(600)
"""


def test_a_folder_belongs_to_one_process_until_it_is_killed(tmp_path: Path) -> None:
    """Catches: two processes that write one checkpoint; a lock that outlives its process; halves of files that pile up."""
    half, mine = tmp_path / f"checkpoint.pt.0123abcd{HALF_WRITTEN}", tmp_path / "notes.20250131.tmp"
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "here\n"
    half.touch()
    mine.touch()
    with pytest.raises(ValueError, match="another process is at work in"), locked(tmp_path):
        pass
    other.kill()
    other.communicate()
    assert half.exists()
    for _ in range(2):
        with locked(tmp_path):
            assert mine.exists()
            assert not half.exists()


def test_windows_locks_a_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a lock that needs fcntl, which Windows does not have, or that takes its refusal for a full disk."""
    held: set[int] = set()

    def locking(file: int, mode: int, count: int) -> None:
        if (mode, count) != (2, 1) or os.fstat(file).st_ino in held:
            raise PermissionError(13, "Permission denied")
        held.add(os.fstat(file).st_ino)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=2, locking=locking))
    monkeypatch.setitem(sys.modules, "fcntl", None)
    spec = importlib.util.spec_from_file_location("files_of_windows", Path(files.__file__))
    assert spec is not None
    assert spec.loader is not None
    there = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(there)
    with (
        there.locked(tmp_path),
        pytest.raises(ValueError, match="another process is at work in"),
        there.locked(tmp_path),
    ):
        pass


def test_json_has_no_nan() -> None:
    """Catches: NaN in results.json, which strict readers refuse."""
    assert finite_or_null({"a": [float("nan"), 1.0, (float("inf"),)]}) == {"a": [None, 1.0, [None]]}


def test_a_checkpoint_is_data_and_has_no_clock(tmp_path: Path, short: Config) -> None:
    """Catches: pickled code, or a time stamp that makes equal runs differ."""
    for name in ("a", "b"):
        start(tmp_path / name, short).fit(silent)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert set(weights(tmp_path / "a")) == {"config", "step", "loss_sum", "loss_count", "model", "optimiser"}


def test_a_file_that_is_no_checkpoint_is_refused_and_never_executed(tmp_path: Path, short: Config) -> None:
    """Catches: loading a pickle that runs code."""
    run = Run(tmp_path / "a")
    run.create(short, "digits")

    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save({"model": Evil()}, run.checkpoint_file)
    with pytest.raises(ValueError, match="is not a checkpoint of minivjepa"):
        run.load()
    assert not (tmp_path / "owned").exists()
    run.checkpoint_file.write_bytes(b"not a zip")
    with pytest.raises(ValueError, match="is not a checkpoint of minivjepa"):
        run.load()


def test_a_run_of_another_config_is_refused(tmp_path: Path, short: Config) -> None:
    """Catches: going on with other switches under the old name."""
    run = Run(tmp_path / "a")
    run.create(short, "digits")
    run.check_same(short, "digits")
    with pytest.raises(ValueError, match=r"lr: 0.0025 saved, 0.5 given; data: digits saved, x.mp4 given"):
        run.check_same(dataclasses.replace(short, lr=0.5), "x.mp4")
    with pytest.raises(ValueError, match="and 2 more"):
        run.check_same(dataclasses.replace(short, lr=0.5, seed=3, batch=2, depth=2, heads=1, steps=3), "digits")


def test_only_new_or_empty_folders_become_runs(tmp_path: Path) -> None:
    """Catches: overwriting somebody's files."""
    check_new(tmp_path / "new")
    for name in (f"left{HALF_WRITTEN}", LOCK):  # of a run that was killed while it was being made
        (tmp_path / name).touch()
    check_new(tmp_path)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"not empty \(it holds thesis.tex\)"):
        check_new(tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        check_new(tmp_path / "thesis.tex")


def test_a_broken_config_file_is_named(tmp_path: Path) -> None:
    """Catches: a JSON error without the file's name."""
    (tmp_path / "config.json").write_text('{"data": "digits", "dims": 3}')
    with pytest.raises(ValueError, match=r"config.json is not a config of this version: .*unknown keys"):
        Run(tmp_path).config()
    with pytest.raises(ValueError, match="holds no run"):
        Run(tmp_path / "nowhere").config()


def test_history_has_early_rows_one_per_interval_and_one_at_the_end(tmp_path: Path, short: Config) -> None:
    """Catches: a missing last row when the interval does not divide the run."""
    config = dataclasses.replace(short, steps=10)
    start(tmp_path / "a", config).fit(silent)
    history = Run(tmp_path / "a").history()
    assert [row["step"] for row in history] == [0, 1, 2, 4, 5, 8, 10]
    assert history[0]["loss"] is None
    assert {"loss", "feature_std", "target_feature_std", "effective_rank", "margin", "momentum"} <= set(history[-1])


def test_gradients_are_clipped_after_the_warm_up_and_only_on_request(tmp_path: Path, short: Config) -> None:
    """Catches: an option without effect."""
    ends = []
    for clip in (0.0, 1e-3):
        config = dataclasses.replace(short, clip_grad=clip, warmup=2)
        trainer = start(tmp_path / str(clip), config)
        norms = []

        def watch(step: int, row: Any, trainer: Trainer = trainer, norms: list[float] = norms) -> None:
            grads = [p.grad for p in trainer.model.encoder.parameters() if p.grad is not None]
            norms.append(float(torch.nn.utils.get_total_norm(grads)) if grads else 0.0)

        trainer.fit(watch)
        ends.append(norms)
    assert max(ends[1][3:]) < 1.1e-3 < min(ends[0][3:])
    assert ends[1][1] > 1.1e-3


def test_bf16_autocast_changes_the_arithmetic_and_keeps_float32_weights(tmp_path: Path, short: Config) -> None:
    """Catches: a precision that is accepted and ignored, or a dtype that an op refuses."""
    half = start(tmp_path / "a", dataclasses.replace(short, precision="bf16")).fit(silent)
    full = start(tmp_path / "b", short).fit(silent)
    assert all(p.dtype == torch.float32 for p in half.parameters())
    assert not torch.equal(half.encoder.embed.project.weight, full.encoder.embed.project.weight)
    losses = [Run(tmp_path / name).history()[-1]["loss"] for name in ("a", "b")]
    assert abs(losses[0] - losses[1]) < 0.05


def test_the_checkpoint_of_another_config_is_refused(tmp_path: Path, short: Config) -> None:
    """Catches: going on from weights that were trained with other switches, of the same shapes."""
    frozen = dataclasses.replace(short, prevention=ARMS["frozen"])
    start(tmp_path / "a", short).fit(silent)
    start(tmp_path / "b", frozen).fit(silent)
    (tmp_path / "a" / "checkpoint.pt").write_bytes((tmp_path / "b" / "checkpoint.pt").read_bytes())
    with pytest.raises(ValueError, match=r"another config \(prevention.momentum: 1.0 saved, None given\)"):
        start(tmp_path / "a", short)


def test_training_runs_outside_the_main_thread(tmp_path: Path, short: Config) -> None:
    """Catches: signal handling that a notebook's or server's thread may not use."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            start(tmp_path / "a", short).fit(silent)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not errors
    assert weights(tmp_path / "a")["step"] == short.steps


def test_weights_depend_on_the_seed_alone(short: Config) -> None:
    """Catches: reading or changing the global random state."""
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = build_model(short)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert same(first.state_dict(), build_model(short).state_dict())
    other = build_model(dataclasses.replace(short, seed=1))
    assert not torch.equal(first.encoder.embed.project.weight, other.encoder.embed.project.weight)


def test_a_run_is_taught_by_the_finished_run_beside_it(tmp_path: Path, short: Config) -> None:
    """Catches: a teacher of another seed, its untrained weights, its target encoder, or one that moves."""
    first = start(tmp_path / "frozen-0", with_arm(short, "frozen")).fit(silent)
    second = start(tmp_path / "generation-2-0", with_arm(short, "generation-2"))
    assert same(second.model.target_encoder.state_dict(), first.encoder.state_dict())
    assert not same(second.model.encoder.state_dict(), first.encoder.state_dict())
    trained = second.fit(silent)
    assert same(trained.target_encoder.state_dict(), first.encoder.state_dict())
    shutil.rmtree(tmp_path / "frozen-0")  # resuming does not need it
    assert same(
        start(tmp_path / "generation-2-0", with_arm(short, "generation-2")).model.state_dict(), trained.state_dict()
    )


def test_a_teacher_that_is_missing_or_not_finished_is_named(tmp_path: Path, short: Config) -> None:
    """Catches: a run taught by random weights without a word."""
    taught = with_arm(short, "generation-2")
    with pytest.raises(ValueError, match="frozen-0 is missing; first train --arm frozen --seed 0"):
        start(tmp_path / "generation-2-0", taught)
    cut = dataclasses.replace(with_arm(short, "frozen"), steps=24)
    start(tmp_path / "frozen-0", with_arm(short, "frozen")).fit(silent)
    state = weights(tmp_path / "frozen-0")
    state["config"]["steps"] = cut.steps
    torch.save(state, tmp_path / "frozen-0" / "checkpoint.pt")
    saved = json.loads((tmp_path / "frozen-0" / "config.json").read_text())
    (tmp_path / "frozen-0" / "config.json").write_text(json.dumps(saved | {"steps": cut.steps}))
    with pytest.raises(ValueError, match="is not trained to its end"):
        start(tmp_path / "another" / ".." / "generation-2-0", taught)
    with pytest.raises(ValueError, match="teacher frozen needs a target encoder"):
        dataclasses.replace(short, teacher="frozen", prevention=ARMS["no-ema"])
