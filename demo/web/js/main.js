// The page: buttons on one side, the worker that mattes on the other.
//
// Address options: ?engine=webgpu|wasm  ?threads=N  ?model=FILE  ?log=N (keeps the first N frames for tests)

import { Meter } from './meter.js';
import { $, Tiles, chosen, say, show, showNumbers, size } from './page.js';
import { parseColor } from './pixels.js';
import { Recorder, findCodec } from './recorder.js';
import { Source, cameraProblem } from './source.js';

const TILE_INTERVAL = 150; // [ms] between two looks at the states

const options = new URLSearchParams(location.search);
const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
const video = Object.assign(document.createElement('video'), { muted: true, playsInline: true });
const source = new Source(video, sendFrame, finishFile);
const meter = new Meter(), tiles = new Tiles($('tiles'));
const log = options.has('log') ? (window.frameLog = []) : null;

let ready = false;
let flight = null; // { grabbed, time, keep, background, src } of the frame in the worker
let lastTiles = 0;
let recorder = null; // a Recorder while recording
let recording = null; // 'camera' or 'file' while frames are kept, null otherwise
let codec = null;
let picture = null; // the file of the background picture

// ---------------------------------------------------------------- worker

const answers = {
  progress({ loaded, total }) {
    $('progress').value = total ? loaded / total : 0;
    say(`Loading the model: ${size(loaded)}${total ? ` of ${size(total)}` : ''}.`);
  },
  ready({ engine, label, notes, bytes }) {
    ready = true;
    $('engine').textContent = label;
    $('engine').dataset.engine = engine;
    $('progress').hidden = true;
    for (const id of ['camera', 'open']) $(id).disabled = false;
    say(notes.length ? `Ready. Note: ${notes.join('; ')}.` : `Ready: model of ${size(bytes)}.`, notes.length ? 'warn' : '');
  },
  async result(result) {
    const { grabbed, time, keep, src, background } = flight, rgba = new Uint8ClampedArray(result.pixels);
    flight = null;
    show(rgba, result.width, result.height);
    $('invitation').hidden = true;
    const now = performance.now();
    meter.add(now, now - grabbed);
    showNumbers({ ...result, fps: meter.fps, latency: meter.latency, network: result.milliseconds.network,
                  dropped: source.dropped });
    if (result.tiles.length) tiles.show(result.tiles);
    if (source.kind === 'file' && seekable() && document.activeElement !== $('seek')) $('seek').value = position();
    if (log && log.length < Number(options.get('log'))) {
      log.push({ src, out: rgba.slice(), time, width: result.width, height: result.height, ratio: result.ratio,
                 first: result.first, background, milliseconds: result.milliseconds, shown: now });
    }
    if (recording && keep) await record(rgba, result, time);
    source.done();
  },
  error({ during, message }) {
    flight = null;
    if (during === 'frame') {
      abandonRecording();
      stop();
      source.done();
    }
    $('progress').hidden = true;
    say(`${during === 'load' ? 'The network did not start: ' : ''}${message}`, 'bad');
    if (!ready) $('engine').textContent = 'not ready';
  },
};

worker.onmessage = ({ data }) => answers[data.type](data);
worker.onerror = () => answers.error({ during: 'load', message: 'js/worker.js cannot be loaded' });

function sendFrame({ pixels, width, height, time, reset }) {
  if (reset) worker.postMessage({ type: 'reset' });
  const grabbed = performance.now(), wantTiles = $('memory').open && grabbed - lastTiles > TILE_INTERVAL;
  if (wantTiles) lastTiles = grabbed;
  flight = { grabbed, time, keep: recording !== null, background: chosen('background'),
             src: log ? new Uint8ClampedArray(pixels.slice(0)) : null };
  worker.postMessage({ type: 'frame', pixels, width, height, ratio: $('ratio').value, view: chosen('view'),
                       channels: wantTiles ? tiles.channels : null }, [pixels]);
}

// ---------------------------------------------------------------- source

async function open(opening) {
  abandonRecording();
  meter.reset();
  source.limit = Number($('limit').value);
  say('Opening.');
  try {
    await opening();
    say(source.kind === 'camera' ? 'Matting the camera.' : 'Matting the video; late frames are left out.');
  } catch (error) {
    say(error instanceof DOMException ? cameraProblem(error) : error.message, 'bad');
  }
  refresh();
}

async function openCamera() {
  await open(async () => {
    const track = await source.openCamera($('device').value);
    track.addEventListener('ended', () => {
      if (recording) finishRecording();
      stop();
      say('The camera is gone.', 'bad');
    });
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === 'videoinput');
    const current = track.getSettings().deviceId;
    $('device').replaceChildren(...cameras.map(({ label, deviceId }, i) =>
      new Option(label || `camera ${i + 1}`, deviceId, false, deviceId === current)));
    $('device-line').hidden = cameras.length < 2;
  });
}

function openFile(file) {
  if (file.type.startsWith('image/')) useImage(file);
  else open(() => source.openFile(file));
}

function stop() {
  source.stop();
  if (source.kind === 'camera') source.close();
  refresh();
}

const seekable = () => Number.isFinite(video.duration) && video.duration > 0;
const position = () => video.currentTime / video.duration;

