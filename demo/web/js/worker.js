// The page's second thread: network, backgrounds, composition. The page stays quick while a frame takes its time.
//
// in:  load, background, reset, frame        out: progress, ready, result, error

import { blurredRoom } from './blur.js';
import { Network, download } from './network.js';
import { coverCrop, greyAlpha, opaque, overColor, overPicture, straight, toPlanes } from './pixels.js';
import { insideSize, ratioOf } from './ratio.js';
import { startRuntime } from './runtime.js';
import { stateTile } from './states.js';

let network = null;
let background = { kind: 'color', color: [0, 177, 64] };
let fitted = null; // the background picture at the size of the frames
let planes = null;
let inferenceSize = 512; // [px] long side that the weights are for

async function load({ model, engine, threads }) {
  const bytes = await download(new URL(model, self.location), (loaded, total) => post('progress', { loaded, total }));
  let runtime = await startRuntime(engine, threads);
  try {
    network = await Network.create(runtime, bytes);
  } catch (error) {
    if (engine !== 'auto' || runtime.engine !== 'webgpu') throw error;
    runtime = await startRuntime('wasm', threads);
    runtime.notes.push(`WebGPU cannot run this model (${error.message}): using WASM`);
    network = await Network.create(runtime, bytes);
  }
  inferenceSize = await readInferenceSize(model);
  post('ready', { engine: runtime.engine, label: runtime.label, notes: runtime.notes, bytes: bytes.length });
}

/** What the card beside the model says; other files than ours have none, and get RVM's 512. */
async function readInferenceSize(model) {
  const answer = await fetch(new URL(model.replace(/\.onnx$/, '.json'), self.location));
  if (!answer.ok) return 512;
  return (await answer.json()).inference_size ?? 512;
}

/** The background picture, cropped and scaled to cover a frame. */
function fittedPicture(width, height) {
  if (fitted?.width !== width || fitted?.height !== height) {
    const { picture } = background, canvas = new OffscreenCanvas(width, height), context = canvas.getContext('2d');
    context.imageSmoothingQuality = 'high';
    context.drawImage(picture, ...coverCrop(picture.width, picture.height, width, height), 0, 0, width, height);
    fitted = context.getImageData(0, 0, width, height);
  }
  return fitted.data;
}

function compose(view, src, { fgr, pha }, width, height) {
  if (view === 'alpha') return greyAlpha(pha);
  if (view === 'foreground') return opaque(fgr);
  switch (background.kind) {
    case 'transparent': return straight(fgr, pha);
    case 'image': return overPicture(fgr, pha, fittedPicture(width, height));
    case 'blur': return overPicture(fgr, pha, blurredRoom(src, pha, width, height, background.radius));
    default: return overColor(fgr, pha, background.color);
  }
}

async function frame({ pixels, width, height, ratio: choice, view, channels }) {
  const src = new Uint8ClampedArray(pixels), ratio = ratioOf(choice, width, height, inferenceSize);
  const began = performance.now();
  if (planes?.length !== 3 * width * height) planes = new Float32Array(3 * width * height);
  toPlanes(src, planes);
  const prepared = performance.now();
  const prediction = await network.step(planes, width, height, ratio);
  const predicted = performance.now();
  const out = compose(view, src, prediction, width, height);
  const composed = performance.now();
  const tiles = !channels ? [] : (await network.readStates()).map(({ name, data, shape }, i) => ({
    name, shape, pixels: stateTile(data, shape, Math.min(channels[i], shape[1] - 1)),
  }));
  post('result', {
    width, height, ratio, first: prediction.first, inside: insideSize(width, height, ratio), pixels: out.buffer, tiles,
    milliseconds: { prepare: prepared - began, network: predicted - prepared, compose: composed - predicted },
  }, [out.buffer, ...tiles.map((tile) => tile.pixels.buffer)]);
}

function post(type, fields, transfer = []) {
  self.postMessage({ type, ...fields }, transfer);
}

const actions = {
  load,
  frame,
  reset: () => network?.reset(),
  background: (message) => {
    if (background.picture !== message.background.picture) background.picture?.close();
    [background, fitted] = [message.background, null];
  },
};

self.onmessage = async ({ data }) => {
  try {
    await actions[data.type](data);
  } catch (error) {
    post('error', { during: data.type, message: error.message ?? String(error) });
  }
};
