// The networks: a transformer block, the encoder and two predictors, with the same parameter names as in minivjepa.
//
// A network is its parameters, a record from names to tensors, and a function that uses them.

import { add, attention, gather, gelu, join, linear, mix, normalise, scaleAndShift } from "./operations.js";
import { grid } from "./arms.js";

/** @typedef {import("./tensor.js").Tape} Tape
 *  @typedef {import("./tensor.js").Tensor} Tensor
 *  @typedef {import("./arms.js").Geometry} Geometry
 *  @typedef {Record<string, Tensor>} Parameters
 *  @typedef {{context: Int32Array, target: Int32Array}} Mask  ids of tubelets to see and to predict, clip after clip */

/** A geometry with its tables of positions, [N, D] and [N, P].
 * @typedef {Geometry & {encoderPositions: Tensor, predictorPositions: Tensor}} Layout */

const EPSILON = 1e-6; // of every LayerNorm with parameters

/** LayerNorm with parameters. @param {Tape} tape @param {Parameters} p @param {string} name @param {Tensor} x */
const layerNorm = (tape, p, name, x) =>
  scaleAndShift(tape, normalise(tape, x, EPSILON), p[`${name}.weight`], p[`${name}.bias`]);

/** A linear layer. @param {Tape} tape @param {Parameters} p @param {string} name @param {Tensor} x */
const project = (tape, p, name, x) => linear(tape, x, p[`${name}.weight`], p[`${name}.bias`]);

/** x + attention(norm(x)), then x + mlp(norm(x)).
 * @param {Tape} tape @param {Parameters} p @param {string} name @param {Tensor} x @param {number} tokens  per clip
  * @param {number} heads */
export function block(tape, p, name, x, tokens, heads) {
  const qkv = project(tape, p, `${name}.attention.qkv`, layerNorm(tape, p, `${name}.norm1`, x));
  x = add(tape, x, project(tape, p, `${name}.attention.proj`, attention(tape, qkv, tokens, heads)));
  const hidden = gelu(tape, project(tape, p, `${name}.mlp.fc1`, layerNorm(tape, p, `${name}.norm2`, x)));
  return add(tape, x, project(tape, p, `${name}.mlp.fc2`, hidden));
}

/** Pixels of the tubelets that `ids` names, [clips * K, values] -> one vector each, [clips * K, D].
 * @param {Tape} tape @param {Parameters} p @param {Layout} g @param {Tensor} x @param {Int32Array} ids
  * @param {number} clips */
export function encode(tape, p, g, x, ids, clips) {
  let h = add(tape, project(tape, p, "encoder.embed.project", x), gather(tape, g.encoderPositions, ids));
  for (let i = 0; i < g.depth; i++) h = block(tape, p, `encoder.blocks.${i}`, h, ids.length / clips, g.heads);
  return layerNorm(tape, p, "encoder.norm", h);
}

/** Context vectors and positions in, one vector for each hidden tubelet out: features, or pixels from that head.
 * @param {Tape} tape @param {Parameters} p @param {Layout} g @param {Tensor} context @param {Mask} mask
  * @param {number} clips */
export function predict(tape, p, g, context, mask, clips, head = "leave") {
  if (p["predictor.mixing"]) return predictLinearly(tape, p, context, mask, clips);
  const hidden = mask.target.length, places = (ids) => gather(tape, g.predictorPositions, ids);
  const seen = add(tape, project(tape, p, "predictor.enter", context), places(mask.context));
  const token = gather(tape, p["predictor.mask_tokens"], new Int32Array(hidden)); // the same one everywhere
  const asked = add(tape, token, places(mask.target)); // where they are, not what they show
  let x = join(tape, seen, asked, clips);
  const tokens = x.rows / clips, last = new Int32Array(hidden).map((_, i) => {
    const clip = Math.floor((i * clips) / hidden);
    return i + (clip + 1) * (tokens - hidden / clips);
  });
  for (let i = 0; i < g.predictorDepth; i++) x = block(tape, p, `predictor.blocks.${i}`, x, tokens, g.predictorHeads);
  return project(tape, p, `predictor.${head}`, layerNorm(tape, p, "predictor.norm", gather(tape, x, last)));
}

/** A prediction that is linear in the context: a table of how much each tubelet counts for each other one, a matrix for
 * the features, and a vector for each place.
 * @param {Tape} tape @param {Parameters} p @param {Tensor} context @param {Mask} mask @param {number} clips */
