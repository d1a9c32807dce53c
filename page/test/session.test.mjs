// The worker's side of the conversation with the page.

import assert from "node:assert/strict";
import fs from "node:fs";
import { after, before, test } from "node:test";
import { ARMS, DEFAULTS, GEOMETRIES } from "../src/engine/arms.js";
import { Session } from "../src/engine/session.js";

const wasm = fs.readFileSync(new URL("../src/engine/gemm.wasm", import.meta.url));
const { heldOut } = GEOMETRIES.small;
before(() => (GEOMETRIES.small.heldOut = 128)); // they take time to draw
after(() => (GEOMETRIES.small.heldOut = heldOut));

/** A session, what it said, and a way to wait until it has said something. */
function talk() {
  /** @type {any[]} */
  const said = [];
  const session = new Session((message) => said.push(message), wasm, setImmediate);
  const of = (type) => said.filter((message) => message.type === type);
  const steps = () => of("curve").flatMap(({ points }) => points).at(-1)?.step ?? 0;
  const until = async (condition) => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const start = (run = 1, arm = "vjepa") =>
    session.receive({ type: "start", run, settings: { ...DEFAULTS, ...ARMS[arm] } });
  return { session, said, of, steps, until, start };
}

test("a new run shows everything before its first step, and then waits", async () => {
  const { said, of, until, start } = talk();
  start(7, "neither");
  await until(() => of("look").length);
  assert.deepEqual(said.map(({ type }) => type), ["ready", "clip", "curve", "look"]);
  assert.ok(said.every(({ run }) => run === 7));
  const [ready, clip, curve, look] = said, { frames, side } = GEOMETRIES.small;
  assert.equal(ready.settings.target, "online");
  assert.equal(ready.geometry.side, side);
  assert.ok(ready.wasm && ready.parameters > 1000);
  assert.equal(clip.frames.length, frames * side * side * 4);
  assert.equal(curve.points[0].step, 0);
  assert.equal(curve.points[0].targetStd, null); // the online encoder is its own target
  assert.equal(look.probe, look.untrained);
  assert.equal(look.points.length, 2 * look.directions.length);
  structuredClone(said); // can be posted
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(said.length, 4);
});

test("it plays until it is paused, and one step at a time", async () => {
  const { session, said, of, steps, until, start } = talk();
  start();
  session.receive({ type: "play" });
  await until(() => steps() >= 10);
  session.receive({ type: "pause" });
  const at = session.run.step;
  await until(() => of("look").at(-1).step === at);
  const count = said.length;
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(said.length, count);
  assert.equal(session.run.step, at);
  const points = of("curve").flatMap((message) => message.points);
  assert.deepEqual(points.map(({ step }) => step), points.map((_, i) => 5 * i));
  assert.ok(points.slice(1).every(({ loss, std, targetStd }) => loss > 0 && std > 0 && targetStd > 0));
  session.receive({ type: "step" });
  assert.equal(steps(), at + 1);
});

test("playing twice is playing once", () => {
  const tasks = [], session = new Session(() => {}, wasm, (task) => tasks.push(task));
  session.receive({ type: "start", run: 1, settings: DEFAULTS });
  for (const type of ["play", "play", "pause", "play"]) session.receive({ type });
  assert.equal(tasks.length, 1);
});

test("a look at the untrained encoder comes first, whatever the hurry, and a step ends any other look", async () => {
  const { session, of, steps, until, start } = talk();
  start();
  session.receive({ type: "step" });
  session.receive({ type: "step" });
  assert.deepEqual([steps(), of("look").map(({ step }) => step)], [2, [0]]);
  await until(() => of("look").length === 2);
  assert.deepEqual([of("look")[1].step, of("look")[1].untrained], [2, of("look")[0].probe]);
});

test("it keeps to a speed", async () => {
  const { session, until, start } = talk();
  start();
  session.receive({ type: "speed", stepsPerSecond: 10 });
  const before = performance.now();
  session.receive({ type: "play" });
  await until(() => session.run.step >= 5);
  session.receive({ type: "pause" });
  assert.ok(performance.now() - before > 380); // five steps, four pauses
});

test("switches flip while it plays; what is refused is said, and the run keeps its settings", async () => {
  const { session, said, until, start } = talk();
  start();
  session.receive({ type: "play" });
  await until(() => session.run.step >= 2);
  session.receive({ type: "change", settings: { ...DEFAULTS, ...ARMS.neither } });
  await until(() => session.run.step >= 4);
  assert.equal(session.run.settings.stop, false);
  session.receive({ type: "change", settings: { ...DEFAULTS, ...ARMS.sigreg, stop: true } });
  assert.equal(said.at(-1).type, "failed");
  assert.match(said.at(-1).message, /regulariser/);
  assert.equal(session.run.settings.regulariser, "none");
  assert.equal(session.playing, false);
});

test("a loss that is not a number ends the run's play and is said", async () => {
  const { session, of, until, start } = talk();
  start();
  session.run.online["predictor.leave.bias"].data[0] = NaN;
  session.receive({ type: "play" });
  await until(() => of("diverged").length);
  assert.equal(of("diverged")[0].step, 1);
  assert.equal(session.playing, false);
});

test("a clip can be asked for by number, any number", () => {
  const { session, said, start } = talk();
  start();
  session.receive({ type: "clip", index: 128 + 3 });
  assert.equal(said.at(-1).index, 3);
  assert.ok(said.at(-1).direction < 8 && said.at(-1).digit < 10);
  session.receive({ type: "pley" });
  assert.match(said.at(-1).message, /pley/);
});
