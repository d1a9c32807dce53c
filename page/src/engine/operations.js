// The operations of the model, each with its derivative beside it.
//
// The first half of an operation computes its result.  The second half, the function given to tape.record, gets the
// gradient g of the loss with respect to the result and adds to the gradients of the inputs; that is the chain rule.
// The gradient of x is called gx, and is null where x needs none.

import { flip, matmul, view } from "./matmul.js";

/** @typedef {import("./tensor.js").Tape} Tape
 *  @typedef {import("./tensor.js").Tensor} Tensor
 *  @typedef {import("./matmul.js").Numbers} Numbers */

/** A tensor's numbers, or its gradient's, as a matrix. @param {Tensor} x */
const whole = (x, values = x.data) => view(values, x.rows, x.columns);

/** x + weight * y. @param {Tape} tape @param {Tensor} x @param {Tensor} y */
export function add(tape, x, y, weight = 1) {
  const z = tape.tensor(x.rows, x.columns);
  for (let i = 0; i < z.data.length; i++) z.data[i] = x.data[i] + weight * y.data[i];
  return tape.record(z, [x, y], (g, gx, gy) => {
    if (gx) for (let i = 0; i < g.length; i++) gx[i] += g[i];
    if (gy) for (let i = 0; i < g.length; i++) gy[i] += weight * g[i];
  });
}

/** x w^T + b, with w [outputs, inputs] and b [1, outputs] as in torch.
 * @param {Tape} tape @param {Tensor} x @param {Tensor} w @param {Tensor} b */
export function linear(tape, x, w, b) {
  const y = tape.tensor(x.rows, w.rows);
  for (let i = 0; i < y.rows; i++) y.data.set(b.data, i * y.columns);
  matmul(tape, whole(x), flip(whole(w)), whole(y), true);
  return tape.record(y, [x, w, b], (g, gx, gw, gb) => {
    if (gx) matmul(tape, whole(y, g), whole(w), whole(x, gx), true);
    if (gw) matmul(tape, flip(whole(y, g)), whole(x), whole(w, gw), true);
    if (gb) for (let i = 0; i < g.length; i += gb.length) for (let j = 0; j < gb.length; j++) gb[j] += g[i + j];
  });
}

/** Every row shifted and scaled to mean 0 and variance 1.
 * @param {Tape} tape @param {Tensor} x @param {number} epsilon */
export function normalise(tape, x, epsilon) {
  const y = tape.tensor(x.rows, x.columns), scale = tape.arena.take(x.rows), n = x.columns;
  for (let i = 0; i < x.rows; i++) {
    const row = x.data.subarray(i * n, (i + 1) * n);
    let mean = 0, variance = 0;
    for (let j = 0; j < n; j++) mean += row[j] / n;
    for (let j = 0; j < n; j++) variance += (row[j] - mean) ** 2 / n;
    scale[i] = 1 / Math.sqrt(variance + epsilon);
    for (let j = 0; j < n; j++) y.data[i * n + j] = (row[j] - mean) * scale[i];
  }
  return tape.record(y, [x], (g, gx) => {
    // a normalised row can't move along (1, 1, ...) or along itself, so those parts of g do nothing
    for (let i = 0; i < x.rows; i++) {
      let ones = 0, itself = 0;
      for (let j = i * n; j < (i + 1) * n; j++) {
        ones += g[j] / n;
        itself += (g[j] * y.data[j]) / n;
      }
      for (let j = i * n; j < (i + 1) * n; j++) gx[j] += scale[i] * (g[j] - ones - itself * y.data[j]);
    }
  });
}

/** Column j times w[j], plus b[j]. @param {Tape} tape @param {Tensor} x @param {Tensor} w @param {Tensor} b */
export function scaleAndShift(tape, x, w, b) {
  const y = tape.tensor(x.rows, x.columns), n = x.columns;
  for (let i = 0; i < y.data.length; i += n) {
    for (let j = 0; j < n; j++) y.data[i + j] = x.data[i + j] * w.data[j] + b.data[j];
  }
  return tape.record(y, [x, w, b], (g, gx, gw, gb) => {
    for (let i = 0; i < g.length; i += n) {
      if (gx) for (let j = 0; j < n; j++) gx[i + j] += g[i + j] * w.data[j];
      if (gw) for (let j = 0; j < n; j++) gw[j] += g[i + j] * x.data[i + j];
      if (gb) for (let j = 0; j < n; j++) gb[j] += g[i + j];
    }
  });
}

