// Downsample ratio: how small the network sees a frame. The rule is the converter's (engine/sizes.py).

const SHAPE = 9 / 16; // of the frames that a long side is said of

/**
 * Ratio that gives a frame as many pixels as one of 16:9 with the long side `longSide` [px], never above 1.
 * @param {number} width [px]
 * @param {number} height [px]
 * @param {number} longSide [px] 512 suits RVM's weights
 * @returns {number} in (0, 1]
 */
export function autoRatio(width, height, longSide = 512) {
  const longest = Math.max(width, height);
  const side = longSide * Math.sqrt((SHAPE * longest) / Math.min(width, height));
  return Math.min(Math.round(side) / longest, 1);
}

/**
 * What a choice of the page means for one frame size, as a single-precision number.
 * @param {string} choice 'portrait', 'full-body', or a number in (0, 1] as text
 * @param {number} inferenceSize [px] long side that the weights are for; full bodies get 1.5 times that
 */
export function ratioOf(choice, width, height, inferenceSize = 512) {
  if (choice === 'portrait') return float32Up(autoRatio(width, height, inferenceSize));
  if (choice === 'full-body') return float32Up(autoRatio(width, height, Math.round(1.5 * inferenceSize)));
  const ratio = Number(choice);
  if (!(ratio > 0 && ratio <= 1)) throw new RangeError(`ratio must be in (0, 1], portrait or full-body, got ${choice}`);
  return float32Up(ratio);
}

/** The single-precision number at or above `value`: the network reads such a one, and 511.99998 pixels would be 511. */
function float32Up(value) {
  const single = Float32Array.of(value);
  if (single[0] < value) new Int32Array(single.buffer)[0]++; // of a positive number, the next one
  return single[0];
}

/** [width, height] [px] of what the network sees. */
export function insideSize(width, height, ratio) {
  return [Math.floor(width * ratio), Math.floor(height * ratio)];
}

/** [width, height] [px], both at least 2, with the long side brought down to `limit`; smaller frames stay. */
export function limitSize(width, height, limit) {
  const scale = Math.min(1, limit / Math.max(width, height));
  return [Math.max(2, Math.round(width * scale)), Math.max(2, Math.round(height * scale))];
}
