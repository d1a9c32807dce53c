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
SLOWER = {
    "ONEDNN_MAX_CPU_ISA": "no matrix unit",
    "MKL_ENABLE_INSTRUCTIONS": "products with AVX2",
}  # what the settings take away
# what each trick is, and the test that it computes the same as the obvious version
TRICKS = {
    "embed only the kept tubelets": ("pixels are gathered, then multiplied; not the other way round", "test_embedding_kept_tubelets_equals_keeping_embedded_tubelets"),
    "cut the clip into tubelets once": ("both encoders take the same tubelets", "test_tubelets_that_are_cut_once_equal_a_clip"),
    "one target pass a clip": ("whatever the number of mask groups", "test_a_step_cuts_every_clip_once_and_runs_the_target_encoder_once"),
    "targets without a graph": ("nothing is kept for a backward pass that stop-gradient forbids", "test_gradients_reach_online_and_predictor_and_never_the_target"),
    "all mask groups in one pass": ("their tokens stand side by side in the linear layers; attention stays within a group", "test_all_mask_groups_in_one_pass_equal_one_after_the_other"),
    "bf16 attention written out": ("on CPUs, where the backward pass of torch's fused attention is slow in bfloat16", "test_attention_written_out_in_bf16_is_within_a_hundredth_of_the_truth"),
    "EMA in one call": ("one operator for all parameters", "test_ema_has_its_closed_form"),
    "AdamW in one kernel": ("torch's fused optimiser", "test_twenty_steps_equal_the_slow_reference"),
}  # fmt: skip


def number(value: float) -> str:
    """One digit after the point, or two that count."""
    return f"{value:,.1f}" if value >= 1 else f"{value:.2g}"


def how(row: Row) -> str:
    """What was set for a row beside geometry and type."""
    marks = [name for name, on in (("compiled", row["compiled"]), ("recomputed", row["recompute"])) if on]
    marks += [SLOWER[name] for name in row["environment"]]
    return ", ".join(marks)


def step_table(row_lists: Sequence[Sequence[Row]]) -> str:
    """One line a measured step."""
    body = []
    for row in (row for rows in row_lists for row in rows):
        peer = f"{row['peer']['step_s'] / row['step_s']:.1f} x" if "peer" in row else ""
        memory = row["peak_memory_mib"]
        body.append(
            [row["geometry"], row["dtype"], row["device"], how(row), str(row["batch"]), f"{1000 * row['step_s']:,.1f}",
             number(row["clips_per_s"]), f"{row['matmul_flops_per_s'] / 1e9:,.0f}", f"{row['share']:.3f}",
             "" if memory is None else f"{memory:,.0f}", f"{row['data']['clips_per_s']:,.0f}", peer]
        )  # fmt: skip
    head = [
        "geometry",
        "type",
        "device",
        "",
        "batch",
        "step, ms",
        "clips/s",
        "one product, GFLOP/s",
        "share",
        "peak memory, MiB",
        "clips drawn/s",
        "transformers takes",
    ]
    return markdown(head, body, words=4)


def attention_flops(geometry: Geometry) -> int:
    """Useful FLOPs of a step inside attention alone, q k^T and the weighted sum, forward and backward."""
    c = geometry.config

    def of(n: int, dim: int, depth: int) -> int:
        return depth * block_flops(n, dim)["attention"]

    trained = sum(of(k, c.dim, c.depth) + of(k + m, c.predictor_dim, c.predictor_depth) for k, m in geometry.sizes)
    return c.batch * (of(c.grid.tokens, c.dim, c.depth) + 3 * trained)


def account_table(row: Row) -> str:
    """Every part of a step: what it takes alone, and how much of the step it costs beyond its useful FLOPs.

    share + all of the last column = 100 %.
    """
    geometry = find_geometry(row["geometry"], row["batch"])
    step, rate = row["step_s"], row["matmul_flops_per_s"]
    attention = attention_flops(geometry)
    useful = {"attention": attention, "linear layers": row["gflop_per_step"] * 1e9 - attention}
    body = []
    for part in row["operators"]:
        ideal = useful.get(part["kind"], 0) / rate
        body.append([part["kind"], str(part["calls"]), f"{1000 * part['warm_s']:,.1f}", f"{1000 * part['cold_s']:,.1f}",
                     f"{part['bytes'] / 1e6:,.0f}", f"{1000 * ideal:,.1f}" if ideal else "", f"{100 * (part['warm_s'] - ideal) / step:.1f}"])  # fmt: skip
    rest = step - row["operators_warm_s"]
    body.append(["between operators, and numbers that no cache held", "", f"{1000 * rest:,.1f}", "", "", "", f"{100 * rest / step:.1f}"])  # fmt: skip
    head = [
        "operators",
        "calls",
        "alone, ms",
        "alone with cold caches, ms",
        "MB moved",
        "at the matmul rate, ms",
        "% of the step beyond that",
    ]
    sums = f"{row['geometry']}, {row['dtype']}, {row['device']}: step {1000 * step:,.1f} ms, share {row['share']:.3f}; its operators alone take {1000 * row['operators_warm_s']:,.1f} ms with warm caches, {1000 * row['operators_cold_s']:,.1f} ms with cold ones: {row['operators_warm_s'] / step:.2f} and {row['operators_cold_s'] / step:.2f} of the step."
    return f"{sums}\n\n{markdown(head, body)}"


def tricks_table(found: dict[str, Any]) -> str:
    """What each trick buys, measured against the obvious version of that one thing."""
    body = []
    for name, (what, test) in TRICKS.items():
        both = {row["dtype"]: row for row in found["tricks"] if row["trick"] == name}
        saved = [
            round(100 * (1 - both[dtype]["ours_s"] / both[dtype]["obvious_s"])) for dtype in ("float32", "bfloat16")
        ]
        gains = [f"{percent:+d} %" if percent else "0 %" for percent in saved]
        calls = [
            f"{row['obvious_operators']} to {row['ours_operators']}" for row in (both["float32"], both["bfloat16"])
        ]
        body.append([name, what, f"`{test}`", *gains, *calls])
    return markdown(["trick", "what it is", "checked by", "step shorter by, float32", "bfloat16", "operators, float32", "bfloat16"], body, words=3)  # fmt: skip


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
    """Five arms x three seeds with so many processes at once."""
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


def speed_parts(raw: dict[str, Any]) -> dict[str, str]:
    """The tables of docs/speed.md."""
    found = [raw[f"speed-{device}"] for device in DEVICES if f"speed-{device}" in raw]
    cpu = found[0]
    about = [
        f"{each['device']}: {each['date']}, " + ", ".join(f"{k} {v}" for k, v in each["versions"].items())
        for each in found
    ]
    accounts = [
        account_table(row) for each in found for row in each["rows"] if "operators" in row and row["geometry"] != "tiny"
    ]
    opened = (
        ""
        if len(found) == len(DEVICES)
        else "\n\nGPU: not yet measured. `python results/speed.py --device cuda` measures these rows there."
    )
    whole = "".join(
        f"\n\nViT-L at the batch of the preset `vitl`, recomputed, `{each['memory']['command']}`: peak memory {each['memory']['peak_memory_mib']:,.0f} MiB."
        for each in found
    )
    return {
        "steps": f"{step_table([each['rows'] for each in found])}{whole}\n\n{'; '.join(about)}.{opened}",
        "tricks": tricks_table(cpu),
        "account": "\n\n".join(accounts),
        "data": data_lines(cpu),
        "matrix": "\n\n".join(matrix_table(each) for each in found),
        "scale": scale_table(cpu),
        "masks": mask_table(),
    }  # fmt: skip
