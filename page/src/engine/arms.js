// The switches of collapse prevention, and the sizes of the model.  Page and worker both read this file.

/**
 * @typedef {object} Settings
 * @property {"ema" | "online" | "pixels"} target  what is predicted: features of an EMA copy, its own, or pixels
 * @property {boolean} stop  stop-gradient: detach the targets; without it the optimizer also trains the EMA copy
 * @property {number} momentum  of the EMA copy, 0 to 1; 1 freezes the copy, 0 means no EMA
 * @property {boolean} schedule  momentum rises linearly from `momentum` to 1 over the run, as in V-JEPA
 * @property {"transformer" | "linear"} predictor
 * @property {"none" | "sigreg" | "vicreg"} regulariser  a term on the targets; needs stop: false
 * @property {number} lambda  the regulariser's weight
 * @property {"future" | number[]} hidden  tubelets to predict; the encoder sees all others
 * @property {"small" | "larger"} model
 * @property {number} seed  of weights, clips and SIGReg's directions
 */

/**
 * @typedef {object} Geometry
 * @property {number} frames
 * @property {number} side  height and width of a frame, in pixels
 * @property {number} tubelet  frames in a tubelet
 * @property {number} patch  height and width of a tubelet, in pixels
 * @property {number} channels
 * @property {number} dim  width D of the encoder
 * @property {number} depth  blocks of the encoder
 * @property {number} heads
 * @property {number} predictorDim
 * @property {number} predictorDepth
 * @property {number} predictorHeads
 * @property {number} batch  clips in a step
 * @property {number} steps  length of the schedules
 * @property {number} lr  peak learning rate of the encoder
 * @property {number} predictorLr  the predictor's, as a multiple of the encoder's
 * @property {number} warmup  steps in which the learning rate climbs
 * @property {number} finalLr  learning rate at the end of the cosine, as a share of the peak
 * @property {number} weightDecay
 * @property {number} heldOut  clips that are looked at and never trained on, a multiple of 64
 */

/** What each arm sets; the same switches as in minivjepa/vjepa.py.
 * @type {Record<string, Partial<Settings>>} */
export const ARMS = {
  vjepa: { target: "ema", stop: true, momentum: 0.996, schedule: true, regulariser: "none" },
  frozen: { target: "ema", stop: true, momentum: 1, schedule: false, regulariser: "none" },
  "no-ema": { target: "online", stop: true, regulariser: "none" },
  neither: { target: "online", stop: false, regulariser: "none" },
  "no-stopgrad": { target: "ema", stop: false, momentum: 0.996, schedule: true, regulariser: "none" },
  vicreg: { target: "online", stop: false, regulariser: "vicreg", lambda: 1 },
  sigreg: { target: "online", stop: false, regulariser: "sigreg", lambda: 0.1 },
  pixels: { target: "pixels", stop: true, regulariser: "none" },
};

/** @type {Settings} */
export const DEFAULTS = {
  ...{ target: "ema", stop: true, momentum: 0.996, schedule: true, regulariser: "none", lambda: 0.1 },
  ...{ predictor: "transformer", hidden: "future", model: "small", seed: 0 },
};

const RECIPE = { tubelet: 2, channels: 3, batch: 16, predictorLr: 2, warmup: 40, weightDecay: 0.1 };

/** @type {Record<string, Geometry>} */
export const GEOMETRIES = {
  small: {
    ...{ ...RECIPE, frames: 8, side: 16, patch: 8, dim: 32, depth: 2, heads: 2 },
    ...{ predictorDim: 24, predictorDepth: 1, predictorHeads: 2, steps: 3000, lr: 2.5e-3, finalLr: 0.05, heldOut: 768 },
  },
  larger: {
    ...{ ...RECIPE, frames: 8, side: 32, patch: 8, dim: 64, depth: 3, heads: 2 },
    ...{ predictorDim: 48, predictorDepth: 2, predictorHeads: 2, steps: 2600, lr: 2.5e-3, finalLr: 0.05, heldOut: 640 },
  },
};

/** How many tubelets a clip has along time, height and width, and in all.  @param {Geometry} g */
export function grid(g) {
  const t = g.frames / g.tubelet, h = g.side / g.patch;
  return { t, h, w: h, tokens: t * h * h };
}

/** The name of the arm that these settings are, or null.  @param {Settings} settings */
export function nameOf(settings) {
  const fits = (arm) =>
    Object.entries(arm).every(([key, value]) => settings[/** @type {keyof Settings} */ (key)] === value);
  return Object.keys(ARMS).find((name) => fits(ARMS[name])) ?? null;
}

/** Why these settings cannot train, as a sentence for the reader, or null.  @param {Settings} settings */
export function complaint({ target, stop, regulariser, predictor, hidden, model }) {
  if (target === "pixels" && !stop) return "Pixels have no gradient to let through; leave stop-gradient on.";
  if (regulariser !== "none" && stop) {
    return "The regulariser acts on the targets, which stop-gradient detaches; switch stop-gradient off too.";
  }
  if (target === "pixels" && predictor === "linear") {
    return "The linear predictor predicts features only; choose the transformer for pixels.";
  }
  const { tokens } = grid(GEOMETRIES[model]);
  if (hidden === "future") return null;
  const known = hidden.every((id) => Number.isInteger(id) && id >= 0 && id < tokens);
  if (!known || new Set(hidden).size < hidden.length) {
    return `Hidden tubelets are named by different numbers from 0 to ${tokens - 1}.`;
  }
  return hidden.length > 0 && hidden.length < tokens ? null : "Hide some tubelets and show some.";
}
