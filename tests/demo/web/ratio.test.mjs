import assert from 'node:assert/strict';
import test from 'node:test';
import { autoRatio, insideSize, limitSize, ratioOf } from '../../../demo/web/js/ratio.js';

test('automatic ratio', () => {
  assert.equal(autoRatio(1280, 720), 0.4);
  assert.equal(autoRatio(320, 240), 1);
  assert.equal(autoRatio(2000, 200), 1214 / 2000, 'very wide frames get as many pixels');
  assert.equal(autoRatio(1000, 1000), 0.384, 'square ones too');
});

test('choices of the page', () => {
  assert.equal(ratioOf('portrait', 1024, 576), 0.5);
  assert.equal(ratioOf('full-body', 1024, 576), 0.75);
  assert.equal(ratioOf('portrait', 1024, 576, 384), 0.375);
  assert.equal(ratioOf('full-body', 1024, 576, 384), 0.5625);
  assert.equal(ratioOf('0.25', 1024, 576), 0.25);
  for (const bad of ['0', '1.5', 'x', '']) assert.throws(() => ratioOf(bad, 9, 9), /ratio must be in \(0, 1\]/);
});

test('the ratio survives single precision', () => {
  // 512 / 854 rounded to the nearest single is a little less, and 854 times that is not 512 any more
  const ratio = ratioOf('portrait', 854, 480);
  assert.ok(Math.fround(512 / 854) * 854 < 512);
  assert.equal(ratio, Math.fround(ratio));
  assert.deepEqual(insideSize(854, 480, ratio), [512, 287]);
  for (let width = 513; width < 4000; width++) {
    const wanted = Math.min(width, Math.round(512 * Math.sqrt(((9 / 16) * Math.max(width, 400)) / Math.min(width, 400))));
    assert.equal(insideSize(width, 400, ratioOf('portrait', width, 400))[0] >= wanted, true, `${width}`);
  }
  assert.equal(ratioOf('1', 9, 9), 1);
});

test('inside size is rounded down', () => {
  assert.deepEqual(insideSize(1280, 720, 0.4), [512, 288]);
  assert.deepEqual(insideSize(641, 361, 0.5), [320, 180]);
});

test('large frames are brought down, small ones stay', () => {
  assert.deepEqual(limitSize(3840, 2160, 1280), [1280, 720]);
  assert.deepEqual(limitSize(641, 361, 1280), [641, 361]);
});
