// What the engine's parts promise, apart from gradients.

import assert from "node:assert/strict";
import fs from "node:fs";
import { test } from "node:test";
import { ARMS, DEFAULTS, GEOMETRIES, complaint, grid, nameOf } from "../src/engine/arms.js";
import { clips, draw } from "../src/engine/clips.js";
import { flip, kernelFrom, matmul, plain, view } from "../src/engine/matmul.js";
import { aligned, eigen, featureStd } from "../src/engine/measures.js";
import { normal, stream } from "../src/engine/random.js";
import { normality } from "../src/engine/regularisers.js";
import { Arena, Tape } from "../src/engine/tensor.js";
import { Run } from "../src/engine/training.js";

const wasm = fs.readFileSync(new URL("../src/engine/gemm.wasm", import.meta.url));
const near = (a, b, tolerance) => assert.ok(Math.abs(a - b) <= tolerance, `${a} is not ${b}`);
const arm = (name, more = {}) => ({ ...DEFAULTS, ...ARMS[name], ...more });
const few = (model) => ({ ...GEOMETRIES[model], heldOut: 128 }); // held-out clips take time to draw
const start = (settings) => new Run(settings, wasm, few(settings.model));
const train = (run, steps) => Array.from({ length: steps }, () => run.train());

test("WebAssembly, plain JavaScript and three loops multiply matrices of any size alike", () => {
  const arena = new Arena(4), kernel = kernelFrom(wasm, arena.memory), uniform = stream("matmul");
  assert.notEqual(kernel, plain);
  const random = (count) => fill(arena.take(count));
  const fill = (array) => array.forEach((_, i) => (array[i] = normal(uniform))) ?? array;
  const element = ({ values, start, down, right }, i, j) => values[start + i * down + j * right];
  for (const [m, n, k] of [[1, 1, 1], [4, 8, 3], [5, 13, 7], [7, 3, 2], [9, 6, 16], [12, 24, 5]]) {
    for (const [turnA, turnB, add] of [[0, 0, 0], [1, 0, 1], [0, 1, 0], [1, 1, 1]]) {
      arena.top = 1024;
      const a = turnA ? flip(view(random(k * (m + 2)), k, m, 1, m + 2)) : view(random(m * (k + 3)), m, k, 2, k + 3);
      const b = turnB ? flip(view(random(n * k), n, k)) : view(random(k * n), k, n), before = random(m * (n + 1));
      const results = [kernel, plain].map((one) => {
        const c = fill(arena.take(m * (n + 1)));
        c.set(before);
        matmul(new Tape(arena, one), a, b, view(c, m, n, 1, n + 1), Boolean(add));
        return c;
      });
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = add ? before[1 + i * (n + 1) + j] : 0;
          for (let x = 0; x < k; x++) sum += element(a, i, x) * element(b, x, j);
          for (const c of results) near(c[1 + i * (n + 1) + j], sum, 1e-5);
        }
        for (const c of results) if (i) assert.equal(c[i * (n + 1)], before[i * (n + 1)], "written beside the matrix");
      }
    }
  }
});

test("SIGReg of a standard normal sample is 1.05, whatever the number of clips, and more for anything else", () => {
  const tape = new Tape(new Arena(16), plain), uniform = stream("sigreg");
  for (const count of [16, 48]) {
    const value = (change) => {
      const x = tape.tensor(count, 2000);
      x.data.forEach((_, i) => (x.data[i] = change(normal(uniform))));
      return normality(tape, x, count).data[0];
    };
    near(value((x) => x), 1.05, 0.05);
    near(value(() => 0), 0.4 * count, 0.02 * count);
    assert.ok(value((x) => 0.3 * x) > 2);
  }
});

test("eigenvalues and axes put a matrix together again", () => {
  const uniform = stream("eigen"), n = 12, a = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) a[i * n + j] = a[j * n + i] = normal(uniform) + (i === j ? 8 : 0);
  }
  const { values, vectors } = eigen(a.slice(), n);
  assert.deepEqual(values, values.toSorted((x, y) => y - x));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      near(values.reduce((sum, value, k) => sum + value * vectors[k][i] * vectors[k][j], 0), a[i * n + j], 1e-9);
    }
  }
});

test("a cloud that was turned or mirrored is turned back", () => {
  const uniform = stream("cloud"), before = Float32Array.from({ length: 40 }, () => normal(uniform));
  for (const [mirror, angle] of [[1, 0.3], [-1, 2.5], [1, Math.PI]]) {
    const turned = before.map((_, i) => {
      const x = before[i - (i % 2)], y = mirror * before[i - (i % 2) + 1];
      return i % 2 ? Math.sin(angle) * x + Math.cos(angle) * y : Math.cos(angle) * x - Math.sin(angle) * y;
    });
    aligned(turned, before).forEach((value, i) => near(value, before[i], 1e-5));
  }
});

