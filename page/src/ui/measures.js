// What is watched while it trains: two clouds and four charts, from a run and the recorded curves.
import { drawChart } from "./curves.js";
import { drawCloud } from "./cloud.js";
import { nameOf } from "../engine/arms.js";
import { percent } from "./state.js";

const ZOOMS = [300, 1000]; // steps that the charts show; after that, the whole run
const get = id => document.getElementById(id);
const whole = value => `${Math.round(100 * value)} %`;
const label = (id, words) => get(id).setAttribute("aria-label", words);

/** The recorded arm with these settings, or null.  @param {any} recorded @param {import("./state.js").Settings} settings */
export function recordedArm(recorded, settings) {
  const arm = nameOf(settings);
  return arm && settings.predictor === "transformer" && settings.hidden === "future" ? (recorded.arms[arm] ?? null) : null;
}

/**
 * @param {import("./state.js").Run} run @param {import("./state.js").Settings} settings
 * @param {import("../engine/arms.js").Geometry} geometry
 * @param {any} arm  the recorded curves, or null
 */
export function drawMeasures(run, settings, geometry, arm) {
  drawClouds(run, settings);
  const { flips, look } = run,
    steps = Math.max(Math.min(ZOOMS.find(zoom => run.step <= zoom) ?? Infinity, geometry.steps), run.step);
  const ghosts = (...keys) =>
    !arm ? [] : arm.runs.flatMap(one => keys.filter(key => one[key]).map(key => ghost(arm.share, one[key], geometry.steps)));
  const online = { ...run.std, color: "online" },
    target = { ...run.target, color: "target", dashed: true };
  const zone = { below: 0.1, words: "collapsed" };
  drawChart(get("std"), {
    steps,
    flips,
    zone,
    words: true,
    log: true,
    ticks: [0.001, 0.01, 0.1, 1, 2],
    label: v => (v === 2 ? "" : `${Number((100 * v).toPrecision(1))} %`),
    ghosts: ghosts("std", "target"),
    lines: [online, target],
  });
  const top = Math.max(1.2, ...run.loss.values, ...(arm ? arm.runs.flatMap(one => one.loss) : []));
  drawChart(get("loss"), {
    steps,
    flips,
    ticks: ticks(top),
    label: v => v.toFixed(1),
    ghosts: ghosts("loss"),
    lines: [{ ...run.loss, color: "ink" }],
  });
  const levels = [
    { value: look?.chance ?? 1 / 8, words: "chance", under: true },
    ...(look ? [{ value: look.untrained, words: "untrained" }] : []),
  ];
  drawChart(get("probe"), {
    steps,
    flips,
    levels,
    ticks: [0, 0.5, 1],
    label: whole,
    ghosts: [],
    lines: [
      { ...run.probe, color: "online" },
      { ...run.targetProbe, color: "target", dashed: true },
    ],
  });
  drawChart(get("rank"), {
    steps,
    flips,
    ticks: [0, geometry.dim / 2, geometry.dim],
    label: String,
    ghosts: [],
    lines: [
      { ...run.rank, color: "online" },
      { ...run.targetRank, color: "target", dashed: true },
    ],
  });
}

const ghost = (share, values, steps) => {
  const kept = share.map((s, i) => [s * steps, values[i]]).filter(([, value]) => value !== null);
  return { x: kept.map(([x]) => x), y: kept.map(([, y]) => y) };
};

function ticks(most) {
  const step = most > 4 ? Math.ceil(most / 4) : most > 2 ? 1 : 0.5;
  return Array.from({ length: Math.ceil(most / step - 0.01) + 1 }, (_, i) => i * step);
}

function drawClouds(run, settings) {
  const { points, targetPoints, directions } = run.look ?? {};
  drawCloud(get("cloud"), points, directions, run.radius);
  if (settings.target === "ema") drawCloud(get("target-cloud"), targetPoints, directions, run.radius);
}

/** The numbers beside the charts, and what screen readers say of them.  @param {import("./state.js").Run} run @param {number} dim */
export function describeMeasures(run, dim) {
  const [online, target] = run.shares(),
    loss = run.loss.values.at(-1),
    look = run.look;
  get("std-now").textContent = percent(online);
  get("loss-now").textContent = loss === undefined ? "" : loss.toPrecision(2);
  get("probe-now").textContent = look ? whole(look.probe) : "";
  get("rank-now").textContent = look ? `${look.rank.toFixed(0)} of ${dim}` : "";
  const also = target === null ? "" : `, the target's ${percent(target)}`,
    at = `at step ${run.step}`;
  label(
    "cloud",
    `The encoder's features of ${look?.directions.length ?? 0} clips in two dimensions: ${percent(online)} of their first spread ${at}.`,
  );
  label(
    "target-cloud",
    target === null
      ? "No separate target network."
      : `The target's features of the same clips: ${percent(target)} of the first spread ${at}.`,
  );
  label("std", `Chart of the features' spread, on a logarithmic scale: ${percent(online)} of the first${also} ${at}.`);
  label("loss", `Chart of the loss: ${loss === undefined ? "none yet" : loss.toPrecision(2)} ${at}.`);
  label(
    "probe",
    look
      ? `Chart of a linear probe for direction: ${whole(look.probe)} right; untrained ${whole(look.untrained)}, chance ${whole(look.chance)}.`
      : "Chart of a linear probe for direction: none yet.",
  );
  label(
    "rank",
    look ? `Chart of the effective rank: ${look.rank.toFixed(1)} of ${dim}.` : "Chart of the effective rank: none yet.",
  );
}
