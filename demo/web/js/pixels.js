// Between canvas bytes (RGBA, straight alpha, sRGB 0-255) and the network's planes (NCHW, RGB, 0-1).

/**
 * Canvas bytes to network planes.
 * @param {Uint8ClampedArray} rgba H*W*4
 * @param {Float32Array} [planes] 3*H*W, reused when given
 * @returns {Float32Array} 3*H*W in [0, 1]
 */
export function toPlanes(rgba, planes = new Float32Array((rgba.length / 4) * 3)) {
  const area = rgba.length / 4;
  for (let p = 0, q = 0; p < area; p++, q += 4) {
    planes[p] = rgba[q] / 255;
    planes[p + area] = rgba[q + 1] / 255;
    planes[p + 2 * area] = rgba[q + 2] / 255;
  }
  return planes;
}

/**
 * Foreground over a colour: fgr * pha + bgr * (1 - pha).
 * @param {Float32Array} fgr 3*H*W in [0, 1]
 * @param {Float32Array} pha H*W in [0, 1]
 * @param {number[]} color RGB 0-255
 * @returns {Uint8ClampedArray} H*W*4, opaque
 */
export function overColor(fgr, pha, color) {
  const area = pha.length, out = new Uint8ClampedArray(area * 4);
  const [red, green, blue] = color;
  for (let p = 0, q = 0; p < area; p++, q += 4) {
    const a = pha[p], rest = 1 - a, scale = a * 255;
    out[q] = fgr[p] * scale + red * rest;
    out[q + 1] = fgr[p + area] * scale + green * rest;
    out[q + 2] = fgr[p + 2 * area] * scale + blue * rest;
    out[q + 3] = 255;
  }
  return out;
}

/**
 * Foreground over a picture of the same size.
 * @param {Uint8ClampedArray} bgr H*W*4, its alpha is ignored
 * @returns {Uint8ClampedArray} H*W*4, opaque
 */
export function overPicture(fgr, pha, bgr) {
  const area = pha.length, out = new Uint8ClampedArray(area * 4);
  for (let p = 0, q = 0; p < area; p++, q += 4) {
    const a = pha[p], rest = 1 - a, scale = a * 255;
    out[q] = fgr[p] * scale + bgr[q] * rest;
    out[q + 1] = fgr[p + area] * scale + bgr[q + 1] * rest;
    out[q + 2] = fgr[p + 2 * area] * scale + bgr[q + 2] * rest;
    out[q + 3] = 255;
  }
  return out;
}

/**
 * Foreground with straight alpha: the colour is not multiplied, so an edge keeps the colour of the person and gets no
 * dark fringe over whatever comes behind. Canvas and WebM both take it like this.
 * @returns {Uint8ClampedArray} H*W*4; black where alpha is 0, so that nothing of the room is hidden in the file
 */
export function straight(fgr, pha) {
  const area = pha.length, out = new Uint8ClampedArray(area * 4);
  for (let p = 0, q = 0; p < area; p++, q += 4) {
    out[q + 3] = pha[p] * 255;
    if (out[q + 3] === 0) continue;
    out[q] = fgr[p] * 255;
    out[q + 1] = fgr[p + area] * 255;
    out[q + 2] = fgr[p + 2 * area] * 255;
  }
  return out;
}

/** Alpha as an opaque grey picture, H*W*4. */
export function greyAlpha(pha) {
  const out = new Uint8ClampedArray(pha.length * 4);
  for (let p = 0, q = 0; p < pha.length; p++, q += 4) {
    out[q] = out[q + 1] = out[q + 2] = pha[p] * 255;
    out[q + 3] = 255;
  }
  return out;
}

/** Foreground colours as an opaque picture, H*W*4. */
export function opaque(fgr) {
  const area = fgr.length / 3, out = new Uint8ClampedArray(area * 4);
  for (let p = 0, q = 0; p < area; p++, q += 4) {
    out[q] = fgr[p] * 255;
    out[q + 1] = fgr[p + area] * 255;
    out[q + 2] = fgr[p + 2 * area] * 255;
    out[q + 3] = 255;
  }
  return out;
}

/** '#rrggbb' -> [r, g, b] 0-255. */
export function parseColor(text) {
  if (!/^#[0-9a-f]{6}$/i.test(text)) throw new RangeError(`colour must be #rrggbb, got ${text}`);
  return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
}

/** The centred part [x, y, width, height] of a picture that covers a frame without distortion. */
export function coverCrop(pictureWidth, pictureHeight, width, height) {
  const scale = Math.min(pictureWidth / width, pictureHeight / height);
  const w = width * scale, h = height * scale;
  return [(pictureWidth - w) / 2, (pictureHeight - h) / 2, w, h];
}
