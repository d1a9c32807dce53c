// The switches: real inputs that show the settings and ask for changes.
import { LAMBDAS, MOMENTA, changed } from "./state.js";
import { momentumWords } from "./schematic.js";

const RADIOS = ["target", "regulariser", "predictor", "model"];

/** Steps a second on the speed's slider; 0 is as fast as it goes. */
export const SPEEDS = [1, 5, 10, 20, 40, 80, 0];
const get = id => document.getElementById(id);

/** The stop of a slider that is nearest to a value.  @param {number[]} stops @param {number} value */
const nearest = (stops, value) =>
  stops.reduce((best, stop, i) => (Math.abs(stop - value) < Math.abs(stops[best] - value) ? i : best), 0);

export class Controls {
  /** @param {(next: import("./state.js").Settings) => void} change  called with new settings, which it may refuse by calling show again */
  constructor(change) {
    this.settings = null;
    get("momentum").max = MOMENTA.length - 1;
    get("lambda").max = LAMBDAS.length - 1;
    const ask = part => change(changed(this.settings, part));
    for (const key of RADIOS)
      for (const radio of document.getElementsByName(key)) radio.addEventListener("change", () => ask({ [key]: radio.value }));
    get("stop").addEventListener("change", event => ask({ stop: event.target.checked }));
    get("momentum").addEventListener("input", event => ask({ momentum: MOMENTA[event.target.value] }));
    get("lambda").addEventListener("input", event => ask({ lambda: LAMBDAS[event.target.value] }));
    get("seed").addEventListener("change", event => {
      const seed = Number(event.target.value);
      if (event.target.value !== "" && Number.isInteger(seed) && seed >= 0 && seed <= 9999) ask({ seed });
      else this.show(this.settings);
    });
    get("switches").addEventListener("submit", event => event.preventDefault());
  }

  /** Make every switch show these settings.  @param {import("./state.js").Settings} settings */
  show(settings) {
    this.settings = settings;
    for (const key of RADIOS) for (const radio of document.getElementsByName(key)) radio.checked = radio.value === settings[key];
    const pixels = settings.target === "pixels";
    get("stop").checked = settings.stop;
    get("stop").disabled = pixels;
    get("stop-words").textContent = pixels
      ? "Nothing to stop: pixels don't learn."
      : settings.stop
        ? "No gradient reaches the target."
        : "The gradient changes the target, too.";
    get("momentum").value = nearest(MOMENTA, settings.momentum);
    get("momentum").disabled = settings.target !== "ema";
    say(
      "momentum",
      settings.target === "ema"
        ? [settings.schedule || settings.momentum % 1 === 0 ? "" : settings.momentum, momentumWords(settings)]
            .filter(Boolean)
            .join(", ")
        : "no average",
    );
    get("lambda").value = nearest(LAMBDAS, settings.lambda);
    get("lambda").disabled = settings.regulariser === "none";
    say("lambda", settings.regulariser === "none" ? "no term" : String(settings.lambda));
    for (const radio of document.getElementsByName("regulariser")) radio.disabled = pixels;
    for (const radio of document.getElementsByName("predictor")) radio.disabled = pixels;
    get("seed").value = settings.seed;
  }

  /** Show how fast it should go, and what this computer manages if that's less.  @param {number} index  in SPEEDS @param {number} [pace] */
  showSpeed(index, pace = SPEEDS[index]) {
    const wanted = SPEEDS[index],
      words = `${wanted} step${wanted > 1 ? "s" : ""} a second`,
      got = pace && pace.toFixed(pace < 10 ? 1 : 0);
    get("speed").value = index;
    say(
      "speed",
      !wanted ? `as fast as it goes${got ? `: ${got} a second` : ""}` : pace < 0.8 * wanted ? `${got} of ${words}` : words,
    );
  }
}

/** Write a slider's value beside it, and into what screen readers say. */
function say(id, words) {
  get(`${id}-words`).textContent = words;
  get(id).setAttribute("aria-valuetext", words);
}
