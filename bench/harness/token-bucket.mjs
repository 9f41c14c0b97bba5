/** A rate limit: it allows `capacity` requests at once, and `perSecond` on average. */
export class TokenBucket {
  #level
  #at

  constructor({ perSecond, capacity, retryAfter }) {
    Object.assign(this, { perSecond, capacity, retryAfter })
    this.fill()
  }

  fill() {
    this.#level = this.capacity
    this.#at = performance.now()
  }

  /** Whether one more request is allowed now. */
  take() {
    const now = performance.now()
    this.#level = Math.min(this.capacity, this.#level + ((now - this.#at) / 1e3) * this.perSecond)
    this.#at = now
    if (this.#level < 1) return false
    this.#level--
    return true
  }
}