/** x times the share of a standard normal below x.  The share is exact to 1.5e-7 (Abramowitz and Stegun 7.1.26).
 * @param {Tape} tape @param {Tensor} x */
export function gelu(tape, x) {
  const y = tape.tensor(x.rows, x.columns), slope = tape.arena.take(x.data.length), root = Math.sqrt(2 * Math.PI);
  for (let i = 0; i < y.data.length; i++) {
    const v = x.data[i], bell = Math.exp((-v * v) / 2), t = 1 / (1 + 0.3275911 * Math.SQRT1_2 * Math.abs(v));
    const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    const below = v < 0 ? (bell * series) / 2 : 1 - (bell * series) / 2;
    y.data[i] = v * below;
    slope[i] = below + (v * bell) / root;
  }
  return tape.record(y, [x], (g, gx) => {
    for (let i = 0; i < g.length; i++) gx[i] += g[i] * slope[i];
  });
}

/** softmax(q k^T / sqrt d) v for each clip and head.  qkv [clips * tokens, 3 D], the columns ordered (qkv, head, d).
 * @param {Tape} tape @param {Tensor} qkv @param {number} tokens  per clip @param {number} heads */
export function attention(tape, qkv, tokens, heads) {
  const width = qkv.columns / 3, d = width / heads, clips = qkv.rows / tokens, scale = 1 / Math.sqrt(d);
  const y = tape.tensor(qkv.rows, width), shares = tape.arena.take(clips * heads * tokens * tokens);
  const window = (values, clip, columns, from) => view(values, tokens, d, clip * tokens * columns + from, columns);
  /** Call visit(share, q, k, v, its part of `result`) for each clip and head; q, k and v are parts of `values`.
   * @param {Numbers} values @param {Numbers} result @param {(...views: import("./matmul.js").View[]) => void} visit */
  const eachHead = (values, result, visit) => {
    for (let clip = 0; clip < clips; clip++) {
      for (let head = 0; head < heads; head++) {
        const share = view(shares, tokens, tokens, (clip * heads + head) * tokens * tokens);
        const [q, k, v] = [0, 1, 2].map((part) => window(values, clip, 3 * width, part * width + head * d));
        visit(share, q, k, v, window(result, clip, width, head * d));
      }
    }
  };
  eachHead(qkv.data, y.data, (share, q, k, v, out) => {
    matmul(tape, q, flip(k), share);
    softmaxRows(share, scale);
    matmul(tape, share, v, out);
  });
  return tape.record(y, [qkv], (g, gx) => {
    const { top } = tape.arena, gs = tape.arena.take(tokens * tokens), gShare = view(gs, tokens, tokens);
    eachHead(qkv.data, g, (share, q, k, v, gOut) => {
      const into = (part) => ({ ...part, values: gx });
      matmul(tape, flip(share), gOut, into(v), true);
      matmul(tape, gOut, flip(v), gShare);
      softmaxBackward(share, gs, scale);
      matmul(tape, gShare, k, into(q), true);
      matmul(tape, flip(gShare), q, into(k), true);
    });
    tape.arena.top = top;
  });
}

/** Every row of x becomes softmax(scale * row). @param {import("./matmul.js").View} x @param {number} scale */
function softmaxRows({ values, start, rows, columns }, scale) {
  for (let i = start; i < start + rows * columns; i += columns) {
    let largest = -Infinity, sum = 0;
    for (let j = i; j < i + columns; j++) if (values[j] > largest) largest = values[j];
    for (let j = i; j < i + columns; j++) sum += values[j] = Math.exp((values[j] - largest) * scale);
    for (let j = i; j < i + columns; j++) values[j] /= sum;
  }
}

/** The gradient g of softmax's result becomes that of its input.
 * @param {import("./matmul.js").View} share @param {Numbers} g @param {number} scale */
