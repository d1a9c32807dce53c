// The clip that plays, and the strip of its time steps: drag over either to hide tubelets from the encoder.
import { brushOn, ink } from "./canvas.js";
import { grid } from "../engine/arms.js";

const GAP = 6,
  PACE = 160; // pixels between time steps; milliseconds a frame

export class Painter {
  /**
   * @param {HTMLCanvasElement} clip  dragging over it hides a patch at all times: a tube
   * @param {HTMLCanvasElement} strip  dragging over it hides single tubelets
   * @param {(hidden: "future" | number[]) => void} painted  called when a stroke ends
   * @param {(words: string) => void} refused  called when a stroke would hide all or nothing
   */
  constructor(clip, strip, painted, refused) {
    Object.assign(this, {
      clip,
      strip,
      painted,
      refused,
      frame: 0,
      cursor: 0,
      hidden: new Set(),
      film: null,
      stroke: null,
      timer: 0,
    });
    this.listen(clip, event => this.tubeUnder(event));
    this.listen(strip, event => this.tubeletUnder(event));
    strip.addEventListener("keydown", event => this.key(event));
    for (const change of ["focus", "blur"]) strip.addEventListener(change, () => this.draw());
  }

  /** @param {import("../engine/arms.js").Geometry} geometry @param {"future" | number[]} hidden */
  set(geometry, hidden) {
    this.geometry = geometry;
    this.shape = grid(geometry);
    this.cursor = Math.min(this.cursor, this.shape.tokens - 1);
    this.hidden = new Set(hidden === "future" ? this.future() : hidden);
    this.draw();
  }

  /** The tubelets of the second half. */
  future() {
    const { t, h, w, tokens } = this.shape,
      first = Math.ceil(t / 2) * h * w;
    return Array.from({ length: tokens - first }, (_, i) => first + i);
  }

  /** Half of the tubelets, drawn by chance. */
  random() {
    const ids = Array.from({ length: this.shape.tokens }, (_, i) => i);
    for (let i = ids.length - 1; i > 0; i--) {
      const j = Math.floor(Math.random() * (i + 1));
      [ids[i], ids[j]] = [ids[j], ids[i]];
    }
    return ids.slice(0, ids.length / 2).sort((a, b) => a - b);
  }

  /** What is hidden, as the settings say it. */
  value() {
    const ids = [...this.hidden].sort((a, b) => a - b);
    return String(ids) === String(this.future()) ? "future" : ids;
  }

