// The story in seven chapters, the reader's guess, and what happened, in words that are made of the run's own numbers.
import { percent } from "./state.js";

export const CHAPTERS = [
  {
    arm: "vjepa",
    title: "As published",
    text: `The encoder sees the first half of a clip; the predictor guesses the features of the second. The right answers come from the target
    encoder, a slow average of the encoder (EMA), and no gradient reaches it (stop-gradient). Watch the clouds:
    each arrow is a clip. Learning is slow: give the probe a thousand steps.`,
  },
  {
    arm: "neither",
    title: "Without both",
    text: `Both safeguards are gone. The encoder makes its own answers, and the gradient may change them. Watch the loss and the
    cloud together.`,
  },
  {
    arm: "no-stopgrad",
    title: "Average, no stop",
    text: `The slow average is back, but the gradient still gets into the target encoder. Look at both clouds, not only at
    the first.`,
  },
  {
    arm: "no-ema",
    title: "No average",
    text: `The encoder makes its own answers, and no gradient goes through them. Some published methods live like this, others don't. Alive isn't the
    same as learning: watch the probe, too.`,
  },
  {
    arm: "frozen",
    title: "A frozen target",
    text: `The target encoder stays what it was before training: a random network that never learns anything. Can a student
    learn from such a teacher? Give the probe a thousand steps.`,
  },
  {
    arm: "sigreg",
    title: "One term instead",
    text: `No average and no stop. Instead, SIGReg adds a term to the loss that asks the features of many clips to look like a round Gaussian cloud. A
    dot isn't one, and neither is a line: keep an eye on the effective rank.`,
  },
  {
    arm: "pixels",
    title: "Predict pixels",
    text: `No target network at all: the predictor must paint the hidden pixels. Pixels can't collapse, but every speck of noise counts. Watch the
    probe.`,
  },
];

export const FATES = { apart: "stay apart", alike: "all become alike", target: "die in the target only" };
const DEAD = 0.1;
const read = accuracy => `${Math.round(100 * accuracy)}\u00a0%`;

/** Title and text of a chapter.  @param {number} chapter  -1: of none @param {boolean} flipped  in the middle of the run */
export function heading(chapter, flipped) {
  const own = flipped
    ? "You flipped switches in mid-run, where the red lines are. The gray curves were recorded without that."
    : chapter < 0 && "No chapter has these switches. What do you expect?";
  if (own) return { title: "Your own experiment", text: own };
  return { title: `${chapter + 1}. ${CHAPTERS[chapter].title}`, text: CHAPTERS[chapter].text.replace(/\s+/g, " ") };
}

/** What became of the features.  @param {[number, number | null]} shares @returns {keyof typeof FATES} */
export const fate = ([online, target]) => (online < DEAD ? "alike" : target !== null && target < DEAD ? "target" : "apart");

/** What became of a guess.  @param {keyof typeof FATES | null} guess @param {keyof typeof FATES} happened */
export function answer(guess, happened) {
  const what = {
    apart: "the features stay apart",
    alike: "the features all became alike",
    target: "only the target's features died",
  }[happened];
  if (!guess) return `Result: ${what}.`;
  return guess === happened ? `You were right: ${what}.` : `You said “${FATES[guess]}”. In this run, ${what}.`;
}

/** One or two sentences on a run as it is now.  @param {import("./state.js").Run} run @param {{dim: number} | null} geometry */
export function says(run, geometry) {
  if (run.step === 0) return "Not trained yet. Press play.";
  const [online, target] = run.shares(),
    loss = run.loss.values.at(-1),
    look = run.look;
  const at = `Step ${run.step}, loss ${loss === undefined ? "unknown" : loss.toPrecision(2)}.`;
  const probe = look
    ? ` From the encoder's features, a probe reads the direction in ${read(look.probe)} of clips (untrained ${read(look.untrained)}, chance 1 in ${Math.round(1 / look.chance)}).`
    : "";
  if (online < DEAD) {
    const lie =
      look && geometry ? ` The effective rank still says ${look.rank.toFixed(0)} of ${geometry.dim}: it ignores scale.` : "";
    return `${at} Collapse: every clip gets nearly the same features; ${percent(online)} of their spread is left.${lie}`;
  }
  if (target !== null && target < DEAD)
    return `${at} The target collapsed, with ${percent(target)} of its spread left. The encoder keeps ${percent(online)}.${probe}`;
  return `${at} The features keep ${percent(online)} of their spread.${probe}`;
}

/** The same of the recorded runs of an arm, where nothing can train.  @param {any} arm  or null @param {number} steps */
export function saysRecorded(arm, steps) {
  if (!arm) return "No recorded run has these settings. Choose a chapter above.";
  const last = (key, write) => {
    const ends = arm.runs
      .map(run => run[key].at(-1))
      .sort((a, b) => a - b)
      .map(write);
    return ends[0] === ends.at(-1) ? ends[0] : `${ends[0]} to ${ends.at(-1)}`;
  };
  const target = arm.runs[0].target ? `, their targets ${last("target", percent)}` : "";
  const kept = `the features of ${arm.runs.length} seeds keep ${last("std", percent)} of their spread${target}`;
  return `Recorded: after ${steps} steps of the full model, ${kept}. The loss is ${last("loss", v => v.toPrecision(2))}.`;
}

/** What trains here, in numbers.  @param {{parameters: number, geometry: import("../engine/arms.js").Geometry}} ready */
export function facts({ parameters, geometry: { frames, side, dim, depth, batch } }) {
  const network = `${parameters.toLocaleString("en-US")} weights, an encoder of ${depth} blocks of width ${dim}`;
  return `${network}, and ${batch} clips a step, each of ${frames} frames of ${side} by ${side} pixels.`;
}

/**
 * Fill in the chapters, the guesses, and where the recorded curves come from.
 * @param {(number: number) => void} open  called when a chapter is chosen @param {(guess: keyof typeof FATES) => void} guessed
 * @param {any} recorded
 */
export function writeStory(open, guessed, recorded) {
  const make = (name, properties, ...inside) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...inside);
    return element;
  };
  const chapters = CHAPTERS.map(({ title }, i) =>
    make("li", {}, make("button", { type: "button", onclick: () => open(i) }, `${i + 1}`, make("span", {}, `. ${title}`))),
  );
  const guesses = Object.entries(FATES).map(([name, words]) =>
    make(
      "label",
      {},
      make("input", { type: "radio", name: "guess", value: name, onchange: () => guessed(name) }),
      make("span", {}, words),
    ),
  );
  document.querySelector("#chapters").replaceChildren(...chapters);
  document.querySelector("#guess .choices").replaceChildren(...guesses);
  const seeds = Object.values(recorded.arms).map(({ runs }) => runs.length);
  document.querySelector("#source").textContent =
    `${recorded.steps} steps, ${Math.min(...seeds)} to ${Math.max(...seeds)} seeds. The model here is smaller, so each curve is stretched to the length of its run, and each spread starts at 100 %.`;
}
