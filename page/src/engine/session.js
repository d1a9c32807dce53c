// The conversation between the page and a run: messages in, messages out, and the pace of training.
//
// In: start, play, pause, step, speed, change, clip.  Out: ready, clip, curve, look, pace, diverged, failed.  Every
// message out carries the number of its run, so that the page can ignore what an older run still says.

import { Run } from "./training.js";

const EVERY = 5; // steps between points of the curves
const QUIET = 50, LOOK = 1000, LOOK_SHARE = 4; // ms between curve messages; ms between looks, or 4 looks' own time

export class Session {
  /** @param {(message: any) => void} post @param {Uint8Array | null} wasm
   * @param {(task: () => void) => void} soon  runs a task after messages that wait */
  constructor(post, wasm, soon) {
    this.send = post;
    this.wasm = wasm;
    this.soon = soon;
    this.number = 0;
    /** @type {Run | null} */
    this.run = null;
    this.playing = this.waiting = false;
    this.pause = 0; // ms between steps
    /** @type {{step: number, loss: number | null, std: number, targetStd: number | null}[]}  not sent yet */
    this.points = [];
    /** @type {number[]}  since the last point */
    this.losses = [];
    this.untrained = 0; // the probe at step 0
    this.seen = -1; // the step of the last look
    this.looked = this.lookTime = this.sent = 0; // when the last look ended and how long it took; when curves were sent
    this.due = this.paced = this.spent = this.counted = 0; // the next step; pace: since when, ms in steps, how many
  }

  /** @param {any} message */
  receive(message) {
    const { type } = message;
    try {
      if (type === "start") this.start(message.run, message.settings);
      else if (type === "speed") this.pause = message.stepsPerSecond > 0 ? 1000 / message.stepsPerSecond : 0;
      else if (!this.run) throw new Error(`"${type}" came before "start"`);
      else if (type === "play") this.play();
      else if (type === "pause") this.stop();
      else if (type === "step") this.single();
      else if (type === "change") this.run.change(message.settings);
      else if (type === "clip") this.post("clip", this.run.clip(message.index % this.run.geometry.heldOut));
      else throw new Error(`unknown message "${type}"`);
    } catch (error) {
      this.playing = false;
      this.post("failed", { message: error instanceof Error ? error.message : String(error) });
    }
  }

  /** @param {string} type @param {object} values */
  post(type, values) {
    this.send({ type, run: this.number, ...values });
  }

  /** @param {number} number @param {import("./arms.js").Settings} settings */
  start(number, settings) {
    this.number = number;
    this.playing = false;
    this.run = null; // frees its memory, also where the settings are refused
    const run = (this.run = new Run(settings, this.wasm));
    this.points = [];
    this.losses = [];
    this.seen = -1;
    const { encoderPositions, predictorPositions, ...geometry } = run.geometry;
    this.post("ready", { settings, geometry, wasm: run.wasm, parameters: run.parameters });
    this.post("clip", run.clip(0));
    this.point();
    this.flush();
    this.look();
  }

  play() {
    this.playing = true;
    this.due = this.paced = performance.now();
    this.counted = this.spent = 0;
    this.next(0);
  }

  stop() {
    this.playing = false;
    this.flush();
    this.look();
  }

  single() {
    this.playing = false;
    if (this.train()) this.point();
    this.flush();
    if (performance.now() > this.looked + this.interval) this.look();
  }

  /** @param {number} wait  in ms */
  next(wait) {
    if (this.waiting) return;
    this.waiting = true;
    const turn = () => {
      this.waiting = false;
      if (this.playing) this.turn();
    };
    if (wait > 1) setTimeout(turn, wait);
    else this.soon(turn);
  }

  turn() {
    const now = performance.now();
    if (now >= this.due) {
      this.due = Math.max(this.due + this.pause, now - 2 * this.pause); // catches up two steps at most
      if (!this.train()) return;
      if (this.run && this.run.step % EVERY === 0) this.point();
      if (now > this.sent + QUIET) this.flush();
      if (now > this.looked + this.interval) this.look();
      if (now > this.paced + LOOK) this.pace();
    }
    this.next(this.due - performance.now());
  }

  get interval() {
    return Math.max(LOOK, LOOK_SHARE * this.lookTime);
  }

  /** One step; false if the loss is no longer a number. */
  train() {
    const run = /** @type {Run} */ (this.run), before = performance.now(), loss = run.train();
    this.spent += performance.now() - before;
    this.counted++;
    this.losses.push(loss);
    if (Number.isFinite(loss)) return true;
    this.playing = false;
    this.flush();
    this.post("diverged", { step: run.step });
    return false;
  }

  /** A point of the curves; its loss is the mean over the steps since the last one. */
  point() {
    const run = /** @type {Run} */ (this.run), [std, targetStd] = run.std(), { losses } = this;
    const loss = losses.length ? losses.reduce((a, b) => a + b) / losses.length : null;
    this.points.push({ step: run.step, loss, std, targetStd: targetStd ?? null });
    this.losses = [];
  }

  flush() {
    if (this.points.length) this.post("curve", { points: this.points });
    this.points = [];
    this.sent = performance.now();
  }

  look() {
    const run = /** @type {Run} */ (this.run), before = performance.now();
    if (this.seen === run.step) return;
    const [online, target] = run.look();
    if (run.step === 0) this.untrained = online.probe;
    this.seen = run.step;
    this.looked = performance.now();
    this.lookTime = this.looked - before;
    this.post("look", {
      ...{ step: run.step, std: online.std, rank: online.rank, probe: online.probe, points: online.points },
      ...{ targetStd: target?.std ?? null, targetRank: target?.rank ?? null, targetProbe: target?.probe ?? null },
      ...{ targetPoints: target?.points ?? null, chance: 1 / 8, untrained: this.untrained, directions: run.directions },
    });
  }

  pace() {
    const now = performance.now();
    const stepsPerSecond = (1000 * this.counted) / (now - this.paced);
    this.post("pace", { stepsPerSecond, msPerStep: this.spent / this.counted });
    this.paced = now;
    this.counted = this.spent = 0;
  }
}
