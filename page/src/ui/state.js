// The settings as people change them, name them and pass them on in a link; and what a run has shown so far.
import { ARMS, DEFAULTS, complaint, nameOf } from "../engine/arms.js";

/** @typedef {import("../engine/arms.js").Settings} Settings */

/** Where the momentum's slider stops, and where lambda's does. */
export const MOMENTA = [0, 0.5, 0.9, 0.97, 0.99, 0.996, 0.999, 0.9997, 1];
export const LAMBDAS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2];

/** What can be switched in the middle of a run; anything else starts a new one. */
const LIVE = new Set(["target", "stop", "momentum", "schedule", "regulariser", "lambda", "hidden"]);

/** Steps after which half of the average is new.  @param {number} momentum */
export const halfLife = momentum => Math.log(0.5) / Math.log(momentum);

/** The settings of an arm; what no arm sets is kept.  @param {string} arm @param {Settings} kept @returns {Settings} */
export const ofArm = (arm, { model, seed }) => ({ ...DEFAULTS, ...ARMS[arm], model, seed });

/**
 * The settings after a change by hand, with what the change makes impossible put right.
 * @param {Settings} settings @param {Partial<Settings>} change @returns {Settings}
 */
export function changed(settings, change) {
  const next = { ...settings, ...change };
  if ("momentum" in change) next.schedule = false;
  if (next.target === "pixels") Object.assign(next, { stop: true, regulariser: "none", predictor: "transformer" });
  if (change.regulariser && change.regulariser !== "none")
    Object.assign(next, { stop: false, lambda: ARMS[change.regulariser].lambda });
  else if (change.stop) next.regulariser = "none"; // both terms act on targets that the gradient reaches
  return next;
}

/** The names of the settings that differ.  @param {Settings} a @param {Settings} b */
export const differences = (a, b) => Object.keys(a).filter(key => String(a[key]) !== String(b[key]));

/** Whether a run can go on with these differences.  @param {string[]} keys */
export const isLive = keys => keys.every(key => LIVE.has(key));

/** A flip of switches in a few words, for the mark on the curves.  @param {string[]} keys @param {Settings} s */
export function flip(keys, s) {
  const words = {
    stop: `stop ${s.stop ? "on" : "off"}`,
    target: { ema: "average on", online: "own features", pixels: "pixels" }[s.target],
    regulariser: s.regulariser === "none" ? "no term" : name(s.regulariser),
    lambda: `λ ${s.lambda}`,
    hidden: "mask",
    momentum: `m ${s.momentum}`,
  };
  return keys
    .map(key => words[key])
    .filter(Boolean)
    .slice(0, 2)
    .join(", ");
}

/** How a regulariser is written.  @param {string} regulariser */
export const name = regulariser => ({ sigreg: "SIGReg", vicreg: "VICReg" })[regulariser] ?? regulariser;

/** A share of the first spread, as people read it.  @param {number} share */
export const percent = share =>
  (share >= 0.01 ? Math.round(100 * share) : share >= 0.001 ? (100 * share).toFixed(1) : "under 0.1") + "\u00a0%";

const choice =
  (...values) =>
  text =>
    values.includes(text) ? text : undefined;
const number = (low, high) => text => (text !== "" && Number(text) >= low && Number(text) <= high ? Number(text) : undefined);
const flag = text => ({ 0: false, 1: true })[text];
const READ = {
  target: choice("ema", "online", "pixels"),
  stop: flag,
  momentum: number(0, 1),
  schedule: flag,
  predictor: choice("transformer", "linear"),
  regulariser: choice("none", "sigreg", "vicreg"),
  lambda: number(0, 100),
  model: choice("small", "larger"),
  hidden: text => (text === "future" ? text : /^\d+(\.\d+)*$/.test(text) ? text.split(".").map(Number) : undefined),
  seed: text => (Number.isInteger(number(0, 9999)(text)) ? Number(text) : undefined),
};
const write = value =>
  Array.isArray(value) ? value.join(".") : typeof value === "boolean" ? String(Number(value)) : String(value);

/** The part of a link that carries the settings: an arm, and what differs from it.  @param {Settings} settings */
export function toLink(settings) {
  const arm = nameOf(settings),
    base = { ...DEFAULTS, ...ARMS[arm ?? ""] };
  const own = differences(settings, base).map(key => [key, write(settings[key])]);
  return new URLSearchParams([...(arm ? [["arm", arm]] : []), ...own]).toString();
}

