// Random numbers that depend on where they are used: stream("clips", seed, step) always starts the same sequence.

/** Mix two 32-bit words into one; every bit of the result depends on every bit of both.
 * @param {number} a @param {number} b */
function mix(a, b) {
  let x = Math.imul(a ^ b, 0x85ebca6b) + 0x9e3779b9;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
}

/** A function that returns the next number, uniform on [0, 1) in 2^32 steps.  The generator is Mulberry32.
 * @param {string} name @param {number[]} numbers @returns {() => number} */
export function stream(name, ...numbers) {
  let state = 0;
  for (const letter of name) state = mix(state, letter.charCodeAt(0));
  for (const number of numbers) state = mix(state, number);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A standard normal number from two uniform ones (Box and Muller).  @param {() => number} uniform */
export function normal(uniform) {
  const length = Math.sqrt(-2 * Math.log(1 - uniform()));
  return length * Math.cos(2 * Math.PI * uniform());
}
