import assert from 'node:assert/strict';
import test from 'node:test';
import { coverCrop, greyAlpha, opaque, overColor, overPicture, parseColor, straight, toPlanes } from
  '../../../demo/web/js/pixels.js';

const bytes = (...values) => Uint8ClampedArray.from(values);

test('bytes become planes in RGB order', () => {
  const planes = toPlanes(bytes(255, 0, 51, 255, 0, 102, 255, 255));
  assert.deepEqual([...planes], [1, 0, 0, 0.4, 0.2, 1].map(Math.fround));
});

test('planes are reused when given', () => {
  const planes = new Float32Array(3);
  assert.equal(toPlanes(bytes(1, 2, 3, 255), planes), planes);
});

test('the foreground, not the source, stands over the colour, and values are rounded', () => {
  const fgr = Float32Array.of(1, 0.5, 0, 0.5, 0.2, 0.5), pha = Float32Array.of(0.5, 0.25); // planes of two pixels
  assert.deepEqual([...overColor(fgr, pha, [0, 100, 200])], [128, 50, 126, 255, 32, 107, 182, 255]);
});

test('over a picture', () => {
  const fgr = Float32Array.of(1, 1, 1), pha = Float32Array.of(0.25);
  assert.deepEqual([...overPicture(fgr, pha, bytes(0, 100, 200, 9))], [64, 139, 214, 255]);
});

test('straight alpha keeps the full colour at an edge: no dark fringe', () => {
  const out = straight(Float32Array.of(1, 1, 0.5, 0.5, 0, 0), Float32Array.of(0.1, 0));
  assert.deepEqual([...out.slice(0, 4)], [255, 128, 0, 26]);
  assert.deepEqual([...out.slice(4)], [0, 0, 0, 0], 'nothing of the room stays where alpha is 0');
});

test('straight alpha over a colour is what overColor gives', () => {
  const fgr = Float32Array.of(0.8, 0.3, 0.1), pha = Float32Array.of(0.6), color = [10, 200, 90];
  const [r, g, b, a] = straight(fgr, pha), over = overColor(fgr, pha, color);
  [r, g, b].forEach((value, c) => assert.ok(Math.abs(value * a / 255 + color[c] * (1 - a / 255) - over[c]) <= 1));
});

test('alpha and foreground as pictures', () => {
  assert.deepEqual([...greyAlpha(Float32Array.of(0.2))], [51, 51, 51, 255]);
  assert.deepEqual([...opaque(Float32Array.of(1, 0.2, 0))], [255, 51, 0, 255]);
});

test('colours are checked', () => {
  assert.deepEqual(parseColor('#2b6cB0'), [43, 108, 176]);
  assert.throws(() => parseColor('blue'), /#rrggbb, got blue/);
});

test('a picture covers the frame around its centre', () => {
  assert.deepEqual(coverCrop(400, 200, 100, 100), [100, 0, 200, 200]);
  assert.deepEqual(coverCrop(100, 400, 200, 100), [0, 175, 100, 50]);
});
