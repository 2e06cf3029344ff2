import assert from 'node:assert/strict';
import test from 'node:test';
import { blurPlane, blurredRoom, boxRadii, enlarge, shrink } from '../../../demo/web/js/blur.js';

test('shrinking is a mean', () => {
  assert.deepEqual([...shrink(Float32Array.of(1, 3, 5, 7, 0, 0, 4, 4), 4, 2, 1, 1, 2, 1)], [1, 5]);
});

test('box radii have the variance that was asked for', () => {
  for (const sigma of [1, 2.5, 5.4, 18]) {
    const variance = boxRadii(sigma).reduce((sum, r) => sum + (r * (r + 1)) / 3, 0);
    assert.ok(Math.abs(Math.sqrt(variance) - sigma) < 0.35, `sigma ${sigma} became ${Math.sqrt(variance)}`);
  }
});

test('a blur keeps constants and spreads a point like a Gaussian', () => {
  assert.ok(blurPlane(new Float32Array(60).fill(3), 10, 6, 2).every((value) => Math.abs(value - 3) < 1e-5));
  const n = 61, sigma = 4, plane = new Float32Array(n * n);
  plane[30 * n + 30] = 1;
  const blurred = blurPlane(plane, n, n, sigma);
  let mass = 0, moment = 0;
  blurred.forEach((value, p) => {
    mass += value;
    moment += value * ((p % n) - 30) ** 2;
  });
  assert.ok(Math.abs(mass - 1) < 1e-5);
  assert.ok(Math.abs(Math.sqrt(moment) - sigma) < 0.06 * sigma, `sigma ${Math.sqrt(moment)}`);
  const middle = blurred.slice(30 * n + 30, 31 * n);
  assert.ok(middle.every((value, i) => i === 0 || value <= middle[i - 1] + 1e-8), 'falls on all sides');
});

test('a blur reflects at the border as OpenCV does', () => {
  // box of radius 1 three times is wide enough to reach the border; symmetric input stays symmetric
  const blurred = blurPlane(Float32Array.of(0, 0, 9, 0, 0), 5, 1, 1);
  assert.equal(blurred[0], blurred[4]);
  assert.equal(blurred[1], blurred[3]);
});

test('enlarging aligns pixel centres', () => {
  const out = enlarge(Uint8ClampedArray.of(0, 0, 0, 255, 100, 0, 0, 255), 2, 1, 4, 1);
  assert.deepEqual([0, 4, 8, 12].map((i) => out[i]), [0, 25, 75, 100]);
});

test('people do not shine into the blurred room', () => {
  const width = 160, height = 90, rgba = new Uint8ClampedArray(width * height * 4), pha = new Float32Array(width * height);
  for (let p = 0; p < width * height; p++) {
    const person = Math.abs((p % width) - 80) < 20;
    pha[p] = person ? 1 : 0;
    rgba.set(person ? [255, 0, 0, 255] : [0, 100, 0, 255], 4 * p);
  }
  const room = blurredRoom(rgba, pha, width, height, 5), at = (45 * width + 58) * 4; // just outside the person
  assert.ok(room[at] < 3, `red ${room[at]}`);
  assert.ok(Math.abs(room[at + 1] - 100) < 3, `green ${room[at + 1]}`);
  assert.equal(room.length, rgba.length);
});
