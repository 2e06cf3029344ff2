// What the network remembers, as pictures.

/**
 * One picture of a recurrent state.
 * @param {Float32Array} data C*h*w, in [-1, 1]: a GRU mixes values of tanh
 * @param {number[]} shape [1, C, h, w]
 * @param {number} channel 0..C-1, or -1 for the mean strength of all channels
 * @returns {Uint8ClampedArray} h*w*4
 */
export function stateTile(data, [, channels, h, w], channel) {
  const area = h * w, out = new Uint8ClampedArray(area * 4);
  for (let p = 0; p < area; p++) {
    let color;
    if (channel < 0) {
      let sum = 0;
      for (let c = 0; c < channels; c++) sum += Math.abs(data[c * area + p]);
      color = strength(sum / channels);
    } else {
      color = signed(data[channel * area + p]);
    }
    out.set(color, 4 * p);
  }
  return out;
}

/** 0 dark blue, 0.5 teal, 1 pale yellow: readable in grey too. */
export function strength(value) {
  const t = Math.min(1, Math.max(0, value));
  return [255 * t * t, 25 + 215 * t, 70 + 110 * Math.sin(Math.PI * Math.min(1, t * 1.2)), 255];
}

/** -1 blue, 0 nearly white, 1 orange. */
export function signed(value) {
  const t = Math.min(1, Math.max(-1, value)), fade = 1 - Math.abs(t);
  return t < 0 ? [40 + 205 * fade, 110 + 135 * fade, 200 + 45 * fade, 255]
               : [215 + 30 * fade, 110 + 135 * fade, 30 + 215 * fade, 255];
}

/** The channel after this one: mean (-1), 0, 1, ..., C-1, mean. */
export function nextChannel(channel, channels) {
  return channel + 1 < channels ? channel + 1 : -1;
}