  /** @param {Uint8ClampedArray} frames  RGBA of all frames */
  show(frames) {
    const { side, frames: count } = this.geometry;
    this.film = document.createElement("canvas");
    [this.film.width, this.film.height] = [side, side * count];
    this.film.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(frames), side, side * count), 0, 0);
    this.draw();
  }

  /** Run or stop the clip.  @param {boolean} on */
  play(on) {
    clearInterval(this.timer);
    this.timer = on
      ? setInterval(() => {
          this.frame = (this.frame + 1) % this.geometry.frames;
          this.draw();
        }, PACE)
      : 0;
  }

  listen(canvas, under) {
    canvas.addEventListener("pointerdown", event => {
      if (!this.shape) return;
      canvas.setPointerCapture(event.pointerId);
      const ids = under(event);
      this.stroke = { under, hide: !ids.every(id => this.hidden.has(id)) };
      this.paint(ids, this.stroke.hide);
    });
    canvas.addEventListener("pointermove", event => {
      if (this.stroke?.under === under) this.paint(under(event), this.stroke.hide);
    });
    for (const end of ["pointerup", "pointercancel"])
      canvas.addEventListener(end, () => {
        if (this.stroke) this.painted(this.value());
        this.stroke = null;
      });
  }

  paint(ids, hide) {
    const next = new Set(this.hidden);
    for (const id of ids) hide ? next.add(id) : next.delete(id);
    if (next.size === 0 || next.size === this.shape.tokens) return this.refused("Hide some tubelets, and show some.");
    this.hidden = next;
    this.draw();
  }

  /** Column and row under the pointer, on a canvas that shows `across` patches side by side. */
  place(event, canvas, from, length) {
    const box = canvas.getBoundingClientRect(),
      { h, w } = this.shape;
    const inside = (value, size) => Math.min(Math.max(Math.floor(value), 0), size - 1);
    return (
      inside(((event.clientY - box.top) / box.height) * h, h) * w + inside(((event.clientX - box.left - from) / length) * w, w)
    );
  }

  tubeUnder(event) {
    const { t, h, w } = this.shape,
      patch = this.place(event, this.clip, 0, this.clip.clientWidth);
    return Array.from({ length: t }, (_, k) => k * h * w + patch);
  }

  tubeletUnder(event) {
    const { t, h, w } = this.shape,
      size = this.size(),
      x = event.clientX - this.strip.getBoundingClientRect().left;
    const k = Math.min(Math.max(Math.floor(x / (size + GAP)), 0), t - 1);
    this.cursor = k * h * w + this.place(event, this.strip, k * (size + GAP), size);
    return [this.cursor];
  }

  key(event) {
    const { t, h, w } = this.shape,
      k = Math.floor(this.cursor / (h * w)),
      row = Math.floor(this.cursor / w) % h;
    let along = k * w + (this.cursor % w),
      down = row; // columns are counted through all time steps
    if (event.key === "ArrowLeft") along = Math.max(along - 1, 0);
    else if (event.key === "ArrowRight") along = Math.min(along + 1, t * w - 1);
    else if (event.key === "ArrowUp") down = Math.max(row - 1, 0);
    else if (event.key === "ArrowDown") down = Math.min(row + 1, h - 1);
    else if (event.key === " " || event.key === "Enter") {
      this.paint([this.cursor], !this.hidden.has(this.cursor));
      this.painted(this.value());
    } else return;
    event.preventDefault();
    event.stopPropagation();
    this.cursor = Math.floor(along / w) * h * w + down * w + (along % w);
    this.draw();
  }

  size() {
    return (this.strip.clientWidth - (this.shape.t - 1) * GAP) / this.shape.t;
  }

  draw() {
    if (!this.shape) return;
    const { t, h, w } = this.shape,
      size = this.size();
    this.strip.style.height = `${size}px`;
    const { brush } = brushOn(this.strip),
      now = Math.floor(this.frame / this.geometry.tubelet);
    for (let k = 0; k < t; k++) this.slice(brush, k * (size + GAP), size, k * this.geometry.tubelet, k, 1, k === now);
    if (document.activeElement === this.strip) {
      const cell = size / w,
        k = Math.floor(this.cursor / (h * w));
      brush.strokeStyle = "#E69F00";
      brush.lineWidth = 3;
      brush.strokeRect(
        k * (size + GAP) + (this.cursor % w) * cell + 2,
        (Math.floor(this.cursor / w) % h) * cell + 2,
        cell - 4,
        cell - 4,
      );
    }
    const whole = brushOn(this.clip);
    this.slice(whole.brush, 0, whole.width, this.frame, now, 0.4, false);
    this.describe();
  }

  /** One frame with the covers of time step k over it. */
  slice(brush, x0, size, frame, k, opaque, playing) {
    const { h, w } = this.shape,
      side = this.geometry.side,
      cell = size / w;
    brush.imageSmoothingQuality = "high";
    if (this.film) brush.drawImage(this.film, 0, frame * side, side, side, x0, 0, size, size);
    for (let patch = 0; patch < h * w; patch++) {
      const x = x0 + (patch % w) * cell,
        y = Math.floor(patch / w) * cell;
      brush.globalAlpha = opaque;
      brush.fillStyle = ink("hidden");
      if (this.hidden.has(k * h * w + patch)) brush.fillRect(x, y, cell, cell);
      brush.globalAlpha = 1;
      brush.lineWidth = 1;
      brush.strokeStyle = "rgba(255, 255, 255, .35)";
      brush.strokeRect(x + 0.5, y + 0.5, cell - 1, cell - 1);
    }
    if (!playing) return;
    brush.strokeStyle = "#E69F00";
    brush.lineWidth = 2;
    brush.strokeRect(x0 + 1, 1, size - 2, size - 2);
  }

  describe() {
    const { t, h, w, tokens } = this.shape,
      covered = this.hidden.has(this.cursor) ? "hidden" : "shown";
    const step = Math.floor(this.cursor / (h * w)) + 1, row = (Math.floor(this.cursor / w) % h) + 1, column = (this.cursor % w) + 1;
    const place = `time step ${step} of ${t}, row ${row}, column ${column}: ${covered}`;
    const words = `${place}. ${this.hidden.size} of ${tokens} tubelets are hidden. Arrow keys move, space hides or shows.`;
    if (this.strip.getAttribute("aria-label") !== words) this.strip.setAttribute("aria-label", words);
  }
}
