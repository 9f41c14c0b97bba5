import { describe, expect, it } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { Semaphore } from '../../../lib/core/semaphore.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { reasonOf } from '../../support/failure.js'

const makeDeadline = (): Deadline => new Deadline(new FakeClock(), 1_000, () => new Error('late'))

/** What has its place, in the order of arrival. */
async function queueUp(semaphore: Semaphore, names: readonly string[], log: string[]): Promise<void> {
  for (const name of names) void semaphore.acquire(makeDeadline())?.then(() => log.push(name))
  await Promise.resolve()
}

describe('Semaphore', () => {
  it('lets as many in at once as it has places, without a wait', () => {
    const semaphore = new Semaphore(2)
    expect(semaphore.acquire(makeDeadline())).toBeUndefined()
    expect(semaphore.acquire(makeDeadline())).toBeUndefined()
    expect(semaphore.acquire(makeDeadline())).toBeInstanceOf(Promise)
  })

  it('gives each place that is given back to who has waited longest', async () => {
    const semaphore = new Semaphore(1)
    const log: string[] = []
    void semaphore.acquire(makeDeadline())
    await queueUp(semaphore, ['first', 'second'], log)
    expect(log).toEqual([])
    semaphore.release()
    await Promise.resolve()
    expect(log).toEqual(['first'])
    semaphore.release()
    await Promise.resolve()
    expect(log).toEqual(['first', 'second'])
  })

  it('rejects who has waited until the deadline, and gives the place to the next', async () => {
    const semaphore = new Semaphore(1)
    const log: string[] = []
    void semaphore.acquire(makeDeadline())
    const deadline = makeDeadline()
    const waiting = reasonOf(semaphore.acquire(deadline) ?? Promise.resolve())
    await queueUp(semaphore, ['next'], log)
    deadline.cancel('gone')
    expect(await waiting).toBe('gone')
    semaphore.release()
    await Promise.resolve()
    expect(log).toEqual(['next'])
  })

  it('rejects at once who comes when the deadline is over', async () => {
    const semaphore = new Semaphore(1)
    void semaphore.acquire(makeDeadline())
    const deadline = makeDeadline()
    deadline.cancel('gone')
    expect(await reasonOf(semaphore.acquire(deadline) ?? Promise.resolve())).toBe('gone')
    semaphore.release()
    expect(semaphore.acquire(makeDeadline())).toBeUndefined()
  })

  it('has all its places again when all are given back', () => {
    const semaphore = new Semaphore(2)
    void semaphore.acquire(makeDeadline())
    void semaphore.acquire(makeDeadline())
    semaphore.release()
    semaphore.release()
    expect([1, 2, 3].map(() => semaphore.acquire(makeDeadline()) === undefined)).toEqual([true, true, false])
  })

  it('does not wait at all where it has no bound', () => {
    const semaphore = new Semaphore(Infinity)
    expect(Array.from({ length: 1_000 }, () => semaphore.acquire(makeDeadline()))).toEqual(
      new Array(1_000).fill(undefined),
    )
  })
})
