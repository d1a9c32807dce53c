// What happens to the parameters after the gradients are known: AdamW, the EMA copy, and the schedules of both.
// The rules of minivjepa/training/recipe.py and ema.py.

/** @typedef {import("./model.js").Parameters} Parameters
 *  @typedef {{steps: number, mean: Float32Array, square: Float32Array}} Memory  what AdamW remembers of one parameter
 *  @typedef {Map<import("./tensor.js").Tensor, Memory>} Memories */

/** Matrices decay; biases, norms and other single vectors don't.  The mask token counts as a matrix, as in torch. */
const decays = (name, x) => x.rows > 1 || name.endsWith("mask_tokens");

/** One step of AdamW for every parameter that has a gradient; the gradients are used up.
 * @param {Parameters} parameters @param {Memories} memories @param {number} lr
  * @param {number} predictorLr  a multiple of lr
 * @param {number} weightDecay */
export function adamw(parameters, memories, lr, predictorLr, weightDecay) {
  for (const [name, x] of Object.entries(parameters)) {
    const g = x.gradient;
    x.gradient = null;
    if (!g) continue;
    const fresh = () => ({ steps: 0, mean: new Float32Array(g.length), square: new Float32Array(g.length) });
    const memory = memories.get(x) ?? fresh();
    memories.set(x, memory);
    const rate = lr * (name.startsWith("predictor.") ? predictorLr : 1), { mean, square } = memory;
    memory.steps++;
    const step = rate / (1 - 0.9 ** memory.steps), scale = Math.sqrt(1 - 0.999 ** memory.steps);
    const keep = decays(name, x) ? 1 - rate * weightDecay : 1;
    for (let i = 0; i < g.length; i++) {
      mean[i] += 0.1 * (g[i] - mean[i]);
      square[i] += 0.001 * (g[i] * g[i] - square[i]);
      x.data[i] = keep * x.data[i] - (step * mean[i]) / (Math.sqrt(square[i]) / scale + 1e-8);
    }
  }
}

/** Move the copy a share 1 - momentum of the way to the online encoder.
 * @param {Parameters} copy @param {Parameters} online @param {number} momentum */
export function follow(copy, online, momentum) {
  if (momentum === 1) return;
  for (const [name, { data }] of Object.entries(copy)) {
    const to = online[name].data;
    if (momentum === 0) data.set(to);
    else for (let i = 0; i < data.length; i++) data[i] += (1 - momentum) * (to[i] - data[i]);
  }
}

/** The rates of a step, counted from 0: the learning rate climbs, then falls along half a cosine; the momentum rises
 * in a straight line to 1, or stays.  After the run's nominal length both stay where they are.
 * @param {import("./arms.js").Geometry} g @param {import("./arms.js").Settings} settings @param {number} step */
export function rates(g, settings, step) {
  const done = Math.min(1, Math.max(0, step + 1 - g.warmup) / Math.max(1, g.steps - g.warmup));
  const cosine = g.finalLr + ((1 - g.finalLr) * (1 + Math.cos(Math.PI * done))) / 2;
  const lr = g.lr * (step < g.warmup ? (step + 1) / g.warmup : cosine);
  const momentum = settings.momentum + (settings.schedule ? (1 - settings.momentum) * Math.min(1, step / g.steps) : 0);
  return { lr, momentum };
}
