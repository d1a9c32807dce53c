// A canvas as sharp as the screen, and the page's colors on it.

/** The value of a color of style.css.  @param {string} color */
export const ink = color => getComputedStyle(document.documentElement).getPropertyValue(`--${color}`);

/**
 * An empty canvas of as many pixels as the screen has under it; the brush measures in CSS pixels.
 * @param {HTMLCanvasElement} canvas @returns {{brush: CanvasRenderingContext2D, width: number, height: number}}
 */
export function brushOn(canvas) {
  const width = canvas.clientWidth,
    height = canvas.clientHeight,
    scale = window.devicePixelRatio || 1;
  const brush = canvas.getContext("2d");
  const pixels = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== pixels[0]) canvas.width = pixels[0];
  if (canvas.height !== pixels[1]) canvas.height = pixels[1];
  brush.setTransform(scale, 0, 0, scale, 0, 0);
  brush.clearRect(0, 0, width, height);
  brush.font = "14px " + getComputedStyle(document.body).fontFamily;
  return { brush, width, height };
}
