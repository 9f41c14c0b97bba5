import { describe, expect, it } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { Semaphore } from '../../../lib/core/semaphore.js'
import { FakeClock } from '../../../lib/testing/index.js'

const makeDeadline = (): Deadline => new Deadline(new FakeClock(), 1_000, () => new Error('late'))

/** Who was let in or turned away, in the order in which it happened. */
class Door {
  readonly log: string[] = []
  readonly #semaphore: Semaphore

  constructor(size: number) {
    this.#semaphore = new Semaphore(size)
  }

  async arrive(name: string, deadline = makeDeadline()): Promise<void> {
    void this.#enter(name, deadline)
    await settle()
  }

  async leave(): Promise<void> {
    this.#semaphore.release()
    await settle()
  }

  async #enter(name: string, deadline: Deadline): Promise<void> {
    try {
      await this.#semaphore.acquire(deadline)
      this.log.push(name)
    } catch (reason) {
      this.log.push(`${name}: ${String(reason)}`)
    }
  }
}

function settle(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

describe('Semaphore', () => {
  it('lets in as many at once as it has places', async () => {
    const door = new Door(2)
    for (const name of ['a', 'b', 'c']) await door.arrive(name)
    expect(door.log).toEqual(['a', 'b'])
  })

  it('gives a place that becomes free to the one who has waited longest', async () => {
    const door = new Door(1)
    for (const name of ['a', 'b', 'c']) await door.arrive(name)
    await door.leave()
    expect(door.log).toEqual(['a', 'b'])
    await door.leave()
    expect(door.log).toEqual(['a', 'b', 'c'])
  })

  it('turns away the one whose deadline ends, and gives the place to the next', async () => {
    const door = new Door(1)
    const deadline = makeDeadline()
    await door.arrive('a')
    await door.arrive('b', deadline)
    await door.arrive('c')
    deadline.cancel('gone')
    await settle()
    await door.leave()
    expect(door.log).toEqual(['a', 'b: gone', 'c'])
  })

  it('turns away at once the one whose deadline is over, and keeps the place', async () => {
    const door = new Door(1)
    const deadline = makeDeadline()
    deadline.cancel('gone')
    await door.arrive('a')
    await door.arrive('b', deadline)
    await door.leave()
    await door.arrive('c')
    expect(door.log).toEqual(['a', 'b: gone', 'c'])
  })

  it('has all its places again when all are free', async () => {
    const door = new Door(2)
    await door.arrive('a')
    await door.arrive('b')
    await door.leave()
    await door.leave()
    for (const name of ['c', 'd', 'e']) await door.arrive(name)
    expect(door.log).toEqual(['a', 'b', 'c', 'd'])
  })

  it('lets everyone in where it has no bound', async () => {
    const door = new Door(Infinity)
    const names = Array.from({ length: 1_000 }, (_, i) => `caller ${i}`)
    await Promise.all(names.map(name => door.arrive(name)))
    expect(door.log).toEqual(names)
  })
})
