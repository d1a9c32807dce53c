"""The benchmark counts the work that is done, and says where the time goes."""

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pages as results
import pytest
import speed_tables as speed
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from minivjepa.encoder import Encoder
from minivjepa.speed import hugging_face as peers
from minivjepa.speed import step_time as bench
from minivjepa.speed.operators import FLUSH, Recorder, account, alone
from minivjepa.training.config import PRESETS
from minivjepa.training.recipe import build_predictor
from minivjepa.transformer import linear_flops
from minivjepa.vjepa import VJEPA
from tests.test_cli import call, refused

CPU = torch.device("cpu")


@pytest.mark.parametrize(("name", "gflop"), [("mini", 74.6), ("paper", 369.3), ("vitl", 38_555.4)])
def test_geometries_do_the_work_that_they_are_known_for(name: str, gflop: float) -> None:
    """Catches: another width, depth, batch or mask size; shares that cannot be compared with published ones."""
    geometry = bench.find_geometry(name, None)
    config = geometry.config
    with torch.device("meta"):
        encoder = Encoder(config.grid, config.dim, config.depth, config.heads)
        model = VJEPA(encoder, build_predictor(config), config.prevention)
    assert round(config.batch * sum(model.step_flops(geometry.sizes).values()) / 1e9, 1) == gflop


@pytest.mark.parametrize("name", ["tiny", "cpu", "mini"])
def test_the_analytic_count_of_a_step_is_torchs_own(name: str) -> None:
    """Catches: a pass that is counted and not done, or done and not counted.

    Torch computes no gradient of the pixels, which the rule of three forwards counts.
    """
    geometry = bench.find_geometry(name, 2)
    step = bench.prepare(geometry, "float32", CPU)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        step()
    config = geometry.config
    pixels = sum(linear_flops(k, config.grid.values, config.dim) for k, _ in geometry.sizes)
    wanted = sum(step.trainer.model.step_flops(geometry.sizes).values()) - pixels
    assert counter.get_total_flops() == config.batch * wanted


@pytest.mark.parametrize("name", bench.NAMES)
def test_masks_have_the_sizes_asked_for_and_do_not_overlap(name: str) -> None:
    """Catches: targets among the context, or fewer tokens than the FLOPs assume."""
    geometry = bench.find_geometry(name, 3)
    for (k, m), (context, target) in zip(geometry.sizes, bench.fixed_masks(geometry), strict=True):
        assert (context.shape, target.shape) == ((3, k), (3, m))
        both = torch.cat([context, target], dim=1)
        assert all(len(set(row)) == k + m for row in both.tolist())
        assert int(both.max()) < geometry.config.grid.tokens
        assert not torch.equal(context[0], context[1]) or name not in bench.GEOMETRIES


def test_presets_are_measured_with_their_own_masks() -> None:
    """Catches: a preset measured with mask groups that it does not have."""
    assert bench.find_geometry("cpu", None).sizes == ((32, 32),)
    assert set(PRESETS) <= set(bench.NAMES)


def test_every_operator_is_recorded_and_called_again_at_its_shapes() -> None:
    """Catches: views that are timed, operators that are lost, strides that are not kept."""
    a, b = torch.randn(6, 5), torch.randn(7, 5)

    def work() -> None:
        (a @ b.T).relu() + 1
        a @ b.T

    with Recorder() as recorder:
        work()
    counted = {(call.name, times) for call, times in recorder.calls.items()}
    assert counted == {("mm", 2), ("relu", 1), ("add", 1)}
    [product] = [call for call in recorder.calls if call.name == "mm"]
    shapes = [(leaf.shape, leaf.stride) for leaf in product.leaves]
    assert shapes == [((6, 5), (5, 1)), ((5, 7), (1, 5))]
    assert product.moved == 4 * (30 + 35 + 42)
    assert alone(product, lambda: None, 2, cold=True) > 0
    rows = {row["kind"]: row for row in account(work, lambda: None, 1)}
    assert rows["linear layers"]["calls"] == 2
    assert rows["linear layers"]["bytes"] == 2 * product.moved


def test_operators_take_longer_when_no_cache_holds_their_numbers() -> None:
    """Catches: a flush that flushes nothing."""
    x = torch.randn(2**16)  # a quarter of a MiB: in the cache, unless something else has been there
    with Recorder() as recorder:
        x + 1
    [call_] = recorder.calls
    assert min(alone(call_, lambda: None, 5, cold=True) for _ in range(5)) > 1.2 * min(
        alone(call_, lambda: None, 5, cold=False) for _ in range(5)
    )
    assert 100 * call_.moved < FLUSH


def test_rows_that_share_memory_share_it_again() -> None:
    """Catches: an expanded tensor that becomes a large one."""
    x = torch.zeros(1, 3).expand(1000, 3)
    with Recorder() as recorder:
        x.clone()
    [call_] = recorder.calls
    made = call_.leaves[0].make()
    assert (made.shape, made.stride()) == (x.shape, x.stride())
    assert made.untyped_storage().nbytes() == 12


