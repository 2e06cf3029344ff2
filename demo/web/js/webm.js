// A WebM file (Matroska subset) from encoded frames, with alpha as a second stream in BlockAdditions.
// Sources: RFC 8794 (EBML), RFC 9559 (Matroska), the WebM container guidelines (alpha: BlockAddID 1, AlphaMode 1).

const MAX_CLUSTER = 30000; // [ms] block times are signed 16 bits relative to their cluster

const text = (value) => new TextEncoder().encode(value);

/** Unsigned integer in as few bytes as it needs, or in exactly `length`. */
function uint(value, length = 0) {
  const bytes = [];
  for (let rest = value; rest > 0 || bytes.length < Math.max(1, length); rest = Math.floor(rest / 256)) {
    bytes.unshift(rest % 256);
  }
  return Uint8Array.from(bytes);
}

/** Signed integer in 4 bytes. */
function int(value) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value);
  return bytes;
}

function float(value) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value);
  return bytes;
}

/** Sizes are always written in 8 bytes: 0x01, then 56 bits. */
const sizeField = (value) => Uint8Array.of(1, ...uint(value, 7));

/** An element as a list of byte arrays; `content` are byte arrays or such lists. */
function element(id, ...content) {
  const parts = content.flat(Infinity);
  return [uint(id), sizeField(byteLength(parts)), ...parts];
}

const byteLength = (parts) => parts.reduce((sum, part) => sum + part.length, 0);

function header() {
  return element(0x1a45dfa3, element(0x4286, uint(1)), element(0x42f7, uint(1)), element(0x42f2, uint(4)),
    element(0x42f3, uint(8)), element(0x4282, text('webm')), element(0x4287, uint(4)), element(0x4285, uint(2)));
}

function tracks({ codec, width, height, alpha }) {
  // Colour: BT.709 matrix, limited range, BT.709 transfer and primaries
  const color = element(0x55b0, element(0x55b1, uint(1)), element(0x55b9, uint(1)), element(0x55ba, uint(1)),
    element(0x55bb, uint(1)));
  const video = element(0xe0, element(0xb0, uint(width)), element(0xba, uint(height)),
    alpha ? element(0x53c0, uint(1)) : [], color);
  return element(0x1654ae6b, element(0xae, element(0xd7, uint(1)), element(0x73c5, uint(1)), element(0x83, uint(1)),
    element(0x9c, uint(0)), element(0x86, text(codec)), alpha ? element(0x55ee, uint(1)) : [], video));
}

function block(frame, clusterTime, previousTime) {
  const relative = new Uint8Array(2);
  new DataView(relative.buffer).setInt16(0, frame.time - clusterTime);
  const head = [Uint8Array.of(0x81), relative];
  if (!frame.alpha) return element(0xa3, ...head, Uint8Array.of(frame.key ? 0x80 : 0), frame.data);
  const additions = element(0x75a1, element(0xa6, element(0xee, uint(1)), element(0xa5, frame.alpha)));
  const reference = frame.key ? [] : element(0xfb, int(previousTime - frame.time));
  return element(0xa0, element(0xa1, ...head, Uint8Array.of(0), frame.data), additions, reference);
}

/** Frames in groups that start at key frames. */
function group(frames) {
  const groups = [];
  for (const frame of frames) {
    const current = groups.at(-1);
    if (!current || frame.key || frame.time - current[0].time > MAX_CLUSTER) groups.push([frame]);
    else current.push(frame);
  }
  return groups;
}

/**
 * Write a file.
 * @param {{codec: string, width: number, height: number, alpha: boolean}} track codec 'V_VP9' or 'V_VP8'; size [px]
 * @param {{time: number, key: boolean, data: Uint8Array, alpha?: Uint8Array}[]} frames in order; time in whole [ms],
 *     `alpha` present in all frames or in none
 * @param {number} duration [ms] of the whole
 * @returns {Uint8Array[]} the parts of the file in order
 * @throws {Error} for no frames, a first frame that is no key frame, or alpha in some frames only
 */
export function writeWebm(track, frames, duration) {
  if (!frames.length) throw new Error('a video needs at least one frame');
  if (!frames[0].key) throw new Error('the first frame must be a key frame');
  if (frames.some((frame) => Boolean(frame.alpha) !== track.alpha)) {
    throw new Error(`alpha must be in ${track.alpha ? 'every frame' : 'no frame'}`);
  }
  let previous = 0;
  const clusters = group(frames).map((members) => {
    const start = members[0].time;
    const blocks = members.map((frame) => {
      const parts = block(frame, start, previous);
      previous = frame.time;
      return parts;
    });
    return { start, parts: element(0x1f43b675, element(0xe7, uint(start)), ...blocks) };
  });
  const info = element(0x1549a966, element(0x2ad7b1, uint(1_000_000)), element(0x4489, float(duration)),
    element(0x4d80, text('human video matting')), element(0x5741, text('human video matting')));
  const trackParts = tracks(track);
  // the index stands before what it points to, so positions have a fixed length and are filled in at the second turn
  const index = (first) => {
    let at = first;
    return element(0x1c53bb6b, clusters.map(({ start, parts }) => {
      const point = element(0xbb, element(0xb3, uint(start, 6)), element(0xb7, element(0xf7, uint(1)),
        element(0xf1, uint(at, 6))));
      at += byteLength(parts);
      return point;
    }));
  };
  const before = byteLength(info) + byteLength(trackParts);
  const cues = index(before + byteLength(index(0)));
  return [...header(), ...element(0x18538067, info, trackParts, cues, clusters.map(({ parts }) => parts))];
}
