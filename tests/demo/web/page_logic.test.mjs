import assert from 'node:assert/strict';
import test from 'node:test';
import { Meter } from '../../../demo/web/js/meter.js';
import { chooseThreads } from '../../../demo/web/js/runtime.js';
import { nextChannel, signed, stateTile, strength } from '../../../demo/web/js/states.js';
import { alphaPlanes, colorPlanes, evenSize } from '../../../demo/web/js/yuv.js';

test('frames per second over the last two seconds', () => {
  const meter = new Meter();
  assert.equal(meter.fps, null);
  for (let i = 0; i < 100; i++) meter.add(1000 + 50 * i, 80);
  assert.ok(Math.abs(meter.fps - 20) < 0.01);
  assert.ok(Math.abs(meter.latency - 80) < 1e-9);
  meter.reset();
  assert.equal(meter.latency, null);
});

test('threads need an isolated page', () => {
  assert.deepEqual(chooseThreads(null, 4, true), { threads: 4, reason: '' });
  assert.equal(chooseThreads(null, 64, true).threads, 8);
  assert.equal(chooseThreads(2, 64, true).threads, 2);
  assert.equal(chooseThreads(4, 64, false).threads, 1);
  assert.match(chooseThreads(null, 4, false).reason, /COOP/);
});

test('a state is shown as mean strength or as one signed channel', () => {
  const data = Float32Array.of(1, -1, 0, 0, 0.5, 0.5, 0, -1), shape = [1, 2, 2, 2];
  const pixel = (tile, i) => [...tile.slice(4 * i, 4 * i + 4)];
  const color = (values) => [...Uint8ClampedArray.from(values)];
  assert.deepEqual(pixel(stateTile(data, shape, -1), 0), color(strength(0.75)));
  assert.deepEqual(pixel(stateTile(data, shape, 0), 1), color(signed(-1)));
  assert.deepEqual(pixel(stateTile(data, shape, 1), 0), color(signed(0.5)));
  assert.notDeepEqual(signed(1), signed(-1));
});

test('channels follow one another and return to the mean', () => {
  assert.deepEqual([nextChannel(-1, 2), nextChannel(0, 2), nextChannel(1, 2)], [0, 1, -1]);
});

test('video colours: BT.709, limited range', () => {
  const flat = (r, g, b) => colorPlanes(Uint8ClampedArray.from(Array(4).fill([r, g, b, 0]).flat()), 2, 2);
  assert.deepEqual([...flat(0, 0, 0)], [16, 16, 16, 16, 128, 128]);
  assert.deepEqual([...flat(255, 255, 255)], [235, 235, 235, 235, 128, 128]);
  assert.deepEqual([...flat(255, 0, 0)], [63, 63, 63, 63, 102, 240]);
});

test('odd sizes repeat the last row and column', () => {
  assert.deepEqual(evenSize(3, 2), [4, 2]);
  const alpha = (values) => Uint8ClampedArray.from(values.flatMap((a) => [0, 0, 0, a]));
  assert.deepEqual([...alphaPlanes(alpha([1, 2, 3, 4, 5, 6]), 3, 2)], [1, 2, 3, 3, 4, 5, 6, 6, 128, 128, 128, 128]);
});
