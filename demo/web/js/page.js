// What the page shows: status line, numbers, the picture, the states. No decisions here.

import { nextChannel } from './states.js';

/** @returns {HTMLElement} the element with this id */
export const $ = (id) => document.getElementById(id);

/** The chosen value of a group of radio buttons. */
export const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`).value;

/** @param {''|'warn'|'bad'} level */
export function say(message, level = '') {
  $('status').textContent = message;
  $('status').className = level;
}

/** Bytes as a person reads them. */
export function size(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

const screen = $('screen').getContext('2d');

/** @param {Uint8ClampedArray} rgba height*width*4, straight alpha */
export function show(rgba, width, height) {
  const { canvas } = screen;
  if (canvas.width !== width || canvas.height !== height) {
    [canvas.width, canvas.height] = [width, height];
    canvas.style.setProperty('--shape', width / height);
  }
  screen.putImageData(new ImageData(rgba, width, height), 0, 0);
}

export function showNumbers({ fps, latency, network, width, height, inside, dropped }) {
  $('fps').textContent = fps === null ? '–' : `${fps.toFixed(1)} fps`;
  $('latency').textContent = `${Math.round(latency)} ms`;
  $('network').textContent = `${Math.round(network)} ms`;
  $('sizes').textContent = `${width}×${height} → ${inside.join('×')}`;
  $('dropped').textContent = String(dropped);
}

/** A picture per state; pressing one steps through its channels. */
export class Tiles {
  channels = [-1, -1, -1, -1];
  #tiles;

  constructor(parent) {
    this.#tiles = this.channels.map((_, i) => {
      const button = document.createElement('button'), canvas = document.createElement('canvas');
      const name = document.createElement('span');
      button.type = 'button';
      [canvas.width, canvas.height] = [16, 9];
      button.append(canvas, name);
      button.addEventListener('click', () => { this.channels[i] = nextChannel(this.channels[i], this.#tiles[i].count); });
      parent.append(button);
      const tile = { context: canvas.getContext('2d'), name, count: 0 };
      tile.name.innerHTML = `<b>r${i + 1}</b> no frame yet`;
      return tile;
    });
  }

  /** @param {{name: string, shape: number[], pixels: Uint8ClampedArray}[]} states */
  show(states) {
    states.forEach(({ name, shape: [, count, height, width], pixels }, i) => {
      const tile = this.#tiles[i], { canvas } = tile.context, channel = this.channels[i];
      tile.count = count;
      if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
      tile.context.putImageData(new ImageData(pixels, width, height), 0, 0);
      const shown = channel < 0 ? 'mean' : `channel ${channel}`;
      tile.name.innerHTML = `<b>${name}</b> ${width}×${height}×${count}, ${shown}`;
    });
  }
}
