// The matrix product's inner loops, in AssemblyScript: c[i, j] (+)= sum over k of a[i, k] * b[k, j].
// a, b, c: addresses in bytes; the strides are in numbers.  `down` leads to the next row, `right` to the next column;
// in b and c the next column is the next number.  `npm run wasm` makes gemm.wasm from this file.

export function gemm(
  a: usize, aDown: i32, aRight: i32, b: usize, bDown: i32, c: usize, cDown: i32,
  rows: i32, columns: i32, inner: i32, add: i32
): void {
  const downA = <usize>aDown << 2, rightA = <usize>aRight << 2, downB = <usize>bDown << 2, downC = <usize>cDown << 2;
  let i = 0;
  for (; i + 4 <= rows; i += 4, a += 4 * downA, c += 4 * downC) {
    let j = 0;
    for (; j + 8 <= columns; j += 8) {
      fourByEight(a, downA, rightA, b + (<usize>j << 2), downB, c + (<usize>j << 2), downC, inner, add);
    }
    for (let row: usize = 0; row < 4; row++) {
      rest(a + row * downA, rightA, b, downB, c + row * downC, j, columns, inner, add);
    }
  }
  for (; i < rows; i++, a += downA, c += downC) rest(a, rightA, b, downB, c, 0, columns, inner, add);
}

// Four rows of a times eight columns of b.  The 32 sums stay in eight registers of four numbers each.
// @ts-ignore: decorator
@inline
function fourByEight(
  a: usize, downA: usize, rightA: usize, b: usize, downB: usize, c: usize, downC: usize, inner: i32, add: i32
): void {
  const c1 = c + downC, c2 = c1 + downC, c3 = c2 + downC;
  let l0 = f32x4.splat(0), l1 = l0, l2 = l0, l3 = l0, r0 = l0, r1 = l0, r2 = l0, r3 = l0; // left and right halves
  if (add) {
    l0 = v128.load(c); l1 = v128.load(c1); l2 = v128.load(c2); l3 = v128.load(c3);
    r0 = v128.load(c, 16); r1 = v128.load(c1, 16); r2 = v128.load(c2, 16); r3 = v128.load(c3, 16);
  }
  const a1 = downA, a2 = a1 + downA, a3 = a2 + downA;
  for (let k = 0; k < inner; k++, a += rightA, b += downB) {
    const left = v128.load(b), right = v128.load(b, 16);
    let x = v128.load32_splat(a);
    l0 = f32x4.add(l0, f32x4.mul(x, left)); r0 = f32x4.add(r0, f32x4.mul(x, right));
    x = v128.load32_splat(a + a1);
    l1 = f32x4.add(l1, f32x4.mul(x, left)); r1 = f32x4.add(r1, f32x4.mul(x, right));
    x = v128.load32_splat(a + a2);
    l2 = f32x4.add(l2, f32x4.mul(x, left)); r2 = f32x4.add(r2, f32x4.mul(x, right));
    x = v128.load32_splat(a + a3);
    l3 = f32x4.add(l3, f32x4.mul(x, left)); r3 = f32x4.add(r3, f32x4.mul(x, right));
  }
  v128.store(c, l0); v128.store(c1, l1); v128.store(c2, l2); v128.store(c3, l3);
  v128.store(c, r0, 16); v128.store(c1, r1, 16); v128.store(c2, r2, 16); v128.store(c3, r3, 16);
}

// What is left of one row of c, from column j on: four columns at a time, then one at a time.
function rest(
  a: usize, rightA: usize, b: usize, downB: usize, c: usize, j: i32, columns: i32, inner: i32, add: i32
): void {
  for (; j + 4 <= columns; j += 4) {
    const to = c + (<usize>j << 2);
    let sums = add ? v128.load(to) : f32x4.splat(0);
    let x = a, y = b + (<usize>j << 2);
    for (let k = 0; k < inner; k++, x += rightA, y += downB) {
      sums = f32x4.add(sums, f32x4.mul(v128.load32_splat(x), v128.load(y)));
    }
    v128.store(to, sums);
  }
  for (; j < columns; j++) {
    const to = c + (<usize>j << 2);
    let sum: f32 = add ? load<f32>(to) : 0;
    let x = a, y = b + (<usize>j << 2);
    for (let k = 0; k < inner; k++, x += rightA, y += downB) sum += load<f32>(x) * load<f32>(y);
    store<f32>(to, sum);
  }
}
