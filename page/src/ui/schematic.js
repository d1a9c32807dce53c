// The diagram in page.html.  Here it learns what the switches are; style.css shows and hides its arrows accordingly.
import { halfLife, name, percent } from "./state.js";

const DEAD = 0.1; // a network whose features keep less than this share of their spread is drawn as dead

/** How the average moves, in a few words.  @param {import("./state.js").Settings} settings */
export function momentumWords({ momentum, schedule }) {
  if (momentum === 1) return "never moves";
  if (momentum === 0) return "copies each step";
  const life = halfLife(momentum),
    steps = life < 10 ? life.toFixed(1) : Math.round(life);
  return schedule ? `${momentum}, rising to 1` : `half-life ${steps} steps`;
}

/**
 * @param {SVGElement} svg @param {import("./state.js").Settings} settings
 * @param {{shares: [number, number | null], loss: number | undefined, moving: boolean}} now
 */
export function drawSchematic(svg, settings, { shares: [online, target], loss, moving }) {
  const { stop, regulariser } = settings,
    kind = settings.target,
    frozen = kind === "ema" && settings.momentum === 1 && !settings.schedule;
  Object.assign(svg.dataset, {
    target: kind,
    stop: stop ? "on" : "off",
    frozen: frozen ? "yes" : "no",
    extra: regulariser,
    moving: moving ? "yes" : "no",
  });
  const write = (id, words) => {
    svg.querySelector(`#draws-${id}`).textContent = words;
  };
  const spread = share => `spread ${percent(share).replace("under", "<")}`,
    its = kind === "ema" ? (target ?? online) : online;
  write("online", spread(online));
  write("target-spread", kind === "pixels" ? "don't change" : spread(its));
  write("target", { ema: "target encoder", online: "same encoder", pixels: "hidden pixels" }[kind]);
  write("average", { ema: frozen ? "no average" : "slow average", online: "same weights", pixels: "" }[kind]);
  write("momentum", kind === "ema" ? momentumWords(settings) : "");
  write("stop", kind === "pixels" ? "" : stop ? "stop-gradient" : "gradient gets in");
  write("extra", `+ ${name(regulariser)}`);
  write("loss", loss === undefined ? "" : loss.toPrecision(2));
  svg.querySelector(".box.online").classList.toggle("dead", online < DEAD);
  svg.querySelector(".box.target").classList.toggle("dead", kind !== "pixels" && its < DEAD);
  const words = describe(settings, frozen);
  if (svg.getAttribute("aria-label") !== words) svg.setAttribute("aria-label", words);
}

function describe({ target, stop, regulariser, momentum }, frozen) {
  const made = {
    ema: frozen
      ? "a copy of the encoder that never moves"
      : `a target encoder, a slow average of the encoder with momentum ${momentum}`,
    online: "the same encoder, on the whole clip",
    pixels: "the hidden pixels",
  }[target];
  const gradient =
    target === "pixels"
      ? ""
      : stop
        ? " Stop-gradient: the gradient doesn't reach the target."
        : " The gradient also reaches the target.";
  const extra = regulariser === "none" ? "" : ` ${name(regulariser)} is added to the loss.`;
  return `Diagram. The visible part of the clip goes through the encoder and the predictor to the loss. The target comes from ${made}.${gradient}${extra}`;
}