/**
 * The settings that a link or a lesson carries, and a sentence about what it got wrong.
 * @param {Iterable<[string, string]>} entries @returns {{settings: Settings, wrong: string}}
 */
export function fromLink(entries) {
  const given = new Map(entries),
    settings = { ...DEFAULTS },
    wrong = [];
  given.delete("embed");
  if (given.has("arm")) {
    if (Object.hasOwn(ARMS, given.get("arm"))) Object.assign(settings, ARMS[given.get("arm")]);
    else wrong.push(`arm=${given.get("arm")} (expected ${Object.keys(ARMS).join(", ")})`);
    given.delete("arm");
  }
  for (const [key, text] of given) {
    const value = Object.hasOwn(READ, key) ? READ[key](String(text)) : undefined;
    if (value === undefined) wrong.push(`${key}=${text}`);
    else settings[key] = value;
  }
  const why = complaint(settings);
  if (wrong.length)
    return { settings, wrong: `The link has something that this page doesn't know: ${wrong.join(", ")}. The rest is set.` };
  return why
    ? { settings: { ...DEFAULTS }, wrong: `The link's settings can't train. ${why} These are the settings as published.` }
    : { settings, wrong: "" };
}

/** What a run has shown: the curves, the last look at the features, and where switches were flipped. */
export class Run {
  /** @param {number} id  in all its messages @param {Settings} settings  with which it began */
  constructor(id, settings) {
    this.id = id;
    this.settings = settings;
    this.step = 0;
    this.loss = { steps: [], values: [] };
    this.std = { steps: [], values: [] }; // as shares of the first
    this.target = { steps: [], values: [] };
    this.probe = { steps: [], values: [] };
    this.targetProbe = { steps: [], values: [] };
    this.rank = { steps: [], values: [] };
    this.targetRank = { steps: [], values: [] };
    this.first = 0;
    this.radius = 0; // of the clouds' fixed scale
    this.look = null;
    this.flips = [];
  }

  /** @param {{step: number, loss: number | null, std: number | null, targetStd: number | null}[]} points */
  addCurve(points) {
    for (const { step, loss, std, targetStd } of points) {
      this.step = step;
      if (std > 0) this.first ||= std;
      add(this.loss, step, loss);
      add(this.std, step, std == null ? null : std / this.first);
      add(this.target, step, targetStd == null ? null : targetStd / this.first);
    }
  }

  /** @param {any} look  the worker's message of that name */
  addLook(look) {
    this.look = look;
    for (const key of ["probe", "targetProbe", "rank", "targetRank"]) add(this[key], look.step, look[key]);
    if (!this.radius) this.radius = 1.7 * farthest(look.points);
  }

  /** Note that switches were flipped: before the first step the run simply begins so, later it gets a mark.
   * @param {Settings} settings @param {string} words */
  flip(settings, words) {
    const last = this.flips.at(-1);
    if (this.step === 0) this.settings = settings;
    else if (last?.step === this.step) last.words = words;
    else this.flips.push({ step: this.step, words });
  }

  /** Become the median of recorded runs.  @param {any} arm  or null @param {number} steps */
  fill(arm, steps) {
    const middle = values => values.sort((a, b) => a - b)[values.length >> 1];
    const median = (key, i) => arm.runs[0][key] && middle(arm.runs.map(run => run[key][i]));
    this.first = 1;
    this.addCurve(
      arm
        ? arm.share.map((share, i) => ({
            step: Math.round(share * steps),
            loss: median("loss", i),
            std: median("std", i),
            targetStd: median("target", i),
          }))
        : [],
    );
  }

  /** The spread now, as a share of the first, of the encoder and of the target (or null).  @returns {[number, number | null]} */
  shares() {
    return [
      this.std.values.at(-1) ?? 1,
      this.target.steps.at(-1) === this.std.steps.at(-1) ? (this.target.values.at(-1) ?? null) : null,
    ];
  }
}

function add(curve, step, value) {
  if (value == null || !Number.isFinite(value)) return;
  if (curve.steps.at(-1) === step) curve.values[curve.values.length - 1] = value;
  else {
    curve.steps.push(step);
    curve.values.push(value);
  }
  if (curve.steps.length > 1200)
    for (const key of ["steps", "values"]) curve[key] = curve[key].filter((_, i) => i % 2 === 0 || i === curve[key].length - 1);
}

/** How far from the origin the farthest point is.  @param {Float32Array} points */
export function farthest(points) {
  let most = 0;
  for (let i = 0; i < points.length; i += 2) most = Math.max(most, Math.hypot(points[i], points[i + 1]));
  return most;
}
