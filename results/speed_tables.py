"""The tables of docs/speed.md, from the raw results/speed-*.json that results/speed.py measured."""

from collections.abc import Sequence
from typing import Any

import torch

from minivjepa.evaluation.statistics import markdown
from minivjepa.masking import OfficialBlocks
from minivjepa.speed.step_time import Geometry, find_geometry
from minivjepa.training.config import PRESETS
from minivjepa.transformer import block_flops
from minivjepa.tubelets import Grid

Row = dict[str, Any]
DEVICES = ("cpu", "cuda")
PUBLISHED = 90_000 * 3072  # clips that V-JEPA's ViT-L saw: steps x batch (arXiv 2404.08471, appendix)
SOURCE_FRAMES = 16 * 4  # frames of a film that one clip of 16 spans at stride 4, as V-JEPA takes them
YEAR = 365.25 * 24 * 3600
NOT_TIMED = "Not timed on this machine: `python results/speed.py --only {}` does it."
# what each trick is, and the test that it computes the same as the obvious version
TRICKS = {
    "embed only the kept tubelets": ("pixels are gathered, then multiplied; not the other way round", "test_embedding_kept_tubelets_equals_keeping_embedded_tubelets"),
    "one target pass a clip": ("whatever the number of mask groups", "test_a_step_runs_the_target_encoder_once_whatever_the_number_of_mask_groups"),
    "targets without a graph": ("nothing is kept for a backward pass that stop-gradient forbids", "test_gradients_reach_online_and_predictor_and_never_the_target"),
    "AdamW in one kernel": ("torch's fused optimizer", "test_twenty_steps_equal_the_slow_reference"),
    "attention written out": ("in bfloat16 on a CPU: softmax and products in place of torch's fused operator", "test_attention_written_out_is_attention_and_has_its_gradient"),
}  # fmt: skip


def number(value: float) -> str:
    """One digit after the point, or two that count."""
    return f"{value:,.1f}" if value >= 1 else f"{value:.2g}"


def how(row: Row) -> str:
    """What was set for a row beside geometry and type."""
    return ", ".join(name for name, on in (("compiled", row["compiled"]), ("recomputed", row["recompute"])) if on)


def step_table(found: Sequence[Row]) -> str:
    """One line a measured step."""
    body = []
    for device in found:
        theirs = {(row["geometry"], row["dtype"]): row["step_s"] for row in device.get("peers", [])}
        for row in device.get("rows", []):
            peer = theirs.get((row["geometry"], row["dtype"])) if not how(row) else None
            memory = row["peak_memory_mib"]
            body.append(
                [row["geometry"], row["dtype"], row["device"], how(row), str(row["batch"]), f"{1000 * row['step_s']:,.1f}",
                 number(row["clips_per_s"]), f"{row['matmul_flops_per_s'] / 1e9:,.0f}", f"{row['share']:.3f}",
                 "" if memory is None else f"{memory:,.0f}", f"{row['data']['clips_per_s']:,.0f}",
                 "" if peer is None else f"{peer / row['step_s']:.1f} x"]
            )  # fmt: skip
    head = [
        "geometry", "type", "device", "", "batch", "step, ms", "clips/s", "one product, GFLOP/s", "share", "peak memory, MiB",
        "clips drawn/s", "transformers takes",
    ]  # fmt: skip
    return markdown(head, body, words=4)


def attention_flops(geometry: Geometry) -> int:
    """Useful FLOPs of a step inside attention alone, q k^T and the weighted sum, forward and backward."""
    c = geometry.config

    def of(n: int, dim: int, depth: int) -> int:
        return depth * block_flops(n, dim)["attention"]

    trained = sum(of(k, c.dim, c.depth) + of(k + m, c.predictor_dim, c.predictor_depth) for k, m in geometry.sizes)
    return c.batch * (of(c.grid.tokens, c.dim, c.depth) + 3 * trained)


def account_table(row: Row) -> str:
    """What each kind of operator takes of a step, and what its useful FLOPs would take at the matmul rate."""
    geometry = find_geometry(row["geometry"], row["batch"])
    step, rate = row["step_s"], row["matmul_flops_per_s"]
    attention = attention_flops(geometry)
    useful = {"attention": attention, "linear layers": row["gflop_per_step"] * 1e9 - attention}
    body = []
    for part in row["operators"]:
        ideal = useful.get(part["kind"], 0) / rate / step
        body.append(
            [
                part["kind"],
                f"{100 * part['share']:.1f}",
                f"{100 * ideal:.1f}" if ideal else "",
            ]
        )
    head = ["operators", "% of the step", "% at the matmul rate"]
    about = f"{row['geometry']}, {row['dtype']}, {row['device']}: step {1000 * step:,.1f} ms, share {row['share']:.3f}."
    return f"{about}\n\n{markdown(head, body)}"


def tricks_table(found: dict[str, Any]) -> str:
    """What each trick buys, measured against the obvious version of that one thing."""
    body = []
    for row in found["tricks"]:
        what, test = TRICKS[row["trick"]]
        body.append([row["trick"], what, f"`{test}`", f"{100 * (1 - row['ours_s'] / row['obvious_s']):+.0f} %"])
    return markdown(["trick", "what it is", "checked by", "step shorter by"], body, words=3)


def clip_lines(found: dict[str, Any]) -> str:
    """What a nuisance costs."""
    plain = found["clips"]["none"]
    body = [
        [name, f"{1000 * spent:.2f}", "" if name == "none" else f"{100 * (spent / plain - 1):+.0f} %"]
        for name, spent in found["clips"].items()
    ]
    return markdown(["background", "a batch of clips, ms", "more than without"], body)


