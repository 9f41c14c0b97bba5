import { describe, expect, it } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { VKitServerError, VKitTimeoutError } from '../../../lib/core/errors.js'
import { MintPriority, type PriorityLevel } from '../../../lib/gateway/mint-priority.js'
import { MintQueue } from '../../../lib/gateway/mint-queue.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { failureOf, reasonOf } from '../../support/failure.js'

function setUp() {
  const clock = new FakeClock()
  const queue = new MintQueue()
  const order: string[] = []
  /** Puts an attempt into the queue; its key is added to `order` when it is admitted. */
  const wait = (key: string, level: PriorityLevel = 'call', ms = 15_000) => {
    const priority = new MintPriority(level)
    const deadline = new Deadline(clock, ms, () => new VKitTimeoutError(`${key} is late`))
    const admitted = queue.wait({ key, deadline, priority })
    admitted.then(
      attempt => order.push(attempt.key),
      () => undefined,
    )
    return { priority, deadline, admitted }
  }
  const admitAll = async (): Promise<string[]> => {
    for (let next = queue.peek(); next; next = queue.peek()) {
      next.admit({ key: next.request.key, sentAt: 0, isProbe: false })
    }
    await clock.advance(0)
    return order
  }
  return { clock, queue, wait, admitAll }
}

describe('the queue', () => {
  it('serves callers first, then refreshes, then bulk', async () => {
    const { wait, admitAll } = setUp()
    wait('bulk', 'bulk')
    wait('refresh', 'refresh')
    wait('call', 'call')
    expect(await admitAll()).toEqual(['call', 'refresh', 'bulk'])
  })

  it('serves those of one level in the order in which they came', async () => {
    const { wait, admitAll } = setUp()
    for (const key of ['first', 'second', 'third']) wait(key)
    expect(await admitAll()).toEqual(['first', 'second', 'third'])
  })

  it('moves an attempt that becomes more urgent behind those of its new level', async () => {
    const { wait, admitAll } = setUp()
    const { priority } = wait('promoted', 'bulk')
    wait('refresh', 'refresh')
    wait('call', 'call')
    priority.raise('call')
    expect(await admitAll()).toEqual(['call', 'promoted', 'refresh'])
  })

  it('does not take an attempt back that becomes more urgent after it was admitted', async () => {
    const { queue, wait, admitAll } = setUp()
    const { priority } = wait('a', 'bulk')
    await admitAll()
    priority.raise('call')
    expect(queue.size).toBe(0)
  })

  it('does not take the next one out by looking at it', () => {
    const { queue, wait } = setUp()
    wait('a')
    expect(queue.peek()).toBe(queue.peek())
    expect(queue.size).toBe(1)
  })

  it('hands an admitted attempt to the caller who waited for it', async () => {
    const { queue, wait } = setUp()
    const { admitted } = wait('a')
    const attempt = { key: 'a', sentAt: 5, isProbe: true }
    queue.peek()?.admit(attempt)
    expect(await admitted).toBe(attempt)
  })

  it('takes out an attempt that is refused', async () => {
    const { queue, wait, admitAll } = setUp()
    const { admitted } = wait('refused')
    wait('next')
    const refusal = new VKitServerError('no')
    queue.peek()?.refuse(refusal)
    expect(await reasonOf(admitted)).toBe(refusal)
    expect(await admitAll()).toEqual(['next'])
  })
})

describe('an attempt in the queue', () => {
  it('leaves when its deadline has passed, and the others stay', async () => {
    const { clock, wait, admitAll } = setUp()
    const { admitted } = wait('short', 'call', 1_000)
    wait('long')
    await clock.advance(1_000)
    expect(await failureOf(admitted)).toMatchObject({ code: 'VKIT_TIMEOUT', message: 'short is late' })
    expect(await admitAll()).toEqual(['long'])
  })

  it('leaves with the reason of the caller who cancels it', async () => {
    const { queue, wait } = setUp()
    const { deadline, admitted } = wait('a')
    const reason = new Error('the caller left')
    deadline.cancel(reason)
    expect(await reasonOf(admitted)).toBe(reason)
    expect(queue.size).toBe(0)
  })

  it('leaves the level that it was promoted to', () => {
    const { queue, wait } = setUp()
    const { priority, deadline, admitted } = wait('a', 'bulk')
    priority.raise('call')
    deadline.cancel(new Error('the caller left'))
    expect(queue.size).toBe(0)
    return reasonOf(admitted)
  })
})

describe('refusing all that wait', () => {
  it('empties every level, and gives each an error of its own', async () => {
    const { queue, wait } = setUp()
    const waiting = [wait('a', 'bulk'), wait('b', 'refresh'), wait('c', 'call'), wait('d', 'call')]
    queue.refuseAll(() => new VKitServerError('the circuit is open'))
    const errors = await Promise.all(waiting.map(({ admitted }) => failureOf(admitted)))
    expect(new Set(errors).size).toBe(4)
    expect(queue.size).toBe(0)
  })
})
