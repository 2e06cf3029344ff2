// Where frames come from: a camera or a video file, one frame in flight.
//
// Shown live, frames that come while one is in flight are dropped. Converted, a file is stepped through by seeking:
// playing and pausing would lose frames on a busy machine.

import { limitSize } from './ratio.js';

const FIRST_STEP = 1 / 120; // [s] between seeks until the distance of frames is known
const START = 1e-4; // [s] the first frame; browsers do nothing at all for a seek to where they are
const MARGIN = 0.001; // [s] beyond the start of the next frame

const CAMERA_PROBLEMS = {
  NotAllowedError: 'The camera was not allowed. Allow it beside the address bar and start again, or drop a video.',
  NotFoundError: 'No camera was found. Plug one in and start again, or drop a video.',
  NotReadableError: 'The camera is used by another program. Close that and start again, or drop a video.',
  OverconstrainedError: 'The chosen camera is gone. Choose another one.',
};

/** Why the camera did not start, in words that help. */
export function cameraProblem(error) {
  return CAMERA_PROBLEMS[error.name] ?? `The camera did not start: ${error.message || error.name}.`;
}

export class Source {
  kind = null; // 'camera' or 'file'
  dropped = 0; // frames that came while one was in flight
  #video;
  #onFrame;
  #onEnd;
  #canvas = document.createElement('canvas');
  #context = this.#canvas.getContext('2d', { willReadFrequently: true });
  #limit = 1280;
  #running = false;
  #turn = 0; // of listening: callbacks of an earlier one may still come
  #walk = null; // while every frame counts: the state of the stepping, see startEveryFrame
  #busy = false;
  #lastTime = null; // [s] of the newest frame grabbed
  #jumped = true;
  #url = null;

