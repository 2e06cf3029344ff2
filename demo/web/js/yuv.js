// Canvas bytes to the planes a video encoder takes: I420, BT.709, limited range. Encoders that are given RGB choose a
// matrix themselves and do not always say which.

export const COLOR_SPACE = { matrix: 'bt709', primaries: 'bt709', transfer: 'bt709', fullRange: false };

/** Even size of the video: 4:2:0 halves the sides. An odd row or column is repeated, as the converter does. */
export function evenSize(width, height) {
  return [width + (width % 2), height + (height % 2)];
}

/**
 * Colours, alpha ignored.
 * @param {Uint8ClampedArray} rgba height*width*4
 * @returns {Uint8ClampedArray} I420 of the even size: Y, then U and V at half size
 */
export function colorPlanes(rgba, width, height) {
  const [W, H] = evenSize(width, height), out = new Uint8ClampedArray((W * H * 3) / 2);
  const u = W * H, v = u + (W * H) / 4;
  for (let y = 0; y < H; y += 2) {
    for (let x = 0; x < W; x += 2) {
      let red = 0, green = 0, blue = 0;
      for (let k = 0; k < 4; k++) {
        const row = y + (k >> 1), column = x + (k & 1);
        const at = 4 * (Math.min(row, height - 1) * width + Math.min(column, width - 1));
        const r = rgba[at], g = rgba[at + 1], b = rgba[at + 2];
        out[row * W + column] = 16 + 0.182586 * r + 0.614231 * g + 0.062007 * b;
        red += r;
        green += g;
        blue += b;
      }
      const at = (y / 2) * (W / 2) + x / 2;
      out[u + at] = 128 + (-0.100644 * red - 0.338572 * green + 0.439216 * blue) / 4;
      out[v + at] = 128 + (0.439216 * red - 0.398942 * green - 0.040274 * blue) / 4;
    }
  }
  return out;
}

/** Alpha as the brightness of a grey I420 picture, 0-255: the way WebM keeps transparency. */
export function alphaPlanes(rgba, width, height) {
  const [W, H] = evenSize(width, height), out = new Uint8ClampedArray((W * H * 3) / 2).fill(128);
  for (let y = 0, p = 0; y < H; y++) {
    for (let x = 0; x < W; x++, p++) {
      out[p] = rgba[4 * (Math.min(y, height - 1) * width + Math.min(x, width - 1)) + 3];
    }
  }
  return out;
}
