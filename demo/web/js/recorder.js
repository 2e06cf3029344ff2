// Encodes shown frames with their own times and hands back a WebM file. Transparency is a second encoder for alpha, so
// every browser that encodes VP9 or VP8 (WebCodecs) can write it.

import { COLOR_SPACE, alphaPlanes, colorPlanes, evenSize } from './yuv.js';
import { writeWebm } from './webm.js';

const CODECS = [
  { name: 'VP9', id: 'V_VP9', string: 'vp09.00.51.08' },
  { name: 'VP8', id: 'V_VP8', string: 'vp8' },
];
const BITS_PER_PIXEL = 6; // of one second of video: 5.5 Mbit/s at 1280x720
const KEY_INTERVAL = 2000; // [ms]
const DEFAULT_STEP = 40; // [ms] how long a lone frame lasts

/**
 * The first codec this browser encodes at this size.
 * @returns {Promise<object|null>}
 */
export async function findCodec(width, height) {
  if (!('VideoEncoder' in globalThis)) return null;
  for (const codec of CODECS) {
    const { supported } = await VideoEncoder.isConfigSupported(configuration(codec, width, height));
    if (supported) return codec;
  }
  return null;
}

function configuration(codec, width, height) {
  return { codec: codec.string, width, height, bitrate: Math.round(BITS_PER_PIXEL * width * height),
           latencyMode: 'quality' }; // 'realtime' may leave frames out
}

/** One VideoEncoder that turns planes into packets, in order. */
class Stream {
  packets = [];
  #encoder;
  #size;
  #failure = null;

  constructor(codec, width, height) {
    this.#size = [width, height];
    this.#encoder = new VideoEncoder({
      output: (chunk) => {
        const data = new Uint8Array(chunk.byteLength);
        chunk.copyTo(data);
        this.packets.push({ timestamp: chunk.timestamp, key: chunk.type === 'key', data });
      },
      error: (error) => { this.#failure = error; },
    });
    this.#encoder.configure(configuration(codec, width, height));
  }

  async add(planes, timestamp, keyFrame) {
    this.#check();
    const [codedWidth, codedHeight] = this.#size;
    const frame = new VideoFrame(planes, { format: 'I420', codedWidth, codedHeight, timestamp, colorSpace: COLOR_SPACE });
    this.#encoder.encode(frame, { keyFrame });
    frame.close();
    while (this.#encoder.encodeQueueSize > 4) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      this.#check();
    }
  }

  async finish() {
    this.#check();
    await this.#encoder.flush();
    this.#check();
    this.close();
  }

  close() {
    if (this.#encoder.state !== 'closed') this.#encoder.close();
  }

  #check() {
    if (this.#failure) throw new Error(`the video encoder stopped: ${this.#failure.message}`);
  }
}

export class Recorder {
  #codec;
  #color;
  #alpha;
  #times = [];
  #lastKey = -Infinity;
  #chain = Promise.resolve();

  /**
   * @param {object} codec from findCodec
   * @param {number} width, height [px] of the frames to come
   * @param {boolean} alpha whether transparency is kept
   */
  constructor(codec, width, height, alpha) {
    [this.width, this.height] = [width, height];
    this.#codec = codec;
    const size = evenSize(width, height);
    this.#color = new Stream(codec, ...size);
    this.#alpha = alpha ? new Stream(codec, ...size) : null;
  }

  get frames() {
    return this.#times.length;
  }

  get hasAlpha() {
    return this.#alpha !== null;
  }

  get codecName() {
    return this.#codec.name;
  }

  /**
   * @param {Uint8ClampedArray} rgba height*width*4, straight alpha
   * @param {number} time [ms] on any clock; frames that do not advance it are left out
   */
  add(rgba, time) {
    return (this.#chain = this.#chain.then(() => this.#encode(rgba, time)));
  }

  async #encode(rgba, time) {
    const at = Math.round(time - (this.start ??= time)), last = this.#times.at(-1) ?? -1;
    if (at <= last) return;
    const key = at - this.#lastKey >= KEY_INTERVAL;
    if (key) this.#lastKey = at;
    this.#times.push(at);
    await this.#color.add(colorPlanes(rgba, this.width, this.height), at * 1000, key);
    await this.#alpha?.add(alphaPlanes(rgba, this.width, this.height), at * 1000, key);
  }

  /**
   * @returns {Promise<Blob>} the complete file
   */
  async finish() {
    await this.#chain;
    await this.#color.finish();
    await this.#alpha?.finish();
    const [width, height] = evenSize(this.width, this.height), alphas = this.#alpha?.packets;
    const frames = this.#color.packets.map(({ timestamp, key, data }, i) => {
      if (alphas && (alphas[i]?.timestamp !== timestamp || (key && !alphas[i].key))) {
        throw new Error('the encoder gave colour and alpha out of step');
      }
      return { time: Math.round(timestamp / 1000), key, data, ...(alphas ? { alpha: alphas[i].data } : {}) };
    });
    if (frames.length !== this.#times.length) {
      throw new Error(`the encoder gave ${frames.length} of ${this.#times.length} frames`);
    }
    const step = this.#times.length > 1 ? this.#times.at(-1) / (this.#times.length - 1) : DEFAULT_STEP;
    const parts = writeWebm({ codec: this.#codec.id, width, height, alpha: this.hasAlpha }, frames,
      this.#times.at(-1) + step);
    return new Blob(parts, { type: 'video/webm' });
  }

  close() {
    this.#color.close();
    this.#alpha?.close();
  }
}