test("the feature std is 0 if clips differ by position only", () => {
  assert.equal(featureStd([1, 2, 3, 1, 2, 3], 2), 0);
  assert.equal(featureStd([1, 2, 3, 3, 2, 1], 2), 2 / 3);
});

test("where a digit starts says nothing about where it goes", () => {
  const all = Array.from({ length: 4000 }, (_, i) => draw(stream("start", i), "train"));
  for (let direction = 0; direction < 8; direction++) {
    const some = all.filter((one) => one.direction === direction);
    assert.ok(some.length > 400);
    for (const axis of ["x", "y"]) near(some.reduce((sum, one) => sum + one[axis], 0) / some.length, 0.5, 0.05);
  }
});

test("a clip depends only on seed, step and place in the batch", () => {
  const two = clips(GEOMETRIES.small, "train", 3, 5, 2), many = clips(GEOMETRIES.small, "train", 3, 5, 4);
  assert.deepEqual(two.pixels, many.pixels.slice(0, two.pixels.length));
  assert.notDeepEqual(two.pixels, clips(GEOMETRIES.small, "train", 3, 6, 2).pixels);
  assert.notDeepEqual(two.pixels, clips(GEOMETRIES.small, "train", 4, 5, 2).pixels);
});

test("every arm has its name, and can train; a changed one has none", () => {
  for (const name of Object.keys(ARMS)) {
    assert.equal(nameOf(arm(name)), name);
    assert.equal(complaint(arm(name)), null);
  }
  assert.equal(nameOf(DEFAULTS), "vjepa");
  assert.equal(nameOf(arm("vjepa", { momentum: 0.9, schedule: false })), null);
});

test("settings in which a switch does nothing are refused with a sentence", () => {
  const { tokens } = grid(GEOMETRIES.small);
  for (const settings of [
    arm("pixels", { stop: false }), arm("sigreg", { stop: true }), arm("pixels", { predictor: "linear" }),
    ...[[], [...Array(tokens).keys()], [tokens], [1, 1]].map((hidden) => arm("vjepa", { hidden })),
  ]) {
    assert.match(complaint(settings), /\.$/);
    assert.throws(() => new Run(settings, null, few("small")), /\.$/);
  }
});

test("a run repeats itself, and looking at it changes nothing", () => {
  const [first, second] = [start(arm("sigreg")), start(arm("sigreg"))];
  const losses = train(first, 3);
  assert.deepEqual(Array.from({ length: 3 }, () => [second.train(), ...second.look()][0]), losses);
  assert.notDeepEqual(train(start(arm("sigreg", { seed: 1 })), 3), losses);
});

test("all arms start from the same encoder and see the same clips", () => {
  const [one, other] = [start(arm("vjepa")), start(arm("pixels", { predictor: "transformer" }))];
  assert.deepEqual(one.online["encoder.norm.weight"].data, other.online["encoder.norm.weight"].data);
  assert.deepEqual(one.online["encoder.embed.project.weight"].data, other.online["encoder.embed.project.weight"].data);
  assert.equal(train(start(arm("frozen")), 1)[0], train(start(arm("neither")), 1)[0]);
});

test("switches flip in the middle of a run, and a new copy starts as the online encoder", () => {
  const run = start(arm("neither")), name = "encoder.blocks.0.mlp.fc1.weight";
  train(run, 5);
  assert.notDeepEqual(run.copy[name].data, run.online[name].data);
  run.change(arm("frozen"));
  assert.deepEqual(run.copy[name].data, run.online[name].data);
  const kept = run.copy[name].data.slice();
  train(run, 2);
  assert.deepEqual(run.copy[name].data, kept);
  assert.notDeepEqual(run.online[name].data, kept);
  run.change(arm("no-stopgrad", { momentum: 1, schedule: false })); // the copy follows its gradient only
  train(run, 2);
  assert.notDeepEqual(run.copy[name].data, kept);
  run.change(arm("pixels"));
  train(run, 2);
  run.change(arm("sigreg", { hidden: [0, 5, 6] }));
  assert.ok(Number.isFinite(train(run, 2)[1]));
});

test("a step of the larger model fits into memory, with the arms that need most", () => {
  for (const name of ["no-stopgrad", "sigreg"]) {
    assert.ok(Number.isFinite(start(arm(name, { model: "larger" })).train()));
  }
});
