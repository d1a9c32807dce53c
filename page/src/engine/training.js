// A training run: weights, clips, the step, and what is measured between steps.

import { GEOMETRIES, complaint, grid } from "./arms.js";
import { clips, pictures } from "./clips.js";
import { kernelFrom, plain } from "./matmul.js";
import * as measures from "./measures.js";
import { copyOfEncoder, initialise, layout, shapes } from "./model.js";
import { adamw, follow, rates } from "./optimizer.js";
import { normal, stream } from "./random.js";
import { Arena, Tape } from "./tensor.js";
import { features, loss } from "./vjepa.js";

/** @typedef {import("./arms.js").Settings} Settings
 *  @typedef {import("./model.js").Parameters} Parameters
 *  @typedef {{std: number, rank: number, probe: number, points: Float32Array}} Look  at an encoder */

const MEGABYTES = 160, DIRECTIONS = 256; // of the arena; random directions of SIGReg in a step
const CLIPS_AT_ONCE = 32, POINTS = 96; // held-out clips encoded together (the first give the std), and in the cloud
const HELD_OUT = 2 ** 31; // a seed that no run has

export class Run {
  /** @param {Settings} settings @param {Uint8Array | null} wasm  gemm.wasm; null: plain JavaScript
   * @param {import("./arms.js").Geometry} geometry */
  constructor(settings, wasm, geometry = GEOMETRIES[settings.model]) {
    check(settings);
    const arena = new Arena(MEGABYTES);
    this.tape = new Tape(arena, kernelFrom(wasm, arena.memory));
    const g = (this.geometry = layout(this.tape, geometry));
    this.online = initialise(this.tape, shapes(g, settings), stream("weights", settings.seed));
    this.copy = copyOfEncoder(this.tape, this.online);
    this.base = arena.top; // below: what lives as long as the run; above: what lives for a step
    this.step = 0;
    /** @type {import("./optimizer.js").Memories} */
    this.memories = new Map();
    this.heldOut = clips(g, "validation", HELD_OUT, 0, g.heldOut);
    /** @type {Look[]}  the last look at each encoder */
    this.before = [];
    this.settings = settings;
    this.change(settings);
  }

  get wasm() {
    return this.tape.kernel !== plain;
  }

  /** The encoders: the online one and, where targets come from it, its EMA copy. @returns {Parameters[]} */
  get encoders() {
    return this.settings.target === "ema" ? [this.online, this.copy] : [this.online];
  }

  get parameters() {
    const unused = this.settings.target === "pixels" ? "predictor.leave." : "predictor.pixels.";
    const used = Object.entries(this.online).filter(([name]) => !name.startsWith(unused));
    return used.reduce((sum, [, { data }]) => sum + data.length, 0);
  }

  /** Flip switches in the middle of a run; weights stay.  A copy that was not in use starts as the online encoder.
   * @param {Settings} settings */
  change(settings) {
    check(settings);
    for (const [name, x] of Object.entries(this.copy)) {
      if (settings.target === "ema" && this.settings.target !== "ema") {
        x.data.set(this.online[name].data);
        this.memories.delete(x);
      }
      x.needsGradient = !settings.stop;
    }
    this.settings = settings;
  }

  /** Train on this step's clips; the loss before the update. */
  train() {
    const { geometry: g, settings, tape, step } = this;
    tape.clear(this.base);
    const values = clips(g, "train", settings.seed, step, g.batch).pixels;
    /** @type {import("./tensor.js").Tensor | null} */
    let directions = null;
    if (settings.regulariser === "sigreg") {
      directions = tape.tensor(DIRECTIONS, g.dim);
      unitRows(directions, stream("directions", settings.seed, step));
    }
    return this.update(this.pixels(values, g.batch), this.mask(g.batch), directions);
  }

  /** One step of the optimizer and of the EMA copy; the loss before it.
   * @param {import("./tensor.js").Tensor} pixels @param {import("./model.js").Mask} mask
   * @param {import("./tensor.js").Tensor | null} directions */
  update(pixels, mask, directions) {
    const { geometry: g, settings, online } = this, copy = settings.target === "ema" ? this.copy : null;
    const value = loss(this.tape, { geometry: g, settings, online, copy }, pixels, mask, g.batch, directions);
    this.tape.backward(value);
    const { lr, momentum } = rates(g, settings, this.step);
    adamw(online, this.memories, lr, g.predictorLr, g.weightDecay);
    if (copy) {
      adamw(copy, this.memories, lr, g.predictorLr, g.weightDecay); // has gradients only without the stop-gradient
      follow(copy, online, momentum);
    }
    this.step++;
    return value.data[0];
  }