/** Buttons say what they will do. */
function refresh() {
  const file = source.kind === 'file', live = recording !== null;
  $('camera').disabled = !ready || live || source.kind === 'camera';
  $('open').disabled = !ready || live;
  $('open-label').classList.toggle('disabled', $('open').disabled);
  $('toggle').disabled = live || source.kind === null;
  $('toggle').textContent = file && !source.running ? 'Play' : 'Stop';
  $('reset').disabled = source.kind === null;
  $('record').disabled = source.kind === null || (!source.running && !file);
  $('record').textContent = live ? 'Stop and save' : file ? 'Convert and save' : 'Record';
  $('record').classList.toggle('live', live);
  $('seek').hidden = !file;
  $('seek').disabled = live;
  for (const id of ['limit', 'device']) $(id).disabled = live;
  // an opaque recording cannot become transparent half-way
  document.querySelector('input[value="transparent"]').disabled = live && recorder !== null && !recorder.hasAlpha;
}

// ---------------------------------------------------------------- recording

async function startRecording() {
  $('download').hidden = true;
  codec = await findCodec(1280, 720);
  if (!codec) {
    say('This browser cannot encode WebM (no WebCodecs with VP9 or VP8): use Chrome, Edge or Firefox 130 or newer.', 'bad');
    return;
  }
  recorder = null; // made with the first frame, which tells the size
  recording = source.kind;
  try {
    if (recording === 'file') source.startEveryFrame();
  } catch (error) {
    abandonRecording();
    say(error.message, 'bad');
    return;
  }
  refresh();
}

async function record(rgba, { width, height }, time) {
  try {
    if (recorder && (recorder.width !== width || recorder.height !== height)) {
      await finishRecording('the size of the frames changed');
      return;
    }
    if (!recorder) {
      recorder = new Recorder(codec, width, height, chosen('view') === 'result' && chosen('background') === 'transparent');
      refresh();
    }
    await recorder.add(rgba, time);
    say(`Recording: ${recorder.frames} frames.`);
  } catch (error) {
    abandonRecording();
    say(`Recording stopped: ${error.message}`, 'bad');
  }
}

async function finishRecording(why = '') {
  const done = recorder;
  const kind = recording;
  recording = recorder = null;
  if (kind === 'file') source.stop();
  refresh();
  if (!done) {
    say('Nothing was recorded: no frame was finished.', 'warn');
    return;
  }
  try {
    const blob = await done.finish();
    const link = document.createElement('a');
    if ($('download').firstElementChild) URL.revokeObjectURL($('download').firstElementChild.href);
    link.href = URL.createObjectURL(blob);
    link.download = 'matting.webm';
    link.textContent = 'Download matting.webm';
    const what = done.hasAlpha ? 'transparent' : 'not transparent';
    $('download').replaceChildren(link, ` ${size(blob.size)}, ${done.codecName}, ${what}, ${done.frames} frames, no sound`);
    $('download').hidden = false;
    say(`Recording complete${why ? `: ${why}` : ''}.`);
  } catch (error) {
    say(`The recording could not be completed: ${error.message}`, 'bad');
  } finally {
    done.close();
  }
}

function finishFile() {
  if (recording === 'file') finishRecording();
}

function abandonRecording() {
  recorder?.close();
  recording = recorder = null;
  refresh();
}

// ---------------------------------------------------------------- settings

async function useImage(file) {
  try {
    const bitmap = await createImageBitmap(file);
    worker.postMessage({ type: 'background', background: { kind: 'image', picture: bitmap } }, [bitmap]);
    picture = file;
    document.querySelector('input[name="background"][value="image"]').checked = true;
    showBackgroundSettings();
    say(`Background: ${file.name}.`);
  } catch {
    say(`This browser cannot read the picture ${file.name}: use a JPEG, PNG or WebP.`, 'bad');
  }
}

function showBackgroundSettings() {
  const kind = chosen('background');
  for (const line of document.querySelectorAll('[data-for]')) line.hidden = line.dataset.for !== kind;
  return kind;
}

function sendBackground() {
  const kind = showBackgroundSettings();
  if (kind === 'image') {
    if (picture) useImage(picture);
    else say('Choose a picture for the background.');
    return;
  }
  worker.postMessage({ type: 'background', background: {
    kind, color: parseColor($('color').value), radius: Number($('radius').value) } });
}

$('camera').onclick = openCamera;
$('open').onchange = () => { if ($('open').files[0]) openFile($('open').files[0]); $('open').value = ''; };
$('toggle').onclick = () => {
  if (source.running) stop();
  else if (source.kind === 'file') source.start().then(refresh);
};
$('reset').onclick = () => { worker.postMessage({ type: 'reset' }); say('Memory reset.'); };
$('record').onclick = () => (recording ? finishRecording() : startRecording());
$('seek').oninput = () => { if (seekable()) video.currentTime = Number($('seek').value) * video.duration; };
$('limit').onchange = () => { source.limit = Number($('limit').value); };
$('device').onchange = openCamera;
$('background').onchange = ({ target }) => { if (target.type === 'radio') sendBackground(); };
$('color').oninput = $('radius').oninput = sendBackground;
$('image').onchange = () => { if ($('image').files[0]) useImage($('image').files[0]); };

const stage = document.body;
stage.ondragover = (event) => { event.preventDefault(); $('stage').classList.add('over'); };
stage.ondragleave = () => $('stage').classList.remove('over');
stage.ondrop = (event) => {
  event.preventDefault();
  $('stage').classList.remove('over');
  const file = event.dataTransfer.files[0];
  if (!ready) say('The model is still loading.', 'warn');
  else if (recording) say('Stop the recording first.', 'warn');
  else if (file) openFile(file);
};

sendBackground();
worker.postMessage({ type: 'load', model: new URL(options.get('model') ?? 'model/model.onnx', location.href).href,
                     engine: options.get('engine') ?? 'auto', threads: Number(options.get('threads')) || null });
