"""The benchmark counts the work that is done, and says where the time goes."""

import contextlib
import itertools
import json
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pages as results
import peer as peers
import pytest
import speed_tables as speed
import torch
from torch import nn
from torch.autograd import DeviceType
from torch.autograd.profiler_util import EventList, FunctionEvent
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from minivjepa.encoder import Encoder
from minivjepa.speed import step_time as bench
from minivjepa.speed.step_time import OTHER, account, kind_of
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


@pytest.mark.parametrize(
    ("operator", "kind"),
    [
        ("aten::addmm", "linear layers"), ("aten::mm", "linear layers"), ("aten::bmm", "attention"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu_backward", "attention"), ("aten::_fused_adamw_", "optimizer and EMA"),
        ("aten::lerp_", "optimizer and EMA"), ("aten::native_layer_norm_backward", "LayerNorm"), ("aten::gelu", "GELU"),
        ("aten::copy_", "casts, copies, gathers"), ("aten::transpose", OTHER), ("aten::add", OTHER), ("AddmmBackward0", OTHER),
    ],
)  # fmt: skip
def test_an_operator_is_counted_in_its_kind(operator: str, kind: str) -> None:
    """Catches: a product that counts as a cast, a backward pass that counts as something else."""
    assert kind_of(operator) == kind


def test_an_account_holds_the_whole_step() -> None:
    """Catches: kinds that overlap or leave something out; a profile of something that is not the step."""
    step = bench.prepare(bench.find_geometry("cpu", 4), "float32", CPU)
    step()  # the first one also makes the optimiser's state
    took: list[float] = []
    rows = {row["kind"]: row for row in account(lambda: took.append(bench.seconds(step, CPU)))}
    seen = sum(row["seconds"] for row in rows.values())
    assert took[0] / 2 < seen < took[0]  # the rest is Python between operators
    assert {"attention", "linear layers", "GELU", "LayerNorm", "optimizer and EMA", "casts, copies, gathers"} <= set(
        rows
    )
    assert all(row["seconds"] > 0 for row in rows.values())
    product = {row["kind"] for row in account(lambda: torch.randn(300, 300) @ torch.randn(300, 300))}
    assert "linear layers" in product
    assert not product & {"attention", "GELU", "LayerNorm", "optimizer and EMA"}


def test_an_account_counts_every_kernel_of_a_gpu_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a kernel that counts for the operator that started it and again by its own name, or in a range around it."""

    def event(name: str, start: int, end: int, where: DeviceType, marked: bool = False) -> FunctionEvent:
        return FunctionEvent(
            1, name, 0, start, end, stack=[], use_device="cuda", device_type=where, is_user_annotation=marked
        )

    product, cast = event("aten::addmm", 0, 10, DeviceType.CPU), event("aten::copy_", 10, 20, DeviceType.CPU)
    product.append_kernel("sm90_xmma_gemm", 0, 6)
    cast.append_kernel("elementwise_kernel", 0, 2)
    kernels = [event("sm90_xmma_gemm", 5, 11, DeviceType.CUDA), event("elementwise_kernel", 11, 13, DeviceType.CUDA)]
    marked = event("Optimizer.step#AdamW.step", 4, 13, DeviceType.CUDA, marked=True)
    events = EventList([product, cast, *kernels, marked], use_device="cuda")
    events._build_tree()

    @contextlib.contextmanager
    def profiled(activities: Any) -> Iterator[Any]:
        yield SimpleNamespace(key_averages=events.key_averages)

    monkeypatch.setattr(bench, "profile", profiled)
    found = {row["kind"]: row["seconds"] for row in account(lambda: None)}
    assert found == pytest.approx({"linear layers": 6e-6, "casts, copies, gathers": 2e-6})


def test_memory_is_that_of_a_step_and_not_of_the_matrices_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a GPU's peak that holds the large matrices whose product gives the rate, or that began before the step."""
    made: list[Any] = []
    randn = torch.randn

    def remembered(*size: int, **options: Any) -> torch.Tensor:
        made.append(weakref.ref(found := randn(*size, **options)))
        return found

    monkeypatch.setattr(bench, "SIDES", {"cpu": 8})
    monkeypatch.setattr(bench.torch, "randn", remembered)
    rate = bench.matrix_rate(CPU, "float32")
    assert rate() > 0
    assert len(made) == 2
    assert [matrix() for matrix in made] == [None, None]

    said: list[str] = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: said.append("reset"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: said.append("read") or 3 * 2**20)
    assert bench.peak_memory(lambda: said.append("step"), torch.device("cuda")) == 3
    assert said == ["reset", "step", "read"]


def test_the_clock_measures_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a share computed from warm-up steps, from the fastest, or from the wrong rate."""
    spent = iter([0.0, 0.0, 0.5, 1.0, 4.0])

    rates = itertools.cycle([0.5e9, 1e9, 9e9])
    step = bench.prepare(bench.find_geometry("tiny", None), "float32", CPU)
    monkeypatch.setattr(bench.Step, "__call__", lambda self: next(spent))
    monkeypatch.setattr(bench, "seconds", lambda work, device: work())
    found = bench.time_step(step, lambda: next(rates), 3, lambda: None)
    assert found["step_s"] == 1.0
    assert found["step_s_all"] == [0.5, 1.0, 4.0]
    assert found["matmul_flops_per_s"] == 1e9
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
    assert sum(row["share"] for row in found["operators"]) == pytest.approx(1)
    assert f"{found['share']:.3f}" in said
    assert "attention" in said


BAD = {
    "unknown geometry": (("--geometry", "huge"), "unknown geometry 'huge'; choose from mini, paper, vitl"),
    "no clips": (("--batch", "0"), "batch is 0, expected a number above 0"),
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


@pytest.mark.slow
def test_the_peer_takes_the_same_step(capsys: pytest.CaptureFixture[str]) -> None:
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
    peers.main("tiny", "float32", "cpu")
    assert float(capsys.readouterr().out) > 0


# --- docs/speed.md and what results/speed.py measured ---

MEASURED = results.load()["speed-cpu"]


def test_the_accounts_on_the_page_hold_whole_steps() -> None:
    """Catches: a row that is lost between the file and the page; useful work that takes less than no time."""
    rows = [row for row in MEASURED["rows"] if "operators" in row]
    assert {(row["geometry"], row["dtype"]) for row in rows} >= {
        (name, dtype) for name in ("mini", "paper") for dtype in bench.PRECISIONS
    }
    for row in rows:
        body = [line.split("|")[2:4] for line in speed.account_table(row).splitlines() if line.startswith("| ")][2:]
        assert sum(float(share) for share, _ in body) == pytest.approx(100, abs=0.5), row["command"]
        assert sum(float(ideal) for _, ideal in body if ideal.strip()) == pytest.approx(100 * row["share"], abs=0.2)


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
        assert row["data"]["clips_per_s"] > row["clips_per_s"], row["command"]
        if row["geometry"] in ("tiny", "cpu", "cpu-long"):
            assert row["peak_memory_mib"] < 2048
    assert {row["geometry"] for row in rows} >= set(PRESETS)
    steps = {(row["geometry"], row["dtype"], row["compiled"], row["recompute"]): row for row in rows}
    for geometry in ("mini", "paper"):
        half, full = (steps[geometry, dtype, False, False] for dtype in ("bfloat16", "float32"))
        assert half["step_s"] < 0.5 * full["step_s"]
        assert max(half["operators"], key=lambda part: part["share"])["kind"] == "attention"
    assert (
        0.95 < steps["mini", "float32", True, False]["step_s"] / steps["mini", "float32", False, False]["step_s"] < 1.05
    )
    gain = {row["trick"]: 1 - row["ours_s"] / row["obvious_s"] for row in MEASURED["tricks"]}
    assert gain["AdamW in one kernel"] < 0.01
    d = MEASURED["data"]
    assert d["training_clips_per_s_workers_0"] < d["training_clips_per_s_workers_1"] < 1.1 * d["step_clips_per_s"]
    assert all(row["losses"] == MEASURED["matrix"][0]["losses"] for row in MEASURED.get("matrix", []))
