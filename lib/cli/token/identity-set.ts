import { createHash } from 'node:crypto'

const WORDS = 4
const MAX_LOAD = 0.7

/**
 * A set of identities that takes 23 to 46 bytes for each, whatever its length.
 *
 * It stores 128 bits of the SHA-256 of each identity. For 1,000 million identities, the chance of a collision is
 * one in 10^20.
 */
export class IdentitySet {
  #slots = new Uint32Array(1024 * WORDS)
  #size = 0

  get size(): number {
    return this.#size
  }

  has(identity: string): boolean {
    return this.#size > 0 && this.#slots[find(this.#slots, digestOf(identity))] !== 0
  }

  /** Returns whether the identity is new. */
  add(identity: string): boolean {
    if (this.#size >= (this.#slots.length / WORDS) * MAX_LOAD) this.#grow()
    const digest = digestOf(identity)
    const at = find(this.#slots, digest)
    if (this.#slots[at] !== 0) return false
    this.#slots.set(digest, at)
    this.#size++
    return true
  }

  #grow(): void {
    const larger = new Uint32Array(this.#slots.length * 2)
    for (let at = 0; at < this.#slots.length; at += WORDS) {
      const digest = this.#slots.subarray(at, at + WORDS)
      if (digest[0] !== 0) larger.set(digest, find(larger, digest))
    }
    this.#slots = larger
  }
}

function digestOf(identity: string): Uint32Array {
  const digest = new Uint32Array(Uint8Array.from(createHash('sha256').update(identity).digest()).buffer, 0, WORDS)
  digest[0] ||= 1 // 0 marks a free slot.
  return digest
}

/** Returns where the digest is, or the free slot for it. */
function find(slots: Uint32Array, digest: Uint32Array): number {
  // With 2^32 words, a bit mask would be negative and the loop endless, so this uses a remainder.
  let at = ((digest[1] ?? 0) * WORDS) % slots.length
  while (slots[at] !== 0 && digest.some((word, i) => slots[at + i] !== word)) at = (at + WORDS) % slots.length
  return at
}
