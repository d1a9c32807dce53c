// The four charts.  Each is one canvas: recorded curves thin and gray behind, the live run before them, flips as upright lines.
import { brushOn, ink } from "./canvas.js";

const LEFT = 58,
  RIGHT = 8,
  TOP = 10,
  BOTTOM = 24;

/**
 * @typedef {object} Chart
 * @property {number} steps  length of the x-axis
 * @property {number[]} ticks  on the y-axis; the first and the last are its ends
 * @property {boolean} [log]  whether the y-axis is logarithmic
 * @property {(value: number) => string} label
 * @property {{value: number, words: string, under?: boolean}[]} [levels]  dotted lines
 * @property {{below: number, words: string}} [zone]  shaded
 * @property {{x: number[], y: number[]}[]} ghosts  recorded curves
 * @property {{steps: number[], values: number[], color: string, dashed?: boolean}[]} lines
 * @property {{step: number, words: string}[]} flips
 * @property {boolean} [words]  whether to say what was flipped
 */

/** @param {HTMLCanvasElement} canvas @param {Chart} chart */
export function drawChart(canvas, chart) {
  const { brush, width, height } = brushOn(canvas),
    low = chart.ticks[0],
    high = chart.ticks.at(-1);
  const along = chart.log ? v => Math.log(v / low) / Math.log(high / low) : v => (v - low) / (high - low);
  const x = step => LEFT + (step / chart.steps) * (width - LEFT - RIGHT);
  const y = value =>
    TOP + (1 - Math.min(Math.max(along(Math.max(value, chart.log ? low : -Infinity)), 0), 1)) * (height - TOP - BOTTOM);
  drawAxes(brush, chart, x, y, width, height);
  brush.save();
  brush.beginPath();
  brush.rect(LEFT, 0, width - LEFT - RIGHT, height);
  brush.clip();
  for (const ghost of chart.ghosts) trace(brush, ghost.x.map(x), ghost.y.map(y), ink("recorded"), 1.25);
  brush.restore();
  chart.flips.forEach(({ step, words }, i) =>
    drawFlip(brush, x(step), chart.words ? words : "", TOP + 12 + 16 * (i % 4), width, height),
  );
  for (const { steps, values, color, dashed } of chart.lines) {
    brush.setLineDash(dashed ? [7, 4] : []);
    trace(brush, steps.map(x), values.map(y), ink(color), 2.5);
    brush.setLineDash([]);
    if (values.length) dot(brush, x(steps.at(-1)), y(values.at(-1)), ink(color));
  }
}

function drawAxes(brush, { ticks, label, levels = [], zone, steps }, x, y, width, height) {
  if (zone) {
    brush.fillStyle = ink("warn");
    brush.fillRect(LEFT, y(zone.below), width - LEFT - RIGHT, height - BOTTOM - y(zone.below));
    write(brush, zone.words, width - RIGHT - 6, y(zone.below) + 18, "right");
  }
  brush.lineWidth = 1;
  for (const tick of ticks) {
    brush.strokeStyle = ink("line");
    trace(brush, [LEFT, width - RIGHT], [y(tick), y(tick)], ink("line"), 1);
    write(brush, label(tick), LEFT - 6, y(tick) + 5, "right");
  }
  write(brush, "0", LEFT, height - 6, "left");
  write(brush, `${steps} steps`, width - RIGHT, height - 6, "right");
  brush.setLineDash([2, 3]);
  for (const { value, words, under } of levels) {
    trace(brush, [LEFT, width - RIGHT], [y(value), y(value)], ink("soft"), 1.25);
    write(brush, words, width - RIGHT, y(value) + (under ? 15 : -5), "right");
  }
  brush.setLineDash([]);
}

function drawFlip(brush, at, words, y, width, height) {
  const left = at > width * 0.6;
  trace(brush, [at, at], [TOP, height - BOTTOM], ink("gradient"), 1.25);
  brush.fillStyle = ink("gradient");
  brush.textAlign = left ? "right" : "left";
  brush.fillText(words, at + (left ? -5 : 5), y);
}

function trace(brush, xs, ys, color, thickness) {
  brush.strokeStyle = color;
  brush.lineWidth = thickness;
  brush.lineJoin = "round";
  brush.beginPath();
  xs.forEach((value, i) => brush.lineTo(value, ys[i]));
  brush.stroke();
}

function dot(brush, x, y, color) {
  brush.fillStyle = color;
  brush.beginPath();
  brush.arc(x, y, 4, 0, 2 * Math.PI);
  brush.fill();
}

function write(brush, words, x, y, align) {
  brush.fillStyle = ink("soft");
  brush.textAlign = align;
  brush.fillText(words, x, y);
}
