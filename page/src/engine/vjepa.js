// V-JEPA on one screen: targets, predictions, loss.  minivjepa/vjepa.py in JavaScript, with the same switches.

import { add, gather, meanDistance, normalise } from "./operations.js";
import { encode, predict } from "./model.js";
import { grid } from "./arms.js";
import { sigreg, vicreg } from "./regularisers.js";

/** @typedef {import("./tensor.js").Tape} Tape
 *  @typedef {import("./tensor.js").Tensor} Tensor
 *  @typedef {import("./model.js").Parameters} Parameters
 *  @typedef {{geometry: import("./model.js").Layout, settings: import("./arms.js").Settings, online: Parameters,
 *    copy: Parameters | null}} Model  encoder and predictor; the encoder's EMA copy where the targets come from it */

/** Features of whole clips, [clips * N, values] -> [clips * N, D].
 * @param {Tape} tape @param {Model} model @param {Parameters} encoder @param {Tensor} pixels @param {number} clips */
export function features(tape, { geometry }, encoder, pixels, clips) {
  const { tokens } = grid(geometry);
  return encode(tape, encoder, geometry, pixels, Int32Array.from({ length: pixels.rows }, (_, i) => i % tokens), clips);
}

/** What to predict, for every tubelet, before normalisation.
 * @param {Tape} tape @param {Model} model @param {Tensor} pixels @param {number} clips */
export function targets(tape, model, pixels, clips) {
  const { target, stop } = model.settings;
  if (target === "pixels") return pixels; // not V-JEPA, but what MAE and VideoMAE predict
  const look = () => features(tape, model, model.copy ?? model.online, pixels, clips);
  return stop ? tape.detached(look) : look(); // <- this line is the stop-gradient
}

/** The training loss: how far the predictions of the hidden tubelets are from their targets, plus the regulariser.
 * @param {Tape} tape @param {Model} model @param {Tensor} pixels @param {import("./model.js").Mask} mask
 * @param {number} clips @param {Tensor | null} directions  SIGReg's, redrawn each step */
export function loss(tape, model, pixels, mask, clips, directions) {
  const { tokens } = grid(model.geometry), { regulariser, lambda } = model.settings;
  const inBatch = (ids) => ids.map((id, i) => Math.floor((i * clips) / ids.length) * tokens + id);
  const h = targets(tape, model, pixels, clips);
  const wanted = gather(tape, normalise(tape, h, 1e-5), inBatch(mask.target));
  const visible = gather(tape, pixels, inBatch(mask.context)); // before the encoder: what's hidden can't leak
  const context = encode(tape, model.online, model.geometry, visible, mask.context, clips);
  const head = model.settings.target === "pixels" ? "pixels" : "leave";
  const distance = meanDistance(tape, predict(tape, model.online, model.geometry, context, mask, clips, head), wanted);
  if (regulariser === "vicreg") return add(tape, distance, vicreg(tape, h, clips), lambda);
  if (directions) return add(tape, distance, sigreg(tape, h, directions, clips), lambda);
  return distance;
}