def data_lines(found: dict[str, Any]) -> str:
    """Whether data can keep up."""
    d = found["data"]
    side = "x".join(map(str, d["size"]))
    body = [
        ["decoding a film, frames/s", f"{d['frames_per_s']:,.0f}"],
        ["clips/s of a film that fits into memory", f"{d['in_memory_clips_per_s']:,.0f}"],
        ["clips/s of one that does not, decoded when they are needed", f"{d['from_file_clips_per_s']:,.1f}"],
        ["clips/s that a step at mini takes", f"{d['step_clips_per_s']:,.1f}"],
        ["training from a film that does not fit, clips/s", f"{d['training_clips_per_s_workers_0']:,.1f}"],
        ["the same with `--workers 1`", f"{d['training_clips_per_s_workers_1']:,.1f}"],
    ]
    return markdown([f"a film of {d['frames']} frames of {side}", "measured"], body)


def matrix_table(found: dict[str, Any]) -> str:
    """An ablation with so many processes at once."""
    same = all(row["losses"] == found["matrix"][0]["losses"] for row in found["matrix"])
    body = [[f"`{row['command']}`", str(row["jobs"]), f"{row['seconds']:,.0f}"] for row in found["matrix"]]
    note = "The runs end with the same losses to the last digit." if same else "The runs end with other losses."
    return f"{markdown(['command', 'processes', 'seconds'], body)}\n\n{note}"


def scale_table(found: dict[str, Any]) -> str:
    """V-JEPA's published run, from what was measured here."""
    row = next(row for row in found["rows"] if row["geometry"] == "vitl")
    flops = 1e9 * row["gflop_per_step"] / row["batch"]
    reached = row["share"] * row["matmul_flops_per_s"]
    weights = 4 * row["parameters"] / 2**30
    frames = found["data"]["frames_per_s"] / SOURCE_FRAMES
    body = [
        ["useful work a clip, TFLOP", f"{flops / 1e12:.2f}"],
        ["useful work of the published run (90,000 steps of 3072 clips), FLOP", f"{flops * PUBLISHED:.2e}"],
        [f"reached here ({row['dtype']}, one thread), GFLOP/s", f"{reached / 1e9:,.0f}"],
        ["so on this core it would take, years", f"{flops * PUBLISHED / reached / YEAR:,.0f}"],
        ["hours on a machine that reaches R FLOP/s in training", f"{flops * PUBLISHED / 3600:.2e} / R"],
        ["gradients that processes exchange at every step, GiB", f"{weights:.2f}"],
        [
            f"clips/s that one core can decode ({SOURCE_FRAMES} source frames of 240x320 a clip, without resizing)",
            f"{frames:,.0f}",
        ],
        ["R from which that core no longer keeps up, TFLOP/s", f"{frames * flops / 1e12:,.0f}"],
    ]
    return markdown(["V-JEPA ViT-L", ""], body)


def mask_table(batches: Sequence[int] = (1, 2, 10, 24, 96), steps: int = 30) -> str:
    """Share of tokens that the official masks keep, by batch per device, on the paper's grid."""
    grid, body = Grid(), []
    for batch in batches:
        row = [str(batch)]
        for group in PRESETS["vitl"].masks:
            mask = OfficialBlocks(8, 0.15) if group.endswith("short") else OfficialBlocks(2, 0.7)
            kept = torch.tensor(
                [[len(ids[0]) for ids in mask.sample(grid, 0, step, torch.arange(batch))] for step in range(steps)]
            )
            row += [f"{float(share):.3f}" for share in kept.double().mean(dim=0) / grid.tokens]
        body.append(row)
    return markdown(["clips per device", "short: context", "target", "long: context", "target"], body)


def when(rows: Sequence[Row]) -> str:
    """On which days and with which versions rows were measured."""
    versions = dict.fromkeys(", ".join(f"{k} {v}" for k, v in row["versions"].items()) for row in rows)
    return ", ".join([*dict.fromkeys(row["date"] for row in rows), " or ".join(versions)])


def speed_parts(raw: dict[str, Any]) -> dict[str, str]:
    """The tables of docs/speed.md; a part that a file lacks, since measuring was stopped or failed, says so or is left out."""
    found = [raw[f"speed-{device}"] for device in DEVICES if f"speed-{device}" in raw]
    cpu, stepped = raw.get("speed-cpu", {}), [each for each in found if each.get("rows")]
    about = [f"{each['device']}: {when(each['rows'])}" for each in stepped]
    accounts = [
        account_table(row)
        for each in stepped
        for row in each["rows"]
        if "operators" in row and row["geometry"] != "tiny"
    ]
    measured = {each["device"] for each in stepped}
    opened = "GPU: not yet measured. `python results/speed.py --device cuda` measures these rows there."
    scaled = "data" in cpu and any(row["geometry"] == "vitl" for row in cpu.get("rows", []))
    return {
        "steps": f"{step_table(stepped)}\n\n{'; '.join(about)}." + ("" if "cuda" in measured else f"\n\n{opened}"),
        "tricks": tricks_table(cpu) if "tricks" in cpu else NOT_TIMED.format("tricks"),
        "account": "\n\n".join(accounts),
        "clips": clip_lines(cpu) if "clips" in cpu else NOT_TIMED.format("clips"),
        "data": data_lines(cpu) if "data" in cpu else NOT_TIMED.format("data"),
        "matrix": "\n\n".join(matrix_table(each) for each in found if "matrix" in each) or NOT_TIMED.format("matrix"),
        "scale": scale_table(cpu) if scaled else NOT_TIMED.format("rows,data"),
        "masks": mask_table(),
    }
