// Clips of real handwriting in motion, by the rules of minivjepa/data/digits.py: one digit moves at constant velocity
// in one of 8 directions over a dark noisy frame and wraps around at the edges.  It starts anywhere, whatever its
// direction; otherwise the first frame would give the direction away.

import { grid } from "./arms.js";
import { normal, stream } from "./random.js";
import { TRAIN, VALIDATION } from "../../data/digits.js";

/** @typedef {import("./arms.js").Geometry} Geometry
 *  @typedef {object} Factors  what is in a clip
 *  @property {ArrayLike<number>} image  8 x 8, from 0 to 1
 *  @property {number} digit  0 to 9
 *  @property {number} direction  0 to 7, multiples of 45 degrees from rightwards, clockwise on the screen
 *  @property {number} y  top edge of the image in the first frame, as a share of the frame
 *  @property {number} x  left edge
 *  @property {number[]} color
 *  @property {number} speed  pixels a frame, if a frame were 32 pixels high */

export const DIRECTIONS = 8;
const CELLS = 8, DIGIT = 20, NOISE = 0.2, MEAN = 0.15, STD = 0.3; // DIGIT: side of the image in a frame of 32 pixels

const unpacked = (split) => split.map((image) => Float32Array.from(image, (level) => parseInt(level, 17) / 16));
const IMAGES = { train: unpacked(TRAIN), validation: unpacked(VALIDATION) };

/** Draw what is in a clip, everything independently of everything else.
 * @param {() => number} uniform @param {"train" | "validation"} split @returns {Factors} */
export function draw(uniform, split) {
  const images = IMAGES[split], which = Math.floor(uniform() * images.length);
  return {
    ...{ image: images[which], digit: Math.floor((which * 10) / images.length) },
    ...{ direction: Math.floor(uniform() * DIRECTIONS), y: uniform(), x: uniform() },
    ...{ color: [0, 1, 2].map(() => 0.3 + 0.7 * uniform()), speed: 0.7 + 0.8 * uniform() },
  };
}

/** Paint a clip over the noise in `pixels` [N, channels * tubelet * patch * patch], and normalise it.
 * @param {Geometry} g @param {Factors} factors @param {Float32Array} pixels */
export function paint(g, { image, direction, y, x, color, speed }, pixels) {
  const place = placeOf(g), angle = (direction * 2 * Math.PI) / DIRECTIONS, step = (speed * g.side) / 32;
  for (let frame = 0; frame < g.frames; frame++) {
    const rows = cells(g.side, y * g.side + Math.sin(angle) * step * frame);
    const columns = cells(g.side, x * g.side + Math.cos(angle) * step * frame);
    for (let i = 0; i < g.side; i++) {
      for (let j = 0; j < g.side; j++) {
        const ink = interpolated(image, rows[i], columns[j]);
        for (let k = 0; ink && k < g.channels; k++) pixels[place(k, frame, i, j)] += color[k] * ink;
      }
    }
  }
  for (let i = 0; i < pixels.length; i++) pixels[i] = (pixels[i] - MEAN) / STD;
}

/** Where each pixel along one axis lies in the image, in cells: 0 is the center of the first cell.
 * @param {number} side @param {number} corner  where the image begins */
function cells(side, corner) {
  const cell = (DIGIT * side) / 32 / CELLS;
  return Float64Array.from({ length: side }, (_, pixel) => {
    const apart = pixel + 0.5 - corner + cell / 2; // from half a cell before the image, on a ring: edges are joined
    return (apart - Math.floor(apart / side) * side) / cell - 1;
  });
}

/** The image between cell centers, 0 outside. @param {ArrayLike<number>} image @param {number} y @param {number} x */
function interpolated(image, y, x) {
  if (y >= CELLS || x >= CELLS) return 0;
  const r = Math.floor(y), c = Math.floor(x), down = y - r, right = x - c;
  const at = (row, column) =>
    row < 0 || column < 0 || row >= CELLS || column >= CELLS ? 0 : image[row * CELLS + column];
  const inRow = (row) => at(row, c) * (1 - right) + at(row, c + 1) * right;
  return inRow(r) * (1 - down) + inRow(r + 1) * down;
}

/** Where a pixel is among the tubelets: tubelets in the order t, h, w; in each, channel, frame, row, column.
 * @param {Geometry} g @returns {(channel: number, frame: number, row: number, column: number) => number} */
function placeOf(g) {
  const { h, w } = grid(g), p = g.patch, d = g.tubelet;
  return (channel, frame, row, column) => {
    const tubelet = (Math.floor(frame / d) * h + Math.floor(row / p)) * w + Math.floor(column / p);
    return (((tubelet * g.channels + channel) * d + (frame % d)) * p + (row % p)) * p + (column % p);
  };
}

/** A table of standard normal numbers; looking one up is faster than drawing one. */
const NORMAL = (() => {
  const uniform = stream("table");
  return Float32Array.from({ length: 2 ** 16 }, () => normal(uniform));
})();

/** Fill an array with noise; each random number gives two places in the table.
 * @param {Float32Array} pixels  an even number of them @param {() => number} uniform */
function fillWithNoise(pixels, uniform) {
  for (let i = 0; i < pixels.length; i += 2) {
    const bits = uniform() * 2 ** 32;
    pixels[i] = NOISE * NORMAL[bits >>> 16];
    pixels[i + 1] = NOISE * NORMAL[bits & 0xffff];
  }
}

/** `count` clips, one after the other, and what is in them.  They depend only on the arguments.
 * @param {Geometry} g @param {"train" | "validation"} split @param {number} seed @param {number} step
  * @param {number} count */
export function clips(g, split, seed, step, count) {
  const all = Array.from({ length: count }, (_, i) => draw(stream(split, seed, step, i), split));
  const pixels = new Float32Array(count * g.channels * g.frames * g.side ** 2);
  all.forEach((factors, i) => {
    const clip = pixels.subarray((i * pixels.length) / count, ((i + 1) * pixels.length) / count);
    fillWithNoise(clip, stream(`${split} noise`, seed, step, i));
    paint(g, factors, clip);
  });
  return { pixels, factors: all };
}

/** A clip as a screen shows it, [frames, side, side, RGBA]. @param {Geometry} g @param {Float32Array} tubelets */
export function pictures(g, tubelets) {
  const place = placeOf(g), bytes = new Uint8ClampedArray(g.frames * g.side ** 2 * 4).fill(255);
  let to = 0;
  for (let frame = 0; frame < g.frames; frame++) {
    for (let i = 0; i < g.side; i++) {
      for (let j = 0; j < g.side; j++, to += 4) {
        for (let k = 0; k < 3; k++) bytes[to + k] = 255 * (tubelets[place(k, frame, i, j)] * STD + MEAN);
      }
    }
  }
  return bytes;
}
