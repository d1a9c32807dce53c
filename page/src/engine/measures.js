// What collapse looks like in numbers.  The definitions of minivjepa/collapse.py and evaluation/probes.py.

import { DIRECTIONS } from "./clips.js";

/** Std across clips at a fixed position, mean over positions and features.
 * @param {ArrayLike<number>} h  one row per clip, all its tokens side by side @param {number} clips */
export function featureStd(h, clips) {
  const width = h.length / clips;
  let total = 0;
  for (let j = 0; j < width; j++) {
    let mean = 0, variance = 0;
    for (let i = j; i < h.length; i += width) mean += h[i] / clips;
    for (let i = j; i < h.length; i += width) variance += (h[i] - mean) ** 2 / clips;
    total += Math.sqrt(variance) / width;
  }
  return total;
}

/** The mean over a clip's tokens: [clips * N, D] -> [clips, D].
 * @param {ArrayLike<number>} h @param {number} clips @param {number} dim */
export function pool(h, clips, dim) {
  const pooled = new Float64Array(clips * dim), width = h.length / clips;
  for (let clip = 0; clip < clips; clip++) {
    for (let i = 0; i < width; i += dim) {
      for (let j = 0; j < dim; j++) pooled[clip * dim + j] += (h[clip * width + i + j] * dim) / width;
    }
  }
  return pooled;
}

/** Column means [dim], and the rows without them.  @param {Float64Array} rows @param {number} dim */
function centered(rows, dim) {
  const mean = new Float64Array(dim), n = rows.length / dim;
  rows.forEach((value, i) => (mean[i % dim] += value / n));
  return { mean, rows: rows.map((value, i) => value - mean[i % dim]) };
}

/** a^T b / rows, [columns of a, columns of b].
 * @param {Float64Array} a @param {number} n @param {Float64Array} b @param {number} m */
function products(a, n, b, m) {
  const sums = new Float64Array(n * m), rows = a.length / n;
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) sums[i * m + j] += (a[r * n + i] * b[r * m + j]) / rows;
  }
  return sums;
}

/** The principal axes of pooled features: variances in descending order, and the axes, one row each.
 * @param {Float64Array} pooled @param {number} dim */
export function principalAxes(pooled, dim) {
  const { rows } = centered(pooled, dim);
  return eigen(products(rows, dim, rows, dim), dim);
}

/** Eigenvalues, descending, and unit eigenvectors (rows) of a symmetric matrix, by Jacobi's rotations: each makes one
 * element off the diagonal 0, until all are.  @param {Float64Array} matrix  is used up @param {number} n */
export function eigen(matrix, n) {
  const a = matrix, v = new Float64Array(n * n).map((_, i) => (i % (n + 1) ? 0 : 1));
  const turn = (x, i, j, cos, sin) => {
    const before = x[i];
    x[i] = cos * before - sin * x[j];
    x[j] = sin * before + cos * x[j];
  };
  for (let sweep = 0, off = Infinity; sweep < 30 && off > 1e-30; sweep++) {
    let diagonal = 1e-300;
    off = 0;
    for (let p = 0; p < n; p++) {
      diagonal += a[p * n + p] ** 2;
      for (let q = p + 1; q < n; q++) {
        off += a[p * n + q] ** 2;
        if (a[p * n + q] === 0) continue;
        const angle = Math.atan2(2 * a[p * n + q], a[q * n + q] - a[p * n + p]) / 2;
        const cos = Math.cos(angle), sin = Math.sin(angle);
        for (let k = 0; k < n; k++) turn(a, p * n + k, q * n + k, cos, sin);
        for (let k = 0; k < n; k++) turn(a, k * n + p, k * n + q, cos, sin);
        for (let k = 0; k < n; k++) turn(v, p * n + k, q * n + k, cos, sin);
      }
    }
    off /= diagonal;
  }
  const order = [...Array(n).keys()].sort((i, j) => a[j * n + j] - a[i * n + i]);
  const vectors = order.map((i) => v.subarray(i * n, (i + 1) * n));
  return { values: order.map((i) => Math.max(0, a[i * n + i])), vectors };
}