def test_an_account_holds_the_whole_step() -> None:
    """Catches: kinds that overlap or leave something out."""
    step = bench.prepare(bench.find_geometry("tiny", None), "bfloat16", CPU)
    step()  # the first one also makes the optimiser's state
    with Recorder() as recorder:
        step()
    rows = account(step, lambda: None, 1)
    assert sum(row["calls"] for row in rows) == sum(recorder.calls.values())
    kinds = {row["kind"] for row in rows}
    assert {"attention", "linear layers", "GELU", "LayerNorm", "optimiser and EMA", "casts, copies, gathers"} <= kinds
    assert {call.name for call in recorder.calls if call.kind == "linear layers"} == {"mm", "addmm"}


def test_the_clock_measures_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a share computed from warm-up steps, from the fastest, or from the wrong rate."""
    spent = iter([0.0, 0.0, 0.5, 1.0, 4.0])

    rates = itertools.cycle([0.5e9, 1e9, 9e9])

    class Rate:
        def measure(self) -> float:
            return next(rates)

    step = bench.prepare(bench.find_geometry("tiny", None), "float32", CPU)
    monkeypatch.setattr(bench.Step, "__call__", lambda self: next(spent))
    monkeypatch.setattr(bench, "seconds", lambda work, device: work())
    timing = bench.time_step(step, Rate(), 3, lambda: None)  # type: ignore[arg-type]
    assert timing["step_s"] == 1.0
    assert timing["step_s_all"] == [0.5, 1.0, 4.0]
    found = bench.report(bench.find_geometry("tiny", None), step, timing)
    assert found["share"] == pytest.approx(found["gflop_per_step"])
    assert found["clips_per_s"] == PRESETS["tiny"].batch
    assert found["gflop_per_step"] == pytest.approx(sum(found["gflop"].values()))


def test_bench_writes_its_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a field that other people's scripts read and that is gone."""
    file = tmp_path / "b.json"
    assert call("bench", "--geometry", "tiny", "--device", "cpu", "--steps", "2", "--account", "--json", str(file)) == 0
    found = json.loads(file.read_text())
    said = capsys.readouterr().out
    assert {
        "step_s",
        "share",
        "clips_per_s",
        "tokens_per_s",
        "gflop",
        "peak_memory_mib",
        "data",
        "versions",
        "threads",
    } <= set(found)
    assert (found["geometry"], found["dtype"], found["device"], found["compiled"]) == ("tiny", "float32", "cpu", False)
    assert 0 < found["share"] < 2
    assert found["share"] == pytest.approx(
        found["gflop_per_step"] * 1e9 / found["step_s"] / found["matmul_flops_per_s"]
    )
    assert found["operators_warm_s"] == pytest.approx(sum(row["warm_s"] for row in found["operators"]))
    assert f"{found['share']:.3f}" in said
    assert "attention" in said


