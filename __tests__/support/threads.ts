import { webcrypto } from 'node:crypto'

/**
 * Lets the threads do the work that they have, and the event loop use its results. Encryption runs on threads, which take
 * no time of a fake clock; work that begins now ends after the work that they have.
 */
export async function turnOfThreads(): Promise<void> {
  await Promise.all(Array.from({ length: 8 }, () => webcrypto.subtle.digest('SHA-256', new Uint8Array(1_000))))
}

/** The work on threads that is pending, once `untilThreadsAreIdle` has been called. */
let pending: number | undefined

/** Resolves when neither a thread nor the event loop has anything left to do that needs no time to pass. */
export async function untilThreadsAreIdle(): Promise<void> {
  pending ??= countWork(webcrypto.subtle)
  for (let idleTurns = 0; idleTurns < 3; idleTurns = pending === 0 ? idleTurns + 1 : 0)
    await new Promise(resolve => setImmediate(resolve))
}

function countWork(subtle: webcrypto.SubtleCrypto): number {
  for (const name of ['decrypt', 'deriveBits', 'deriveKey', 'digest', 'encrypt', 'importKey', 'sign'] as const) {
    const work = subtle[name].bind(subtle) as (...args: unknown[]) => Promise<unknown>
    const counted = (...args: unknown[]): Promise<unknown> => {
      pending = (pending ?? 0) + 1
      return work(...args).finally(() => (pending = (pending ?? 0) - 1))
    }
    Object.assign(subtle, { [name]: counted })
  }
  return 0
}