  /**
   * @param {HTMLVideoElement} video
   * @param {(frame: {pixels: ArrayBuffer, width: number, height: number, time: number, reset: boolean}) => void} onFrame
   *     RGBA bytes; time [ms]; `reset`: nothing before this frame belongs to it. Call `done` when it is finished.
   * @param {() => void} onEnd a file whose every frame was wanted is over
   */
  constructor(video, onFrame, onEnd) {
    this.#video = video;
    this.#onFrame = onFrame;
    this.#onEnd = onEnd;
    video.addEventListener('seeking', () => { this.#jumped ||= !this.#walk; });
    video.addEventListener('seeked', () => {
      if (this.#walk) this.#arrive({ seeked: true });
      else this.#offer(performance.now(), video.currentTime);
    });
  }

  get running() {
    return this.#running;
  }

  /** Largest side of the frames [px]. */
  set limit(value) {
    this.#limit = value;
  }

  /**
   * @param {string} deviceId '' for the browser's choice
   * @throws {DOMException} see cameraProblem
   */
  async openCamera(deviceId) {
    this.close();
    if (!navigator.mediaDevices) throw new Error('cameras need https or 127.0.0.1');
    const video = { width: { ideal: Math.min(this.#limit, 1920) }, ...(deviceId ? { deviceId: { exact: deviceId } } : {}) };
    const stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    this.#video.srcObject = stream;
    this.kind = 'camera';
    await this.start();
    return stream.getVideoTracks()[0];
  }

  /** @throws {Error} when the browser cannot play the file */
  async openFile(file) {
    this.close();
    this.#url = URL.createObjectURL(file);
    const video = this.#video;
    try {
      await new Promise((resolve, reject) => {
        video.onloadeddata = resolve;
        video.onerror = () => reject(new Error(video.error?.message || 'unknown format'));
        video.src = this.#url;
      });
      if (!video.videoWidth) throw new Error('it has no picture');
    } catch (error) {
      this.close();
      throw new Error(`This browser cannot play ${file.name} (${error.message}). MP4 with H.264 and WebM play everywhere.`);
    }
    this.kind = 'file';
    video.loop = true;
    await this.start();
  }

  /** Play; late frames are dropped. */
  async start() {
    this.#walk = null;
    this.#run();
    await this.#video.play();
  }

  /**
   * From the first frame of a file to the last, nothing left out, as slowly as it takes.
   * @throws {Error} when the browser does not tell which frame it shows
   */
  startEveryFrame() {
    if (!this.#video.requestVideoFrameCallback) {
      throw new Error('this browser cannot step through a video (no requestVideoFrameCallback)');
    }
    this.#video.pause();
    this.#lastTime = null;
    // the first seek only swallows what playing left behind
    this.#walk = { target: null, interval: Infinity, seeked: false, shown: null, settled: false };
    this.#run();
    this.#seek(2 * START);
  }

  #seek(target) {
    Object.assign(this.#walk, { target, seeked: false, shown: null });
    this.#video.currentTime = target;
  }

  /** A seek has ended when the video says so and has said which frame it shows, in either order. */
  #arrive(news) {
    const walk = Object.assign(this.#walk, news);
    if (!walk.seeked || walk.shown === null || this.#busy) return;
    if (!walk.settled) {
      walk.settled = true;
      this.#jumped = true;
      this.#seek(START);
    } else if (this.#lastTime === null || walk.shown > this.#lastTime) {
      if (this.#lastTime !== null) walk.interval = Math.min(walk.interval, walk.shown - this.#lastTime);
      this.#grab(performance.now(), walk.shown);
    } else {
      this.#next(walk.target); // still the same frame
    }
  }

  /** Look for the frame after `time`, in steps that do not jump over one. */
  #next(time) {
    const { interval } = this.#walk, target = time + (interval < Infinity ? interval : FIRST_STEP) + MARGIN;
    if (target < this.#video.duration) this.#seek(target);
    else this.#onEnd();
  }

  #run() {
    if (!this.#running) {
      this.#running = true;
      this.#jumped = true;
      this.#listen();
    }
  }

  stop() {
    this.#running = false;
    this.#walk = null;
    this.#video.pause();
  }

  /** Stop, and let go of camera or file. */
  close() {
    this.stop();
    const video = this.#video;
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.srcObject = null;
    video.onerror = video.onloadeddata = null;
    if (video.hasAttribute('src')) {
      video.removeAttribute('src');
      video.load();
    }
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = null;
    this.kind = null;
    this.dropped = 0;
    this.#lastTime = null;
  }

  /** The frame in flight is finished. */
  done() {
    this.#busy = false;
    if (!this.#running || !this.#walk) return;
    if (this.#walk.seeked && this.#walk.shown === this.#lastTime) {
      this.#next(this.#lastTime);
    } else {
      this.#arrive({}); // the seek to the first frame ended while a frame from before was in flight
    }
  }

  #listen() {
    const video = this.#video, turn = ++this.#turn, over = () => !this.#running || turn !== this.#turn;
    if (!video.requestVideoFrameCallback) { // browsers of before 2025: look at every refresh of the screen
      const look = (now) => {
        if (over()) return;
        if (video.readyState >= 2) this.#offer(now, video.currentTime);
        requestAnimationFrame(look);
      };
      requestAnimationFrame(look);
      return;
    }
    const frame = (now, { mediaTime }) => {
      if (over()) return;
      video.requestVideoFrameCallback(frame);
      if (this.#walk) this.#arrive({ shown: mediaTime });
      else this.#offer(now, mediaTime);
    };
    video.requestVideoFrameCallback(frame);
  }

  #offer(now, mediaTime) {
    if (!this.#running || mediaTime === this.#lastTime) return;
    if (this.#busy) this.dropped++;
    else this.#grab(now, mediaTime);
  }

  #grab(now, mediaTime) {
    const video = this.#video, [width, height] = limitSize(video.videoWidth, video.videoHeight, this.#limit);
    if (!video.videoWidth || video.readyState < 2) return; // nothing to draw yet: the canvas would stay transparent
    const backwards = this.#lastTime !== null && mediaTime < this.#lastTime;
    const reset = this.#jumped || backwards;
    this.#lastTime = mediaTime;
    this.#jumped = false;
    this.#busy = true;
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      [this.#canvas.width, this.#canvas.height] = [width, height];
      this.#context.imageSmoothingQuality = 'high';
    }
    this.#context.drawImage(video, 0, 0, width, height);
    const pixels = this.#context.getImageData(0, 0, width, height).data.buffer;
    this.#onFrame({ pixels, width, height, time: this.kind === 'file' ? mediaTime * 1000 : now, reset });
  }
}
