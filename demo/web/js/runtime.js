// Which build of onnxruntime-web runs the network: WebGPU when a real adapter answers, else WASM with threads.

const VENDOR = new URL('../vendor/', import.meta.url);
const MODULES = { webgpu: 'ort.webgpu.min.mjs', wasm: 'ort.wasm.min.mjs' };
const MAX_THREADS = 8; // beyond, a network this small only waits for its threads

/**
 * Whether WebGPU is here, and why not.
 * @param {boolean} emulated accept an adapter that runs on the processor (correct, but slower than WASM)
 * @returns {Promise<{adapter: string|null, reason: string}>}
 */
async function findAdapter(emulated) {
  if (!navigator.gpu) return { adapter: null, reason: 'this browser has no WebGPU' };
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) return { adapter: null, reason: 'WebGPU finds no graphics adapter' };
  const info = adapter.info ?? {};
  const name = [info.vendor, info.architecture || info.device].filter(Boolean).join(' ') || 'adapter without a name';
  const slow = adapter.isFallbackAdapter ?? info.isFallbackAdapter ?? false;
  if ((slow || /swiftshader/i.test(name)) && !emulated) {
    return { adapter: null, reason: `WebGPU only has an emulated adapter (${name})` };
  }
  return { adapter: name, reason: '' };
}

/** Threads that WASM may use, and why there are not more. */
export function chooseThreads(asked, cores, isolated) {
  if (!isolated) return { threads: 1, reason: 'the server sends no COOP/COEP headers, so threads are off' };
  return { threads: asked ?? Math.max(1, Math.min(MAX_THREADS, cores)), reason: '' };
}

/**
 * Load a build of the runtime.
 * @param {'auto'|'webgpu'|'wasm'} wish
 * @param {number|null} askedThreads
 * @returns {Promise<{ort: object, engine: 'webgpu'|'wasm', label: string, notes: string[]}>}
 * @throws {Error} when the wish cannot be met or the runtime is not installed
 */
export async function startRuntime(wish, askedThreads) {
  const notes = [];
  let engine = 'wasm', label;
  if (wish !== 'wasm') {
    const { adapter, reason } = await findAdapter(wish === 'webgpu');
    if (adapter) [engine, label] = ['webgpu', `WebGPU, ${adapter}`];
    else if (wish === 'webgpu') throw new Error(`WebGPU was asked for, but ${reason}`);
    else notes.push(`${reason}: using WASM`);
  }
  const { threads, reason } = chooseThreads(askedThreads, navigator.hardwareConcurrency || 1, crossOriginIsolated);
  if (engine === 'wasm') {
    label = `WASM, ${threads} thread${threads === 1 ? '' : 's'}`;
    if (reason) notes.push(reason);
  }
  let ort;
  try {
    ort = await import(new URL(MODULES[engine], VENDOR));
  } catch {
    throw new Error(`vendor/${MODULES[engine]} is missing: run "python demo/web/serve.py --setup" once and reload`);
  }
  ort.env.wasm.wasmPaths = VENDOR.href;
  ort.env.wasm.numThreads = engine === 'wasm' ? threads : 1;
  ort.env.logLevel = 'error';
  return { ort, engine, label, notes };
}
