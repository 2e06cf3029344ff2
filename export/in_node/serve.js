// Answers requests of `export.child.Child` with TensorFlow.js; the messages are those of in_tensorflow/messages.py.
//
//   open  path (a folder with model.json), backend (wasm, cpu) -> number, inputs {name: NHWC shape}, outputs, facts,
//         runtime
//   run   number of an open file; arrays: NHWC float32 inputs -> NHWC float32 outputs
'use strict';

const fs = require('fs');
const path = require('path');

console.log = console.info = console.warn = console.error;      // standard output is for answers

const tf = require('@tensorflow/tfjs-core');
const converter = require('@tensorflow/tfjs-converter');

async function chooseBackend(name) {
  if (name === 'wasm') {
    const wasm = require('@tensorflow/tfjs-backend-wasm');
    wasm.setWasmPaths(path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm')) + '/');
  } else {
    require('@tensorflow/tfjs-backend-cpu');
  }
  if (!await tf.setBackend(name)) throw new Error(`TensorFlow.js has no backend ${name} here`);
  await tf.ready();
}

async function openModel(folder) {
  const json = JSON.parse(fs.readFileSync(path.join(folder, 'model.json'), 'utf8'));
  const files = json.weightsManifest.flatMap((group) => group.paths);
  const weights = Buffer.concat(files.map((file) => fs.readFileSync(path.join(folder, file))));
  const data = weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.byteLength);
  const specs = json.weightsManifest.flatMap((group) => group.weights);
  const artifacts = await tf.io.getModelArtifactsForJSON(json, () => [specs, data]);
  return converter.loadGraphModel(tf.io.fromMemory(artifacts));
}

class Server {
  async open(head) {
    await chooseBackend(head.backend);
    this.model = await openModel(head.path);
    const inputs = Object.fromEntries(this.model.inputs.map((input) => [input.name.split(':')[0], input.shape]));
    this.outputs = this.model.outputs.map((output) => output.name.split(':')[0]);
    return [{number: 0, inputs, outputs: [...this.outputs].sort(), facts: this.model.metadata || {},
             runtime: `TensorFlow.js ${tf.version_core} ${tf.getBackend()}`}, []];
  }

  async run(head, arrays) {
    const tensors = Object.fromEntries(arrays.map(({name, shape, data}) => [name, tf.tensor(data, shape, 'float32')]));
    const results = this.model.execute(tensors, this.outputs);
    const answers = [];
    for (const [index, tensor] of results.entries()) {
      answers.push({name: this.outputs[index], shape: tensor.shape, data: await tensor.data()});
    }
    tf.dispose([Object.values(tensors), results]);
    return [{}, answers];
  }
}

function send(head, arrays) {
  const described = arrays.map(({name, shape}) => [name, 'float32', shape]);
  const text = Buffer.from(JSON.stringify({...head, arrays: described}));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  const parts = arrays.map(({data}) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  const bytes = Buffer.concat([length, text, ...parts]);
  for (let sent = 0; sent < bytes.length;) {
    try {
      sent += fs.writeSync(1, bytes, sent);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;      // the pipe is full
    }
  }
}

function read(count) {      // null where the other side has closed the pipe
  const bytes = Buffer.alloc(count);
  for (let got = 0; got < count;) {
    const more = fs.readSync(0, bytes, got, count - got);
    if (more === 0) return null;
    got += more;
  }
  return bytes;
}

function receive() {
  const length = read(4);
  if (length === null) return null;
  const head = JSON.parse(read(length.readUInt32LE()).toString());
  const arrays = head.arrays.map(([name, dtype, shape]) => {
    const bytes = read(4 * shape.reduce((a, b) => a * b, 1));
    return {name, shape, data: new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)};
  });
  return {head, arrays};
}

async function main() {
  const server = new Server();
  for (let request = receive(); request !== null; request = receive()) {
    try {
      send(...await server[request.head.do](request.head, request.arrays));
    } catch (error) {
      send({error: String(error.message || error).split('\n')[0]}, []);
    }
  }
}

main();