function predictLinearly(tape, p, context, mask, clips) {
  const features = project(tape, p, "predictor.features", context);
  const mixed = mix(tape, p["predictor.mixing"], features, mask.context, mask.target, clips);
  return add(tape, mixed, gather(tape, p["predictor.offset"], mask.target));
}

/** Fixed sine-cosine positions [N, width]: a third of the width each for time, height and width.
 * @param {Tape} tape @param {Geometry} g @param {number} width */
function positions(tape, g, width) {
  const { h, w, tokens } = grid(g), half = Math.ceil(width / 6), table = tape.tensor(tokens, width);
  for (let id = 0, to = 0; id < tokens; id++) {
    const place = [Math.floor(id / (h * w)), Math.floor(id / w) % h, id % w];
    for (let j = 0; j < width; j++) {
      const axis = Math.floor(j / (2 * half)), i = j % (2 * half);
      const angle = place[axis] * 10000 ** -((i % half) / half);
      table.data[to++] = i < half ? Math.sin(angle) : Math.cos(angle);
    }
  }
  return table;
}

/** @param {Tape} tape @param {Geometry} g @returns {Layout} */
export const layout = (tape, g) => ({
  ...g, encoderPositions: positions(tape, g, g.dim), predictorPositions: positions(tape, g, g.predictorDim),
});

/** Names and shapes [rows, columns] of encoder and predictor.
 * @param {Geometry} g @param {import("./arms.js").Settings} settings */
export function shapes(g, settings) {
  const { tokens } = grid(g), values = g.channels * g.tubelet * g.patch ** 2;
  /** @type {Record<string, [number, number]>} */
  const found = {};
  const layer = (name, inputs, outputs) => {
    found[`${name}.weight`] = [outputs, inputs];
    found[`${name}.bias`] = [1, outputs];
  };
  const norm = (name, width) => {
    found[`${name}.weight`] = found[`${name}.bias`] = [1, width];
  };
  const blocks = (network, width, depth) => {
    for (let i = 0; i < depth; i++) {
      const name = `${network}.blocks.${i}`;
      norm(`${name}.norm1`, width);
      layer(`${name}.attention.qkv`, width, 3 * width);
      layer(`${name}.attention.proj`, width, width);
      norm(`${name}.norm2`, width);
      layer(`${name}.mlp.fc1`, width, 4 * width);
      layer(`${name}.mlp.fc2`, 4 * width, width);
    }
    norm(`${network}.norm`, width);
  };
  layer("encoder.embed.project", values, g.dim);
  blocks("encoder", g.dim, g.depth);
  if (settings.predictor === "linear") {
    found["predictor.mixing"] = [tokens, tokens];
    found["predictor.offset"] = [tokens, g.dim];
    layer("predictor.features", g.dim, g.dim);
    return found;
  }
  layer("predictor.enter", g.dim, g.predictorDim);
  found["predictor.mask_tokens"] = [1, g.predictorDim];
  blocks("predictor", g.predictorDim, g.predictorDepth);
  layer("predictor.leave", g.predictorDim, g.dim);
  layer("predictor.pixels", g.predictorDim, values); // both heads, so that a reader can switch in the middle of a run
  return found;
}

/** Fresh parameters: Xavier-uniform matrices, norms at 1, everything else at 0, a linear predictor's table at the mean.
 * @param {Tape} tape @param {Record<string, [number, number]>} shapes @param {() => number} uniform
  * @returns {Parameters} */
export function initialise(tape, shapes, uniform) {
  return Object.fromEntries(Object.entries(shapes).map(([name, [rows, columns]]) => {
    const reach = Math.sqrt(6 / (rows + columns)), x = tape.tensor(rows, columns);
    x.data.fill(/norm\d?\.weight$/.test(name) ? 1 : name === "predictor.mixing" ? 1 / columns : 0);
    if (name.endsWith(".weight") && rows > 1) x.data.forEach((_, i) => (x.data[i] = (2 * uniform() - 1) * reach));
    x.needsGradient = true;
    return [name, x];
  }));
}

/** A copy of the encoder. @param {Tape} tape @param {Parameters} p @returns {Parameters} */
export function copyOfEncoder(tape, p) {
  const names = Object.keys(p).filter((name) => name.startsWith("encoder."));
  return Object.fromEntries(names.map((name) => [name, tape.constant(p[name].rows, p[name].columns, p[name].data)]));
}
