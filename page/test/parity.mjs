// Does what a test in Python asks: reads a job as JSON from standard input, writes what happened to standard output.
// Arrays travel as base64 of their 32-bit numbers.  Started by tests/test_page.py.

import fs from "node:fs";
import { ARMS, DEFAULTS, GEOMETRIES } from "../src/engine/arms.js";
import { paint } from "../src/engine/clips.js";
import * as measures from "../src/engine/measures.js";
import { Run } from "../src/engine/training.js";
import { features, loss } from "../src/engine/vjepa.js";

const floats = (text) => new Float32Array(new Uint8Array(Buffer.from(text, "base64")).buffer);
const text = (numbers) => Buffer.from(Float32Array.from(numbers).buffer).toString("base64");
const wasm = fs.readFileSync(new URL("../src/engine/gemm.wasm", import.meta.url));

/** Gradients of the first step, then the losses of as many updates as there are sets of SIGReg's directions. */
function train({ geometry, arm, settings, kernel, weights, pixels, context, target, directions }) {
  const run = new Run({ ...DEFAULTS, ...ARMS[arm], ...settings }, kernel === "wasm" ? wasm : null, geometry);
  const { batch } = geometry;
  for (const [name, values] of Object.entries(weights)) {
    run.online[name].data.set(floats(values));
    run.copy[name]?.data.set(floats(values));
  }
  const mask = { context: Int32Array.from(context), target: Int32Array.from(target) };
  const inputs = (step) => {
    run.tape.clear(run.base);
    const drawn = run.settings.regulariser === "sigreg" ? floats(directions[step]) : null;
    const rows = drawn && run.tape.constant(drawn.length / geometry.dim, geometry.dim, drawn);
    return [run.pixels(floats(pixels), batch), mask, rows];
  };
  const model = { geometry: run.geometry, settings: run.settings, online: run.online };
  model.copy = run.settings.target === "ema" ? run.copy : null;
  const [x, ids, rows] = inputs(0), value = loss(run.tape, model, x, ids, batch, rows);
  run.tape.backward(value);
  const gradients = {};
  for (const [prefix, parameters] of [["", run.online], ["target_", run.copy]]) {
    for (const [name, parameter] of Object.entries(parameters)) {
      if (parameter.gradient) gradients[prefix + name] = text(parameter.gradient);
      parameter.gradient = null;
    }
  }
  const losses = directions.map((_, step) => run.update(...inputs(step)));
  const std = run.encoders.map((encoder) => {
    const [clips] = inputs(0);
    return measures.featureStd(run.tape.detached(() => features(run.tape, model, encoder, clips, batch)).data, batch);
  });
  return { wasm: run.wasm, gradients, losses, std };
}

/** Clips without noise. */
function clips({ geometry, factors }) {
  const size = geometry.channels * geometry.frames * geometry.side ** 2;
  return factors.map((one) => {
    const pixels = new Float32Array(size);
    paint(geometry, { ...one, image: floats(one.image) }, pixels);
    return text(pixels);
  });
}

/** What measures.js says of features [clips, tokens, dim]. */
function measured({ h, clips, dim, directions }) {
  const tokens = floats(h), pooled = measures.pool(tokens, clips, dim), axes = measures.principalAxes(pooled, dim);
  const points = text(measures.onPlane(pooled, axes.vectors, clips));
  return {
    ...{ std: measures.featureStd(tokens, clips), rank: measures.effectiveRank(axes.values), points },
    probe: measures.probe(pooled, directions, dim),
  };
}

/** A short run of the page's small model: each encoder's feature std as a share of the first, and the last losses. */
function live({ arm, steps, last }) {
  const geometry = { ...GEOMETRIES.small, heldOut: 128 }, run = new Run({ ...DEFAULTS, ...ARMS[arm] }, wasm, geometry);
  const [first] = run.std(), losses = Array.from({ length: steps }, () => run.train());
  const loss = losses.slice(-last).reduce((sum, one) => sum + one / last, 0);
  return { ratio: run.std().map((std) => std / first), loss, geometry: GEOMETRIES.small, arms: Object.keys(ARMS) };
}

const job = JSON.parse(fs.readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify({ train, clips, measured, live }[job.what](job)));