function softmaxBackward({ values, start, rows, columns }, g, scale) {
  for (let i = 0; i < rows * columns; i += columns) {
    let mean = 0;
    for (let j = i; j < i + columns; j++) mean += values[start + j] * g[j];
    for (let j = i; j < i + columns; j++) g[j] = values[start + j] * (g[j] - mean) * scale;
  }
}

/** The rows of x that `ids` name; an id may come up several times.
 * @param {Tape} tape @param {Tensor} x @param {ArrayLike<number>} ids */
export function gather(tape, x, ids) {
  const y = tape.tensor(ids.length, x.columns), n = x.columns;
  for (let i = 0; i < ids.length; i++) y.data.set(x.data.subarray(ids[i] * n, (ids[i] + 1) * n), i * n);
  return tape.record(y, [x], (g, gx) => {
    for (let i = 0; i < ids.length; i++) {
      for (let j = 0; j < n; j++) gx[ids[i] * n + j] += g[i * n + j];
    }
  });
}

/** Clip by clip: the rows of x, then the rows of y.
 * @param {Tape} tape @param {Tensor} x @param {Tensor} y @param {number} clips */
export function join(tape, x, y, clips) {
  const z = tape.tensor(x.rows + y.rows, x.columns), own = x.data.length / clips, others = y.data.length / clips;
  for (let clip = 0; clip < clips; clip++) {
    const to = clip * (own + others);
    z.data.set(x.data.subarray(clip * own, (clip + 1) * own), to);
    z.data.set(y.data.subarray(clip * others, (clip + 1) * others), to + own);
  }
  return tape.record(z, [x, y], (g, gx, gy) => {
    for (let clip = 0; clip < clips; clip++) {
      const from = clip * (own + others);
      if (gx) for (let i = 0; i < own; i++) gx[clip * own + i] += g[from + i];
      if (gy) for (let i = 0; i < others; i++) gy[clip * others + i] += g[from + own + i];
    }
  });
}

/** Clip by clip, y[j] = sum over k of table[to[j], from[k]] x[k].  from, to: ids of the clip's rows of x and of y.
 * @param {Tape} tape @param {Tensor} table @param {Tensor} x @param {Int32Array} from @param {Int32Array} to
  * @param {number} clips */
export function mix(tape, table, x, from, to, clips) {
  const y = tape.tensor(to.length, x.columns), k = from.length / clips, m = to.length / clips, n = x.columns;
  const place = (clip, i) => // in the table, of entry i of a clip's share [m, k]
    to[clip * m + Math.floor(i / k)] * table.columns + from[clip * k + (i % k)];
  const share = view(tape.arena.take(m * k), m, k);
  const load = (clip) => {
    for (let i = 0; i < m * k; i++) share.values[i] = table.data[place(clip, i)];
  };
  for (let clip = 0; clip < clips; clip++) {
    load(clip);
    matmul(tape, share, view(x.data, k, n, clip * k * n), view(y.data, m, n, clip * m * n));
  }
  return tape.record(y, [table, x], (g, gTable, gx) => {
    for (let clip = 0; clip < clips; clip++) {
      load(clip);
      const gOut = view(g, m, n, clip * m * n);
      if (gx) matmul(tape, flip(share), gOut, view(gx, k, n, clip * k * n), true);
      matmul(tape, gOut, flip(view(x.data, k, n, clip * k * n)), share);
      if (gTable) for (let i = 0; i < m * k; i++) gTable[place(clip, i)] += share.values[i];
    }
  });
}

/** The mean of |x - y|, a single number. @param {Tape} tape @param {Tensor} x @param {Tensor} y */
export function meanDistance(tape, x, y) {
  const z = tape.tensor(1, 1), n = x.data.length;
  let sum = 0;
  for (let i = 0; i < n; i++) sum += Math.abs(x.data[i] - y.data[i]);
  z.data[0] = sum / n;
  return tape.record(z, [x, y], (g, gx, gy) => {
    for (let i = 0; i < n; i++) {
      const slope = (Math.sign(x.data[i] - y.data[i]) * g[0]) / n;
      if (gx) gx[i] += slope;
      if (gy) gy[i] -= slope;
    }
  });
}
