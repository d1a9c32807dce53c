// Every derivative against finite differences, in 64 bits.

import assert from "node:assert/strict";
import { test } from "node:test";
import { plain } from "../src/engine/matmul.js";
import * as operations from "../src/engine/operations.js";
import { normal, stream } from "../src/engine/random.js";
import { normality, vicreg } from "../src/engine/regularisers.js";
import { Arena, Tape } from "../src/engine/tensor.js";

const ids = (...numbers) => Int32Array.from(numbers);
const { add, attention, gather, gelu, join, linear, meanDistance, mix, normalise, scaleAndShift } = operations;

/** Name -> [shapes of the inputs, the operation]; 2 clips wherever there are clips. */
const CASES = {
  add: [[[3, 4], [3, 4]], (tape, x, y) => add(tape, x, y, -0.7)],
  linear: [[[5, 3], [4, 3], [1, 4]], linear],
  normalise: [[[3, 5]], (tape, x) => normalise(tape, x, 1e-5)],
  scaleAndShift: [[[3, 4], [1, 4], [1, 4]], scaleAndShift],
  gelu: [[[4, 5]], gelu],
  attention: [[[6, 24]], (tape, x) => attention(tape, x, 3, 2)],
  gather: [[[4, 3]], (tape, x) => gather(tape, x, ids(2, 0, 2, 3))],
  join: [[[4, 3], [6, 3]], (tape, x, y) => join(tape, x, y, 2)],
  mix: [[[5, 5], [4, 3]], (tape, table, x) => mix(tape, table, x, ids(0, 3, 1, 3), ids(1, 2, 4, 4, 0, 2), 2)],
  meanDistance: [[[3, 4], [3, 4]], meanDistance],
  vicreg: [[[8, 3]], (tape, x) => vicreg(tape, x, 4)],
  normality: [[[8, 3]], (tape, x) => normality(tape, x, 4)],
};

/** Random inputs, their gradients for a randomly weighted sum of the results, and that sum as a function. */
function setUp(shapes, operation) {
  const tape = new Tape(new Arena(1, Float64Array), plain), uniform = stream("gradients", shapes.length);
  const random = (count) => Float64Array.from({ length: count }, () => 0.7 * normal(uniform));
  const inputs = shapes.map(([rows, columns]) => tape.constant(rows, columns, random(rows * columns)));
  const { top } = tape.arena;
  for (const x of inputs) x.needsGradient = true;
  const result = operation(tape, ...inputs), weights = random(result.data.length);
  weights[0] = 1; // as backward does with the first gradient
  result.gradient = weights.slice();
  tape.backward(result);
  const gradients = inputs.map((x) => Float64Array.from(x.gradient));
  const value = () => {
    tape.clear(top);
    return tape.detached(() => operation(tape, ...inputs)).data.reduce((sum, y, i) => sum + y * weights[i], 0);
  };
  return { inputs, gradients, value };
}

for (const [name, [shapes, operation]] of Object.entries(CASES)) {
  test(`the derivative of ${name} is that of finite differences`, () => {
    const { inputs, gradients, value } = setUp(shapes, operation), step = 1e-4;
    inputs.forEach((x, which) => x.data.forEach((old, i) => {
      const [up, down] = [old + step, old - step].map((moved) => {
        x.data[i] = moved;
        return value();
      });
      x.data[i] = old;
      const allowed = name === "gelu" ? 1e-5 : 1e-6; // gelu is a series, its derivative isn't that series' own
      const error = Math.abs((up - down) / (2 * step) - gradients[which][i]);
      assert.ok(error < allowed, `input ${which}, number ${i}: off by ${error}`);
    }));
  });
}

test("every operation of operations.js is checked", () => {
  assert.deepEqual(Object.keys(operations).filter((name) => !(name in CASES)), []);
});

test("nothing flows back through what was computed detached, or into constants", () => {
  const tape = new Tape(new Arena(1), plain);
  const x = tape.constant(2, 2, [1, 2, 3, 4]), y = tape.constant(2, 2, [1, 1, 1, 1]);
  x.needsGradient = true;
  const stopped = tape.detached(() => gelu(tape, x));
  assert.equal(stopped.needsGradient, false);
  tape.backward(meanDistance(tape, add(tape, x, y), stopped));
  assert.deepEqual([...x.gradient], [0.25, 0.25, 0.25, 0.25]);
  assert.equal(y.gradient, null);
});
