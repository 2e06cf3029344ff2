// The ONNX file with its recurrent states. Names as in every file of this family:
// src r1i r2i r3i r4i downsample_ratio -> fgr pha r1o r2o r3o r4o.

export const STATES = ['r1', 'r2', 'r3', 'r4'];
const INPUTS = ['src', ...STATES.map((name) => `${name}i`), 'downsample_ratio'];
const OUTPUTS = ['fgr', 'pha', ...STATES.map((name) => `${name}o`)];

/**
 * Fetch a file and say how far it is.
 * @param {URL} url
 * @param {(loaded: number, total: number) => void} progress [bytes]; total is 0 when the server does not tell
 * @returns {Promise<Uint8Array>}
 */
export async function download(url, progress) {
  const response = await fetch(url);
  if (!response.ok) {
    throw new Error(`${url.pathname} is missing (${response.status}): "python demo/web/serve.py" makes it from a ` +
                    'checkpoint and serves it');
  }
  const total = Number(response.headers.get('Content-Length')) || 0, parts = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    progress((loaded += value.length), total);
  }
  const bytes = new Uint8Array(loaded);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export class Network {
  #ort;
  #session;
  #states = null;
  #size = '';
  #generation = 0;

  /**
   * @param {object} runtime what startRuntime returned
   * @param {Uint8Array} bytes the ONNX file
   * @returns {Promise<Network>}
   * @throws {Error} when the file is not a network of this family
   */
  static async create({ ort, engine }, bytes) {
    const network = new Network();
    network.#ort = ort;
    // states stay where they are made; pictures come back to be composed
    const preferredOutputLocation = engine !== 'webgpu' ? undefined
      : Object.fromEntries(OUTPUTS.map((name) => [name, name.endsWith('o') ? 'gpu-buffer' : 'cpu']));
    network.#session = await ort.InferenceSession.create(bytes, {
      executionProviders: [engine], graphOptimizationLevel: 'all', preferredOutputLocation,
    });
    const { inputNames, outputNames } = network.#session;
    const missing = [...INPUTS.filter((name) => !inputNames.includes(name)),
                     ...OUTPUTS.filter((name) => !outputNames.includes(name))];
    if (missing.length) {
      throw new Error(`the model has no ${missing.join(', ')}: it has inputs ${inputNames.join(' ')} and outputs ` +
                      `${outputNames.join(' ')}; export it with --format onnx, not static`);
    }
    const type = network.#session.inputMetadata?.find((input) => input.name === 'src')?.type;
    if (type && type !== 'float32') throw new Error(`the model takes ${type} frames, this page gives float32`);
    return network;
  }

  /** Forget the past: the next frame is the first of a clip. A frame in flight does not bring it back. */
  reset() {
    this.#generation++;
    for (const state of this.#states ?? []) state.dispose();
    this.#states = null;
  }

  /**
   * Matte the next frame. Another size or ratio starts anew.
   * @param {Float32Array} src 3*H*W RGB in [0, 1]
   * @param {number} ratio in (0, 1]
   * @returns {Promise<{fgr: Float32Array, pha: Float32Array, first: boolean}>} 3*H*W and H*W in [0, 1]
   */
  async step(src, width, height, ratio) {
    const { Tensor } = this.#ort, size = `${width}x${height}@${ratio}`;
    if (size !== this.#size) this.reset();
    this.#size = size;
    const first = this.#states === null, generation = this.#generation;
    const before = this.#states ?? STATES.map(() => new Tensor('float32', new Float32Array(1), [1, 1, 1, 1]));
    this.#states = null; // a reset during the run must not dispose what the run reads
    const feeds = { src: new Tensor('float32', src, [1, 3, height, width]),
                    downsample_ratio: new Tensor('float32', Float32Array.of(ratio), [1]) };
    STATES.forEach((name, i) => { feeds[`${name}i`] = before[i]; });
    const outputs = await this.#session.run(feeds);
    for (const state of before) state.dispose();
    const after = STATES.map((name) => outputs[`${name}o`]);
    if (generation === this.#generation) this.#states = after;
    else for (const state of after) state.dispose();
    return { fgr: outputs.fgr.data, pha: outputs.pha.data, first };
  }

  /**
   * The states as numbers.
   * @returns {Promise<{name: string, data: Float32Array, shape: number[]}[]>} empty before the first frame
   */
  async readStates() {
    return Promise.all((this.#states ?? []).map(async (state, i) => ({
      name: STATES[i], shape: [...state.dims], data: state.location === 'cpu' ? state.data : await state.getData(),
    })));
  }
}
