// What other methods add to the loss to prevent collapse: VICReg (arXiv 2105.04906) and SIGReg (arXiv 2511.08544).
//
// Both look at the targets before normalisation, across the clips of a batch at each position; h has one row per
// (clip, position).  The same terms as in minivjepa/objective.py.

import { linear } from "./operations.js";

/** @typedef {import("./tensor.js").Tape} Tape
 *  @typedef {import("./tensor.js").Tensor} Tensor */

/** The variance term (a hinge at 1 on the std) plus 0.04 times the covariance term.
 * @param {Tape} tape @param {Tensor} h @param {number} clips */
export function vicreg(tape, h, clips) {
  const loss = tape.tensor(1, 1), dim = h.columns, width = h.data.length / clips, positions = width / dim;
  const slope = tape.arena.take(h.data.length).fill(0), centered = new Float64Array(clips * dim);
  let total = 0;
  for (let position = 0; position < positions; position++) {
    for (let j = 0; j < dim; j++) {
      let mean = 0;
      const at = (clip) => h.data[clip * width + position * dim + j];
      for (let clip = 0; clip < clips; clip++) mean += at(clip) / clips;
      for (let clip = 0; clip < clips; clip++) centered[clip * dim + j] = at(clip) - mean;
    }
    for (let i = 0; i < dim; i++) {
      for (let j = i; j < dim; j++) {
        let covariance = 0;
        for (let at = 0; at < clips * dim; at += dim) covariance += (centered[at + i] * centered[at + j]) / (clips - 1);
        const std = Math.sqrt(covariance + 1e-4); // used only on the diagonal
        total += i < j ? (2 * 0.04 * covariance ** 2) / dim / positions : Math.max(0, 1 - std) / dim / positions;
        // d total / d covariance, times d covariance / d h
        const d = i < j ? (4 * 0.04 * covariance) / dim / positions : std < 1 ? -1 / (2 * std) / dim / positions : 0;
        for (let clip = 0, at = position * dim; clip < clips; clip++, at += width) {
          slope[at + i] += (d * centered[clip * dim + j]) / (clips - 1);
          slope[at + j] += (d * centered[clip * dim + i]) / (clips - 1);
        }
      }
    }
  }
  loss.data[0] = total;
  return tape.record(loss, [h], (g, gh) => {
    for (let i = 0; i < gh.length; i++) gh[i] += g[0] * slope[i];
  });
}

/** How far the features are from a standard normal, along random directions.
 * @param {Tape} tape @param {Tensor} h @param {Tensor} directions  [how many, D], rows of length 1
  * @param {number} clips */
export function sigreg(tape, h, directions, clips) {
  const nothing = tape.constant(1, directions.rows, new Float32Array(directions.rows));
  return normality(tape, linear(tape, h, directions, nothing), clips);
}

const POINTS = 17, REACH = 3, STEP = REACH / (POINTS - 1); // where the characteristic function is compared

/** The Epps-Pulley statistic of every column across clips, mean over positions and columns: clips times the integral of
 * w(t) |phi(t) - w(t)|^2, where phi is the samples' characteristic function and w(t) = exp(-t^2 / 2) that of a normal.
 * @param {Tape} tape @param {Tensor} x @param {number} clips */
export function normality(tape, x, clips) {
  const loss = tape.tensor(1, 1), columns = x.data.length / clips; // (position, direction) pairs
  const slope = tape.arena.take(x.data.length);
  const cosines = new Float64Array(clips * POINTS), sines = new Float64Array(clips * POINTS);
  const normal = Float64Array.from({ length: POINTS }, (_, p) => Math.exp(-((p * STEP) ** 2) / 2));
  // the trapezoid rule on -REACH .. REACH, whose two halves are equal; then the mean over columns
  const weight = normal.map((w, p) => (w * STEP * (p % (POINTS - 1) ? 2 : 1) * clips) / columns);
  let total = 0;
  for (let column = 0; column < columns; column++) {
    for (let clip = 0; clip < clips; clip++) {
      const angle = x.data[clip * columns + column] * STEP, cos = Math.cos(angle), sin = Math.sin(angle);
      for (let p = 0, c = 1, s = 0, at = clip * POINTS; p < POINTS; p++, at++) {
        cosines[at] = c;
        sines[at] = s;
        [c, s] = [c * cos - s * sin, s * cos + c * sin]; // turn by one more angle
      }
      slope[clip * columns + column] = 0;
    }
    for (let p = 0; p < POINTS; p++) {
      let real = -normal[p], imaginary = 0;
      for (let at = p; at < clips * POINTS; at += POINTS) {
        real += cosines[at] / clips;
        imaginary += sines[at] / clips;
      }
      total += weight[p] * (real ** 2 + imaginary ** 2);
      const d = (2 * weight[p] * p * STEP) / clips;
      for (let clip = 0, at = p; clip < clips; clip++, at += POINTS) {
        slope[clip * columns + column] += d * (imaginary * cosines[at] - real * sines[at]);
      }
    }
  }
  loss.data[0] = total;
  return tape.record(loss, [x], (g, gx) => {
    for (let i = 0; i < gx.length; i++) gx[i] += g[0] * slope[i];
  });
}
