// Matrix products, in WebAssembly where the browser has it (gemm.ts), and else in plain JavaScript.

/** @typedef {Float32Array | Float64Array} Numbers */

/** A matrix inside an array: element (i, j) is values[start + i * down + j * right].
 * @typedef {{values: Numbers, rows: number, columns: number, start: number, down: number, right: number}} View */

/** c = a b, or c += a b if `add` is 1; b and c have right = 1.
 * @typedef {(a: View, b: View, c: View, add: number) => void} Kernel */

/** @param {Numbers} values @param {number} rows @param {number} columns @returns {View} */
export function view(values, rows, columns, start = 0, down = columns) {
  return { values, rows, columns, start, down, right: 1 };
}

/** The transpose: the same numbers, read in the other order. @param {View} a @returns {View} */
export function flip({ values, rows, columns, start, down, right }) {
  return { values, rows: columns, columns: rows, start, down: right, right: down };
}

/** c = a b, or c += a b.  c must not be flipped.
 * @param {import("./tensor.js").Tape} tape @param {View} a @param {View} b @param {View} c @param {boolean} add */
export function matmul(tape, a, b, c, add = false) {
  const { top } = tape.arena;
  tape.kernel(a, b.right === 1 ? b : copied(tape, b), c, add ? 1 : 0);
  tape.arena.top = top; // the copy is no longer needed
}

/** The same matrix with neighbors in a row next to each other.
 * @param {import("./tensor.js").Tape} tape @param {View} a */
function copied(tape, { values, rows, columns, start, down, right }) {
  const copy = tape.arena.take(rows * columns);
  for (let i = 0, to = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) copy[to++] = values[start + i * down + j * right];
  }
  return view(copy, rows, columns);
}

/** The kernel in plain JavaScript: four rows of b at once, so that c is read and written a quarter as often.
 * @type {Kernel} */
export function plain(a, b, c, add) {
  const A = a.values, B = b.values, C = c.values, n = c.columns, inner = a.columns;
  for (let i = 0; i < c.rows; i++) {
    const row = c.start + i * c.down;
    if (!add) C.fill(0, row, row + n);
    let from = a.start + i * a.down, k = 0;
    for (; k + 4 <= inner; k += 4, from += 4 * a.right) {
      const a0 = A[from], a1 = A[from + a.right], a2 = A[from + 2 * a.right], a3 = A[from + 3 * a.right];
      const b0 = b.start + k * b.down, b1 = b0 + b.down, b2 = b1 + b.down, b3 = b2 + b.down;
      for (let j = 0; j < n; j++) C[row + j] += a0 * B[b0 + j] + a1 * B[b1 + j] + a2 * B[b2 + j] + a3 * B[b3 + j];
    }
    for (; k < inner; k++, from += a.right) {
      for (let j = 0; j < n; j++) C[row + j] += A[from] * B[b.start + k * b.down + j];
    }
  }
}

/** The kernel in WebAssembly, for 32-bit numbers in this memory; plain JavaScript where that's missing or forbidden.
 * @param {Uint8Array | null} bytes @param {WebAssembly.Memory | null} memory @returns {Kernel} */
export function kernelFrom(bytes, memory) {
  if (!bytes || !memory) return plain;
  /** @type {Function} */
  let gemm;
  try {
    const module = new WebAssembly.Module(/** @type {BufferSource} */ (bytes));
    gemm = /** @type {Function} */ (new WebAssembly.Instance(module, { env: { memory } }).exports.gemm);
  } catch {
    return plain; // no SIMD, or a page that forbids WebAssembly
  }
  const at = (x) => x.values.byteOffset + 4 * x.start;
  return (a, b, c, add) =>
    gemm(at(a), a.down, a.right, at(b), b.down, at(c), c.down, c.rows, c.columns, a.columns, add);
}
