// For test_javascript.py: {track, frames, duration} as JSON on stdin, data in base64; a WebM file on stdout.
import { readFileSync } from 'node:fs';
import { writeWebm } from '../../../demo/web/js/webm.js';

const { track, frames, duration } = JSON.parse(readFileSync(0));
const bytes = (text) => (text === undefined ? undefined : new Uint8Array(Buffer.from(text, 'base64')));
const parts = writeWebm(track, frames.map((frame) => ({ ...frame, data: bytes(frame.data), alpha: bytes(frame.alpha) })),
  duration);
process.stdout.write(Buffer.concat(parts));
