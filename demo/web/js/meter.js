// Frames per second and latency, smoothed over about a second.

export class Meter {
  #times = [];
  #latency = null;

  /**
   * A frame is on the screen.
   * @param {number} now [ms]
   * @param {number} latency [ms] from the grabbed frame to its result on the screen
   */
  add(now, latency) {
    this.#times.push(now);
    while (this.#times.length > 2 && now - this.#times[0] > 2000) this.#times.shift();
    this.#latency = this.#latency === null ? latency : 0.8 * this.#latency + 0.2 * latency;
  }

  reset() {
    this.#times = [];
    this.#latency = null;
  }

  /** Frames per second; null before the second frame. */
  get fps() {
    const n = this.#times.length;
    return n < 2 ? null : ((n - 1) * 1000) / (this.#times[n - 1] - this.#times[0]);
  }

  /** [ms]; null before the first frame. */
  get latency() {
    return this.#latency;
  }
}
