// The page: it starts the worker that trains, passes on what the reader switches, and draws what comes back.
import { GEOMETRIES, complaint, nameOf } from "../engine/arms.js";
import { Controls, SPEEDS } from "./controls.js";
import { describeMeasures, drawMeasures, recordedArm } from "./measures.js";
import { Painter } from "./painter.js";
import { drawSchematic } from "./schematic.js";
import { Run, differences, flip, fromLink, isLive, ofArm, toLink } from "./state.js";
import { CHAPTERS, answer, facts, fate, heading, says, saysRecorded, writeStory } from "./story.js";

const get = id => document.getElementById(id);
const SETTLED = 0.1;  // share of a run after which a guess is answered
const CLIPS = 64;  // to look at, one after the other
const SPOKEN = 10_000;  // milliseconds between two sentences for screen readers
const calm = matchMedia("(prefers-reduced-motion: reduce)");

class Page {
  /** @param {any} data  what a lesson passes in @param {any} recorded  the recorded curves */
  constructor(data, recorded) {
    const inside = window.parent !== window, { settings, wrong } = fromLink(Object.keys(data).length ? Object.entries(data) : linked());
    Object.assign(this, { recorded, settings, guess: null, answered: false, playing: false, dirty: false });
    Object.assign(this, { filming: !calm.matches, clips: 0, spoken: 0 });
    this.embedded = inside || "embed" in data || new URLSearchParams(location.search).has("embed") || linked().has("embed");
    document.documentElement.classList.toggle("embedded", this.embedded);
    this.controls = new Controls(next => this.change(next));
    this.painter = new Painter(get("clip"), get("strip"), hidden => this.change({ ...this.settings, hidden }), words => this.notice(words));
    this.run = new Run(0, settings);
    this.speed = SPEEDS.indexOf(20);
    writeStory(number => this.open(number), guess => { this.guess = guess; }, recorded);
    this.listen();
    this.worker = startWorker(event => this.receive(event.data), words => this.withoutTraining(words));
    this.begin();
    if (this.worker) this.notice(wrong);
  }

  /** The number of the chapter in which this run began, or -1. */
  chapter() { return CHAPTERS.findIndex(({ arm }) => arm === nameOf(this.run.settings)); }

  recordedArm() { return recordedArm(this.recorded, this.run.settings); }

  geometry() { return GEOMETRIES[this.settings.model]; }

  /** A new run from step 0, with the settings as they are. */
  begin() {
    this.run = new Run(this.run.id + 1, this.settings);
    if (!this.worker) this.run.fill(this.recordedArm(), this.recorded.steps);
    this.answered = false;
    get("answer").hidden = true;
    this.send({ type: "start", run: this.run.id, settings: this.settings });
    this.send({ type: "speed", stepsPerSecond: SPEEDS[this.speed] });
    this.send({ type: "clip", index: this.clips });
    if (this.playing) this.send({ type: "play" });
    this.showSettings();
  }

  send(message) { this.worker?.postMessage(message); }

  /** Switches were flipped: go on with them if the run can, or start a new one.  @param {import("./state.js").Settings} next */
  change(next) {
    const keys = differences(this.settings, next), why = complaint(next);
    if (this.worker) this.notice(why ?? "");
    if (why || !keys.length) return this.showSettings();
    this.settings = next;
    if (!isLive(keys) || !this.worker) return this.begin();
    this.run.flip(next, flip(keys, next));
    if (this.run.flips.length) this.answered = get("answer").hidden = true;  // the guess was about another experiment
    this.send({ type: "change", settings: next });
    this.showSettings();
  }

  /** @param {number} number  of a chapter, from 0 */
  open(number) {
    this.settings = ofArm(CHAPTERS[number].arm, this.settings);
    this.guess = null;
    for (const radio of document.getElementsByName("guess")) radio.checked = false;
    if (this.worker) this.notice("");
    this.begin();
  }

  play(on) {
    this.playing = on && Boolean(this.worker);
    this.send({ type: this.playing ? "play" : "pause" });
    if (!on && this.run.step > 0) this.speak(true);
    this.redraw();
  }

  /** @param {any} message  from the worker */
  receive(message) {
    if (message.run !== undefined && message.run !== this.run.id) return;
    const { type } = message;
    if (type === "ready") get("facts").textContent = facts(message);
    else if (type === "clip") { this.painter.set(this.geometry(), this.settings.hidden); this.painter.show(message.frames); }
    else if (type === "curve") this.run.addCurve(message.points);
    else if (type === "look") { this.run.addLook(message); this.speak(false); }
    else if (type === "pace") this.controls.showSpeed(this.speed, message.stepsPerSecond);
    else if (type === "diverged") this.diverged(message.step);
    else if (type === "failed") this.withoutTraining(message.message);
    this.redraw();
  }

  diverged(step) {
    this.play(false);
    this.notice(`The loss is no longer a number at step ${step}. Restart, or take a smaller λ.`);
  }

  showSettings() {
    this.controls.show(this.settings);
    this.controls.showSpeed(this.speed);
    this.painter.set(this.geometry(), this.settings.hidden);
    const flipped = this.run.flips.length > 0, chapter = flipped ? -1 : this.chapter();
    get("guess").querySelector("[value=target]").closest("label").hidden = this.settings.target !== "ema";
    for (const [i, button] of [...get("chapters").querySelectorAll("button")].entries()) {
      if (i === chapter) button.setAttribute("aria-current", "step"); else button.removeAttribute("aria-current");
    }
    const { title, text } = heading(chapter, flipped);
    get("story-title").textContent = title;
    get("story-text").textContent = text;
    get("recorded-words").textContent = this.recordedArm() ? "recorded: the full model, each seed" : "no recorded run has these settings";
    if (!this.embedded) history.replaceState(null, "", `#${toLink(this.settings)}`);
    this.redraw();
  }