BAD = {
    "unknown geometry": (("--geometry", "huge"), "unknown geometry 'huge'; choose from mini, paper, vitl"),
    "no clips": (("--batch", "0"), "batch is 0, expected 1 or more"),
    "no steps": (("--steps", "0"), "--steps is 0, expected 1 or more"),
    "a file in no folder": (("--json", "no/such/b.json"), "is not a file in an existing folder"),
    "another type": (("--dtype", "float16"), "float16"),
    "another device": (("--device", "tpu"), "tpu"),
    "an account of what is fused": (("--account", "--compile"), "give one of them"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_at_once(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a traceback, or minutes of measuring before it."""
    words, message = BAD[case]
    started = time.monotonic()
    assert message in refused(capsys, "bench", *words)
    assert time.monotonic() - started < 5


def test_too_little_memory_says_what_to_do(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a traceback of fifty lines."""

    def full(*given: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("minivjepa.commands.bench.measure", full)
    assert "give a smaller --batch, or --recompute" in refused(capsys, "bench", "--device", "cpu")


def test_a_peer_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: an ImportError."""
    monkeypatch.setattr("minivjepa.commands.bench.installed", lambda: False)
    assert "--peer needs the library transformers" in refused(capsys, "bench", "--peer")


@pytest.mark.slow
def test_the_peer_takes_the_same_step(tmp_path: Path) -> None:
    """Catches: a peer of another size, that learns nothing, or whose targets are never updated."""
    pytest.importorskip("transformers", reason="needs the parity extra")
    geometry = bench.find_geometry("tiny", 2)
    theirs, ours = peers.their_vjepa(geometry.config), bench.prepare(geometry, "float32", CPU)
    blocks = [sum(p.numel() for p in model.encoder.parameters()) for model in (theirs, ours.trainer.model)]
    assert blocks[0] == blocks[1]  # the same parts, to the last bias
    step = bench.prepare(geometry, "float32", CPU, model=theirs)
    assert isinstance(theirs.target_encoder, nn.Module)
    before = [p.clone() for p in theirs.target_encoder.parameters()]
    for _ in range(3):
        step.trainer.update(step.clip, step.masks)
    assert step.trainer.pending[-1] < step.trainer.pending[0]
    assert any(not torch.equal(a, b) for a, b in zip(before, theirs.target_encoder.parameters()))
    assert (
        call("bench", "--geometry", "tiny", "--device", "cpu", "--steps", "1", "--peer", "--json", str(tmp_path / "b"))
        == 0
    )
    assert json.loads((tmp_path / "b").read_text())["peer"]["step_s"] > 0


# --- docs/speed.md and what results/speed.py measured ---

MEASURED = results.load()["speed-cpu"]


def test_shares_and_what_is_missing_add_up() -> None:
    """Catches: time that no row of an account stands for."""
    rows = [row for row in MEASURED["rows"] if "operators" in row]
    assert {(row["geometry"], row["dtype"]) for row in rows} >= {
        (name, dtype) for name in ("mini", "paper") for dtype in bench.PRECISIONS
    }
    for row in rows:
        table = speed.account_table(row)
        body = [line for line in table.splitlines() if line.startswith("| ")][2:]
        missing = [float(line.split("|")[-2]) for line in body]
        assert 100 * row["share"] + sum(missing) == pytest.approx(100, abs=0.5), row["command"]
        assert missing[-1] > 0, row["command"]  # what lies between operators takes time
        dear = {part["kind"]: part["warm_s"] * row["matmul_flops_per_s"] for part in row["operators"]}
        work = speed.attention_flops(bench.find_geometry(row["geometry"], row["batch"]))
        assert dear["attention"] > work
        assert dear["linear layers"] > 0.95 * (row["gflop_per_step"] * 1e9 - work)


def test_attention_and_linear_layers_are_the_whole_useful_work() -> None:
    """Catches: a formula for attention that forgets a pass or a group."""
    geometry = bench.find_geometry("mini", 2)
    without = sum(2 * passes * n * weights for passes, n, weights in dense_layers(geometry))
    step = bench.prepare(geometry, "float32", CPU)
    total = 2 * sum(step.trainer.model.step_flops(geometry.sizes).values())
    assert speed.attention_flops(geometry) == total - 2 * without


def dense_layers(geometry: bench.Geometry) -> list[tuple[int, int, int]]:
    """(passes, tokens, weights) of every linear layer of one clip's step."""
    c = geometry.config
    tokens = [(1, c.grid.tokens), *((3, k) for k, _ in geometry.sizes)]
    found = [(passes, n, 12 * c.dim**2 * c.depth + c.grid.values * c.dim) for passes, n in tokens]
    for k, m in geometry.sizes:
        found += [(3, k + m, 12 * c.predictor_dim**2 * c.predictor_depth), (3, k + m, c.dim * c.predictor_dim)]
    return found


def test_every_trick_names_a_test_that_exists_and_was_measured() -> None:
    """Catches: a trick without a proof, or a row that outlived its code."""
    written = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert {row["trick"] for row in MEASURED["tricks"]} == set(speed.TRICKS)
    for _, test in speed.TRICKS.values():
        assert f"def {test}(" in written


def test_what_the_page_on_speed_says_is_so() -> None:
    """Catches: a sentence that outlives its numbers."""
    rows = MEASURED["rows"]
    for row in rows:
        if "operators" in row:
            assert row["operators_warm_s"] < row["step_s"] < row["operators_cold_s"], row["command"]
        assert row["data"]["clips_per_s"] > row["clips_per_s"], row["command"]
        if row["geometry"] in ("tiny", "cpu", "cpu-long"):
            assert row["peak_memory_mib"] < 2048
    assert {row["geometry"] for row in rows} >= set(PRESETS)
    [compiled] = [row for row in rows if row["compiled"]]
    plain_one = next(row for row in rows if row["geometry"] == compiled["geometry"] and not speed.how(row))
    assert compiled["step_s"] == pytest.approx(plain_one["step_s"], rel=0.05)
    for name in ("mini", "paper"):
        plain = {row["dtype"]: row["share"] for row in rows if row["geometry"] == name and not speed.how(row)}
        slower = {row["dtype"]: row["share"] for row in rows if row["geometry"] == name and row["environment"]}
        assert plain["bfloat16"] < plain["float32"] < slower["float32"] < slower["bfloat16"]
    d = MEASURED["data"]
    assert d["training_clips_per_s_workers_0"] < d["training_clips_per_s_workers_1"] < 1.1 * d["step_clips_per_s"]
    assert all(row["losses"] == MEASURED["matrix"][0]["losses"] for row in MEASURED["matrix"])


def test_a_gpu_that_was_not_measured_is_said_to_be_open() -> None:
    """Catches: an empty place where people expect a number."""
    raw = results.load()
    open_ = "GPU: not yet measured" in speed.speed_parts(raw)["steps"]
    assert open_ is ("speed-cuda" not in raw)