/** exp of the entropy of the principal axes' shares in the spread: from 1 to D.  It ignores scale.
 * @param {number[]} variances */
export function effectiveRank(variances) {
  const spreads = variances.map(Math.sqrt), sum = spreads.reduce((a, b) => a + b, 0) || 1;
  const shares = spreads.map((spread) => spread / sum + 1e-7);
  return Math.exp(-shares.reduce((entropy, share) => entropy + share * Math.log(share), 0));
}

/** The first `count` rows on the two widest axes, unscaled: x, y of each, [count * 2].
 * @param {Float64Array} pooled @param {Float64Array[]} axes @param {number} count */
export function onPlane(pooled, axes, count) {
  const dim = axes[0].length, { mean } = centered(pooled, dim);
  const along = (row, axis) =>
    axis.reduce((sum, value, j) => sum + value * (pooled[row * dim + j] - mean[j]), 0);
  return Float32Array.from({ length: 2 * count }, (_, i) => along(i >> 1, axes[i % 2]));
}

/** Points turned, and mirrored if need be, to be as near as possible to where they were before: principal axes have no
 * natural orientation.  @param {Float32Array} points @param {Float32Array} before */
export function aligned(points, before) {
  let [xx, xy, yx, yy] = [0, 0, 0, 0];
  for (let i = 0; i < points.length; i += 2) {
    xx += points[i] * before[i];
    xy += points[i] * before[i + 1];
    yx += points[i + 1] * before[i];
    yy += points[i + 1] * before[i + 1];
  }
  const mirror = Math.hypot(xx - yy, xy + yx) > Math.hypot(xx + yy, xy - yx) ? -1 : 1;
  const angle = Math.atan2(xy - mirror * yx, xx + mirror * yy), cos = Math.cos(angle), sin = Math.sin(angle);
  return points.map((_, i) => {
    const x = points[i - (i % 2)], y = mirror * points[i - (i % 2) + 1];
    return i % 2 ? sin * x + cos * y : cos * x - sin * y;
  });
}

/** A linear probe: ridge regression onto the directions of the first half of the clips; its accuracy on the other half.
 * Features are standardised on the first half. @param {Float64Array} pooled @param {ArrayLike<number>} directions
  * @param {number} dim */
export function probe(pooled, directions, dim, alpha = 10) {
  const half = pooled.length / dim / 2, { mean, rows } = centered(pooled.slice(0, half * dim), dim);
  const scale = centered(rows.map((value) => value ** 2), dim).mean.map((variance) => Math.sqrt(variance) || 1);
  const x = rows.map((value, i) => value / scale[i % dim]);
  const y = new Float64Array(half * DIRECTIONS).fill(-1);
  for (let i = 0; i < half; i++) y[i * DIRECTIONS + directions[i]] = 1;
  const labels = centered(y, DIRECTIONS), squares = products(x, dim, x, dim);
  for (let i = 0; i < dim; i++) squares[i * dim + i] += alpha / half;
  const weights = solve(squares, products(x, dim, labels.rows, DIRECTIONS), dim);
  let right = 0;
  for (let row = half; row < 2 * half; row++) {
    const scores = Array.from(labels.mean);
    for (let j = 0; j < dim; j++) {
      const value = (pooled[row * dim + j] - mean[j]) / scale[j];
      for (let k = 0; k < DIRECTIONS; k++) scores[k] += value * weights[j * DIRECTIONS + k];
    }
    if (scores.indexOf(Math.max(...scores)) === directions[row]) right++;
  }
  return right / half;
}

/** x with a x = b, for a symmetric positive a [n, n], by elimination; both are used up.
 * @param {Float64Array} a @param {Float64Array} b @param {number} n */
function solve(a, b, n) {
  const m = b.length / n;
  for (let p = 0; p < n; p++) {
    for (let i = 0; i < n; i++) {
      const factor = a[i * n + p] / a[p * n + p];
      if (i === p || factor === 0) continue;
      for (let j = p; j < n; j++) a[i * n + j] -= factor * a[p * n + j];
      for (let j = 0; j < m; j++) b[i * m + j] -= factor * b[p * m + j];
    }
  }
  return b.map((value, i) => value / a[Math.floor(i / m) * (n + 1)]);
}
