// The cloud of features: one arrow a clip, which points where the clip's digit moves and has that direction's color.
import { brushOn, ink } from "./canvas.js";
import { farthest } from "./state.js";

const DUST = 0.08; // a cloud smaller than this share of the frame is also shown under a magnifier

/** The color of a direction, on a wheel.  @param {number} direction  0 to 7, clockwise from rightwards */
export const hue = direction =>
  `oklch(${matchMedia("(prefers-color-scheme: dark)").matches ? 0.76 : 0.6} 0.16 ${20 + direction * 45})`;

/**
 * @param {HTMLCanvasElement} canvas @param {Float32Array | null} points  x, y of each clip @param {Uint8Array} directions
 * @param {number} radius  what reaches the edge: the same for a whole run
 */
export function drawCloud(canvas, points, directions, radius) {
  const { brush, width } = brushOn(canvas),
    middle = width / 2;
  brush.strokeStyle = ink("line");
  brush.strokeRect(0.5, 0.5, width - 1, width - 1);
  if (!points) return;
  drawCompass(brush, 25, 25);
  const scale = middle / radius,
    most = farthest(points);
  drawArrows(brush, points, directions, middle, middle, scale, middle - 6);
  if (most < DUST * radius) magnify(brush, points, directions, width, most, scale);
}

function drawArrows(brush, points, directions, x0, y0, scale, edge) {
  for (let i = 0; i < directions.length; i++) {
    const x = points[2 * i] * scale,
      y = -points[2 * i + 1] * scale,
      shrink = Math.min(1, edge / Math.max(Math.abs(x), Math.abs(y)));
    arrow(brush, x0 + x * shrink, y0 + y * shrink, directions[i], 6);
  }
}

function arrow(brush, x, y, direction, size) {
  const angle = (direction * Math.PI) / 4,
    along = Math.cos(angle) * size,
    down = Math.sin(angle) * size;
  brush.fillStyle = hue(direction);
  brush.beginPath();
  brush.moveTo(x + along, y + down);
  brush.lineTo(x - along * 0.8 - down * 0.6, y - down * 0.8 + along * 0.6);
  brush.lineTo(x - along * 0.8 + down * 0.6, y - down * 0.8 - along * 0.6);
  brush.fill();
}

function drawCompass(brush, x, y) {
  for (let direction = 0; direction < 8; direction++) {
    const angle = (direction * Math.PI) / 4;
    arrow(brush, x + 14 * Math.cos(angle), y + 14 * Math.sin(angle), direction, 4.5);
  }
}

function magnify(brush, points, directions, width, most, scale) {
  const size = width * 0.23,
    at = width - size - 4,
    factor = most > 0 ? (0.75 * size) / (most * scale) : 1;
  brush.strokeStyle = ink("soft");
  brush.fillStyle = ink("paper");
  brush.lineWidth = 1;
  for (const [x, y] of [
    [at + 0.7 * size, at - 0.7 * size],
    [at - 0.7 * size, at + 0.7 * size],
  ]) {
    brush.beginPath();
    brush.moveTo(width / 2, width / 2);
    brush.lineTo(x, y);
    brush.stroke();
  }
  brush.beginPath();
  brush.arc(at, at, size, 0, 2 * Math.PI);
  brush.fill();
  brush.stroke();
  if (most > 0) drawArrows(brush, points, directions, at, at, scale * factor, size);
  brush.fillStyle = ink("ink");
  brush.textAlign = "left";
  brush.fillText(most > 0 ? `× ${Number(factor.toPrecision(2))}` : "all alike", 8, width - 10);
}
