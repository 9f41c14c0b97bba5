import { webcrypto } from 'node:crypto'

/**
 * Lets the threads do the work that they have, and the event loop use its results. Encryption runs on threads, which take
 * no time of a fake clock; work that begins now ends after the work that they have.
 */
export async function turnOfThreads(): Promise<void> {
  await Promise.all(Array.from({ length: 8 }, () => webcrypto.subtle.digest('SHA-256', new Uint8Array(1_000))))
}
