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

  /** Returns whether the identity is new. */
  add(identity: string): boolean {
    if (this.#size >= (this.#slots.length / WORDS) * MAX_LOAD) this.#grow()
    const isNew = insert(this.#slots, digestOf(identity))
    if (isNew) this.#size++
    return isNew
  }

  #grow(): void {
    const larger = new Uint32Array(this.#slots.length * 2)
    for (let at = 0; at < this.#slots.length; at += WORDS) {
      const digest = this.#slots.subarray(at, at + WORDS)
      if (digest[0] !== 0) insert(larger, digest)
    }
    this.#slots = larger
  }
}

function digestOf(identity: string): Uint32Array {
  const hash = createHash('sha256').update(identity).digest()
  const digest = Uint32Array.from({ length: WORDS }, (_, i) => hash.readUInt32LE(i * 4))
  digest[0] = (digest[0] ?? 0) || 1 // 0 marks a free slot.
  return digest
}

function insert(slots: Uint32Array, digest: Uint32Array): boolean {
  // With 2^32 words, a bit mask would be negative and the loop endless, so this uses a remainder.
  for (let at = ((digest[1] ?? 0) * WORDS) % slots.length; ; at = (at + WORDS) % slots.length) {
    if (slots[at] === 0) {
      slots.set(digest, at)
      return true
    }
    if (digest.every((word, i) => slots[at + i] === word)) return false
  }
}
