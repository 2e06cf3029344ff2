// The room out of focus, made from the source. People are left out of the blur, so that no halo of them surrounds them:
// the rule of the converter's BlurBackground (video/background.py), at half its height for speed.

const HEIGHT = 180; // [px] the room is blurred at; a wide blur holds no detail that more would keep
const PASSES = 3; // of a box filter, which together are close to a Gaussian

/**
 * Mean of the pixels below each small pixel.
 * @param {Uint8ClampedArray|Float32Array} data H*W*stride values
 * @param {number} stride values per pixel; the first `channels` are used
 * @returns {Float32Array} channels*h*w planes, in the units of `data`
 */
export function shrink(data, width, height, stride, channels, w, h) {
  const out = new Float32Array(channels * h * w);
  for (let y = 0; y < h; y++) {
    const top = Math.floor((y * height) / h), bottom = Math.max(top + 1, Math.floor(((y + 1) * height) / h));
    for (let x = 0; x < w; x++) {
      const left = Math.floor((x * width) / w), right = Math.max(left + 1, Math.floor(((x + 1) * width) / w));
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let v = top; v < bottom; v++) {
          for (let u = left; u < right; u++) sum += data[(v * width + u) * stride + c];
        }
        out[(c * h + y) * w + x] = sum / ((bottom - top) * (right - left));
      }
    }
  }
  return out;
}

/** Mean over 2r+1 values along one axis; the border reflects without repeating its own value, as in OpenCV. */
function boxLine(from, to, start, step, count, r, line) {
  const period = 2 * (count - 1) || 1;
  for (let i = 0; i < count; i++) line[r + i] = from[start + i * step];
  for (let i = 1; i <= r; i++) {
    const before = i % period, after = (count - 1 + i) % period;
    line[r - i] = line[r + (before < count ? before : period - before)];
    line[r + count - 1 + i] = line[r + (after < count ? after : period - after)];
  }
  let sum = 0;
  for (let i = 0; i < 2 * r; i++) sum += line[i];
  for (let i = 0; i < count; i++) {
    sum += line[i + 2 * r];
    to[start + i * step] = sum / (2 * r + 1);
    sum -= line[i];
  }
}

/**
 * Nearly Gaussian blur of one h*w plane.
 * @param {number} sigma [px]
 */
export function blurPlane(plane, w, h, sigma) {
  let from = Float32Array.from(plane), to = new Float32Array(plane.length);
  for (const r of boxRadii(sigma)) {
    const line = new Float64Array(Math.max(w, h) + 2 * r);
    for (let y = 0; y < h; y++) boxLine(from, to, y * w, 1, w, r, line);
    [from, to] = [to, from];
    for (let x = 0; x < w; x++) boxLine(from, to, x, w, h, r, line);
    [from, to] = [to, from];
  }
  return from;
}

/** Radii of the box passes whose variances add up nearest to sigma squared. */
export function boxRadii(sigma) {
  const radii = [];
  let left = sigma * sigma; // a box of 2r+1 values has variance r(r+1)/3
  for (let pass = PASSES; pass > 0; pass--) {
    const r = Math.max(0, Math.round(Math.sqrt((3 * left) / pass + 0.25) - 0.5));
    radii.push(r);
    left = Math.max(0, left - (r * (r + 1)) / 3);
  }
  return radii;
}

/**
 * Blurred room at the size of the frame.
 * @param {Uint8ClampedArray} rgba H*W*4 source
 * @param {Float32Array} pha H*W in [0, 1]
 * @param {number} radius standard deviation in hundredths of the height
 * @returns {Uint8ClampedArray} H*W*4, opaque
 */
export function blurredRoom(rgba, pha, width, height, radius) {
  const h = Math.min(HEIGHT, height), w = Math.max(1, Math.round((width * h) / height)), area = w * h;
  const room = shrink(rgba, width, height, 4, 3, w, h);
  const visible = shrink(pha, width, height, 1, 1, w, h);
  // a pixel that is even slightly person does not count as room
  for (let p = 0; p < area; p++) visible[p] = Math.min(1, Math.max(0, 1 - 2 * visible[p]));
  const sigma = (radius / 100) * h, weight = blurPlane(visible, w, h, sigma);
  const small = new Uint8ClampedArray(area * 4);
  for (let c = 0; c < 3; c++) {
    const plane = room.subarray(c * area, (c + 1) * area);
    const near = blurPlane(plane.map((value, p) => value * visible[p]), w, h, sigma);
    const far = blurPlane(plane, w, h, sigma); // deep inside a person no room is near
    for (let p = 0; p < area; p++) {
      const mix = Math.min(1, Math.max(0, weight[p] * 20));
      small[4 * p + c] = (near[p] / Math.max(weight[p], 1e-4)) * mix + far[p] * (1 - mix);
    }
  }
  for (let p = 0; p < area; p++) small[4 * p + 3] = 255;
  return enlarge(small, w, h, width, height);
}

/** Bilinear, pixel centres aligned. RGBA bytes in, RGBA bytes out. */
export function enlarge(small, w, h, width, height) {
  const out = new Uint8ClampedArray(width * height * 4);
  const [left, right, across] = taps(width, w), [above, below, down] = taps(height, h);
  for (let y = 0, q = 0; y < height; y++) {
    const top = above[y] * w, bottom = below[y] * w, fy = down[y];
    for (let x = 0; x < width; x++, q += 4) {
      const fx = across[x], a = 4 * (top + left[x]), b = 4 * (top + right[x]);
      const c = 4 * (bottom + left[x]), d = 4 * (bottom + right[x]);
      for (let k = 0; k < 4; k++) {
        const upper = small[a + k] + (small[b + k] - small[a + k]) * fx;
        const lower = small[c + k] + (small[d + k] - small[c + k]) * fx;
        out[q + k] = upper + (lower - upper) * fy;
      }
    }
  }
  return out;
}

/** For every large position: the two small ones around it and the share of the second. */
function taps(large, small) {
  const low = new Int32Array(large), high = new Int32Array(large), share = new Float32Array(large);
  for (let i = 0; i < large; i++) {
    const at = Math.max(0, ((i + 0.5) * small) / large - 0.5);
    low[i] = Math.min(small - 1, Math.floor(at));
    high[i] = Math.min(small - 1, low[i] + 1);
    share[i] = at - low[i];
  }
  return [low, high, share];
}
