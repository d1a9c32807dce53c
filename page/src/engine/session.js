// The conversation between the page and a run: messages in, messages out, and the pace of training.
//
// In: start, play, pause, step, speed, change, clip.  Out: ready, clip, curve, look, pace, diverged, failed.  Every
// message out carries the number of its run, so that the page can ignore what an older run still says.

import { Run } from "./training.js";

const EVERY = 5; // steps between points of the curves
const QUIET = 50, LOOK = 1000, LOOK_SHARE = 4; // ms between curve messages; ms between looks, at least 4 looks' time

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
    /** @type {Generator<void, import("./training.js").Look[]> | null}  a look that is going on */
    this.looking = null;
    this.untrained = 0; // the probe at step 0
    this.looked = this.began = this.sent = 0; // when the last look ended and began; when curves were sent
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
      else if (type === "change") this.change(message.settings);
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
    this.run = this.looking = null; // frees memory, also where the settings are refused
    const run = (this.run = new Run(settings, this.wasm));
    this.points = [];
    this.losses = [];
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
    while (this.looking && this.run?.step === 0) this.lookOn(); // what an untrained encoder scores must be known
    if (this.train()) this.point();
    this.flush();
    this.look();
  }

  /** @param {import("./arms.js").Settings} settings */
  change(settings) {
    this.run?.change(settings);
    if (this.looking || !this.playing) this.look(); // again, since the encoders may be others now
  }

  /** Take another turn, after what's in the queue and this many ms. @param {number} wait */
  next(wait) {
    if (this.waiting) return;
    this.waiting = true;
    const turn = () => {
      this.waiting = false;
      if (this.looking) this.lookOn();
      else if (this.playing) this.turn();
      if (this.looking) this.next(0);
      else if (this.playing) this.next(this.due - performance.now());
    };
    if (wait > 1) setTimeout(turn, wait);
    else this.soon(turn);
  }

  /** Train if it's time, and say what there is to say. */
  turn() {
    const now = performance.now();
    if (now < this.due) return;
    this.due = Math.max(this.due + this.pause, now - 2 * this.pause); // catches up two steps at most
    if (!this.train()) return;
    if (this.run && this.run.step % EVERY === 0) this.point();
    if (now > this.sent + QUIET) this.flush();
    if (now > this.paced + LOOK) this.pace();
    if (now > this.looked + Math.max(LOOK, LOOK_SHARE * (this.looked - this.began))) this.look();
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

  /** Begin to look at the encoders; an unfinished look is dropped. */
  look() {
    this.looking = this.run?.look() ?? null;
    this.began = performance.now();
    this.next(0);
  }

  /** Look on; at the end, say what was seen. */
  lookOn() {
    const run = /** @type {Run} */ (this.run), seen = this.looking?.next();
    if (!seen?.done) return;
    const [online, target] = seen.value;
    this.looking = null;
    this.looked = performance.now();
    if (run.step === 0) this.untrained = online.probe;
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