  /** Pixels of some clips as a tensor, one tubelet a row. @param {Float32Array} values @param {number} count */
  pixels(values, count) {
    const rows = count * grid(this.geometry).tokens;
    return this.tape.constant(rows, values.length / rows, values);
  }

  /** The same tubelets are hidden in every clip. @param {number} count @returns {import("./model.js").Mask} */
  mask(count) {
    const { t, h, w, tokens } = grid(this.geometry), { hidden } = this.settings;
    const isHidden = (id) => (hidden === "future" ? id >= Math.ceil(t / 2) * h * w : hidden.includes(id));
    const ids = [...Array(tokens).keys()];
    const repeated = (kept) => Int32Array.from(Array(count).fill(kept).flat());
    return { context: repeated(ids.filter((id) => !isHidden(id))), target: repeated(ids.filter(isHidden)) };
  }

  /** Features of some held-out clips, [CLIPS_AT_ONCE * N, D], as an array that lives until the next step.
   * @param {Parameters} encoder @param {number} first */
  encodeHeldOut(encoder, first) {
    const { tape, geometry, settings } = this, size = this.heldOut.pixels.length / geometry.heldOut;
    tape.clear(this.base);
    const values = this.heldOut.pixels.subarray(first * size, (first + CLIPS_AT_ONCE) * size);
    const pixels = this.pixels(values, CLIPS_AT_ONCE);
    const model = { geometry, settings, online: encoder, copy: null };
    return tape.detached(() => features(tape, model, encoder, pixels, CLIPS_AT_ONCE)).data;
  }

  /** Feature std of each encoder. */
  std() {
    return this.encoders.map((encoder) => measures.featureStd(this.encodeHeldOut(encoder, 0), CLIPS_AT_ONCE));
  }

  /** Everything that is measured of each encoder.  It takes long, so it pauses after some clips: a generator.
   * @returns {Generator<void, Look[]>} */
  *look() {
    const { dim, heldOut } = this.geometry, directions = this.heldOut.factors.map((clip) => clip.direction);
    const std = this.std(), found = [];
    for (const [i, encoder] of this.encoders.entries()) {
      const pooled = new Float64Array(heldOut * dim);
      for (let first = 0; first < heldOut; first += CLIPS_AT_ONCE) {
        pooled.set(measures.pool(this.encodeHeldOut(encoder, first), CLIPS_AT_ONCE, dim), first * dim);
        yield;
      }
      const axes = measures.principalAxes(pooled, dim), points = measures.onPlane(pooled, axes.vectors, POINTS);
      found.push({
        ...{ std: std[i], rank: measures.effectiveRank(axes.values), probe: measures.probe(pooled, directions, dim) },
        points: this.before[i] ? measures.aligned(points, this.before[i].points) : points,
      });
    }
    return (this.before = found);
  }

  /** A held-out clip to show. @param {number} index */
  clip(index) {
    const { pixels, factors } = this.heldOut, size = pixels.length / factors.length;
    const frames = pictures(this.geometry, pixels.subarray(index * size, (index + 1) * size));
    return { index, frames, direction: factors[index].direction, digit: factors[index].digit };
  }

  /** What way each of the look's points moves. */
  get directions() {
    return Uint8Array.from(this.heldOut.factors.slice(0, POINTS), (clip) => clip.direction);
  }
}

/** Throw an error with a sentence for the reader if these settings cannot train. @param {Settings} settings */
function check(settings) {
  const refused = complaint(settings);
  if (refused) throw new Error(refused);
}

/** Fill the rows with random directions. @param {import("./tensor.js").Tensor} x @param {() => number} uniform */
function unitRows(x, uniform) {
  for (let i = 0; i < x.rows; i++) {
    const row = Array.from({ length: x.columns }, () => normal(uniform)), length = Math.hypot(...row);
    x.data.set(row.map((value) => value / length), i * x.columns);
  }
}