  /** Draw once before the screen's next frame, however much has changed. */
  redraw() {
    if (!this.dirty) requestAnimationFrame(() => { this.dirty = false; this.draw(); });
    this.dirty = true;
  }

  draw() {
    const { run, settings, playing } = this, shares = run.shares(), loss = run.loss.values.at(-1);
    const arm = this.recordedArm(), geometry = this.worker ? this.geometry() : { ...this.geometry(), steps: this.recorded.steps };
    drawSchematic(get("schematic"), settings, { shares, loss, moving: playing });
    drawMeasures(run, settings, geometry, arm);
    describeMeasures(run, geometry.dim);
    get("says").textContent = this.worker ? says(run, geometry) : saysRecorded(arm, geometry.steps);
    get("play").textContent = playing ? "Pause" : "Play";
    get("hidden-words").textContent = `${Math.round(100 * this.painter.hidden.size / this.painter.shape.tokens)} % is hidden.`;
    this.answer(shares);
    Object.assign(get("page").dataset, {
      run: run.id, step: run.step, share: shares[0], targetShare: shares[1] ?? "", loss: loss ?? "", probe: run.look?.probe ?? "",
      flips: run.flips.length, playing, target: settings.target, arm: nameOf(settings) ?? "", hidden: this.painter.hidden.size,
    });
  }

  answer(shares) {
    const happened = fate(shares);  // the living may still die; the dead stay dead
    if (this.answered || (happened === "apart" && this.run.step < SETTLED * this.geometry().steps)) return;
    this.answered = true;
    const next = (this.chapter() + 1) % CHAPTERS.length;
    get("answer-words").textContent = answer(this.guess, happened);
    get("next").textContent = `Next: ${CHAPTERS[next].title} →`;
    get("answer").hidden = false;
  }

  /** Tell screen readers how it is going, now or if the last time is long ago.  @param {boolean} now */
  speak(now) {
    if (!now && (!this.playing || performance.now() - this.spoken < SPOKEN)) return;
    this.spoken = performance.now();
    get("live").textContent = says(this.run, this.geometry());
  }

  /** @param {string} words  shown above the page until they are empty again */
  notice(words) {
    get("notice").hidden = !words;
    get("notice").textContent = words;
  }

  /** Without a worker there is nothing to switch; the recorded curves are still there.  @param {string} why */
  withoutTraining(why) {
    this.worker = null;
    this.playing = false;
    document.documentElement.classList.add("recorded");
    this.notice(`This browser can't train here (${why}). What you see instead was recorded with the full model.`);
    this.begin();
  }

  listen() {
    const on = (id, action) => get(id).addEventListener("click", action);
    on("play", () => this.play(!this.playing));
    on("step", () => { this.play(false); this.send({ type: "step" }); });
    on("restart", () => this.begin());
    on("next", () => this.open((this.chapter() + 1) % CHAPTERS.length));
    on("future", () => this.change({ ...this.settings, hidden: "future" }));
    on("random", () => this.change({ ...this.settings, hidden: this.painter.random() }));
    on("another", () => this.send({ type: "clip", index: this.clips = (this.clips + 1) % CLIPS }));
    on("film", () => this.film(!this.filming));
    on("help", () => get("keys").showModal());
    on("copy", () => this.copy());
    get("copy").hidden = this.embedded;
    get("speed").addEventListener("input", event => {
      this.speed = Number(event.target.value);
      this.controls.showSpeed(this.speed);
      this.send({ type: "speed", stepsPerSecond: SPEEDS[this.speed] });
    });
    document.addEventListener("keydown", event => this.key(event));
    window.addEventListener("hashchange", () => location.reload());  // another link was put into the address
    new ResizeObserver(() => { this.painter.draw(); this.redraw(); }).observe(get("page"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.painter.draw(); this.redraw(); });
    this.film(this.filming);
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(location.href);
      get("copied").textContent = "Copied.";
    } catch {  // a browser may forbid it
      get("copied").textContent = "Copy the address above: it has these settings.";
    }
  }

  film(on) {
    this.filming = on;
    this.painter.play(on);
    get("film").textContent = on ? "❚❚" : "▶";
    get("film").setAttribute("aria-label", on ? "Pause the clip" : "Play the clip");
  }

  key(event) {
    const { target } = event, typing = target.matches("input[type=number]") || event.ctrlKey || event.metaKey || event.altKey;
    if (typing || get("keys").open || (event.key === " " && target.matches("button, input"))) return;
    const chapter = this.chapter(), { length } = CHAPTERS;
    const actions = {
      " ": () => this.play(!this.playing), s: () => get("step").click(), r: () => this.begin(), "?": () => get("keys").showModal(),
      n: () => this.open((chapter + 1) % length), b: () => this.open((Math.max(chapter, 0) + length - 1) % length),
    };
    if (!Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    actions[event.key]();
  }
}

/** What stands in the address after the #. */
function linked() { return new URLSearchParams(location.hash.slice(1)); }

/** The worker, from the script that this page carries; or null, and then `failed` is told why.
 * @param {(event: MessageEvent) => void} heard @param {(why: string) => void} failed */
function startWorker(heard, failed) {
  try {
    const worker = new Worker(URL.createObjectURL(new Blob([get("worker").textContent], { type: "text/javascript" })));
    worker.onmessage = heard;
    worker.onerror = event => failed(event.message || "its worker did not start");
    return worker;
  } catch (error) {
    queueMicrotask(() => failed(error.message));
    return null;
  }
}

const data = get("data").textContent.trim();
new Page(data === "DATA" ? {} : JSON.parse(data), JSON.parse(get("recorded").textContent));
