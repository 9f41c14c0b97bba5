import { describe, expect, it } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { VKitServerError, VKitTimeoutError } from '../../../lib/core/errors.js'
import { MintPriority, type PriorityLevel } from '../../../lib/gateway/mint-priority.js'
import { MintQueue } from '../../../lib/gateway/mint-queue.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { failureOf, reasonOf } from '../../support/failure.js'

function setUp() {
  const clock = new FakeClock()
  const queue = new MintQueue(() => undefined)
  const order: string[] = []
  /** Puts an attempt into the queue. Its key is added to `order` when it is admitted. */
  const wait = (key: string, level: PriorityLevel = 'call', ms = 15_000, isReturning = false) => {
    const priority = new MintPriority(level)
    const deadline = new Deadline(clock, ms, () => new VKitTimeoutError(`${key} is late`))
    const admitted = queue.wait({ key, deadline, priority, isReturning })
    admitted.then(
      attempt => order.push(attempt.key),
      () => undefined,
    )
    return { priority, deadline, admitted }
  }
  const admitAll = async (): Promise<string[]> => {
    for (let next = queue.peek(); next; next = queue.peek()) {
      next.admit({ key: next.request.key, sentAt: 0, isProbe: false, isBulk: false })
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

  it('serves attempts of the same level in the order of their arrival', async () => {
    const { wait, admitAll } = setUp()
    for (const key of ['first', 'second', 'third']) wait(key)
    expect(await admitAll()).toEqual(['first', 'second', 'third'])
  })

  it('serves an attempt that returns before the others of its level', async () => {
    const { wait, admitAll } = setUp()
    wait('bulk', 'bulk')
    wait('bulk again', 'bulk', 15_000, true)
    wait('call')
    wait('call again', 'call', 15_000, true)
    expect(await admitAll()).toEqual(['call again', 'call', 'bulk again', 'bulk'])
  })

  it('moves an attempt whose priority rises to the end of its new level', async () => {
    const { wait, admitAll } = setUp()
    const { priority } = wait('promoted', 'bulk')
    wait('refresh', 'refresh')
    wait('call', 'call')
    priority.raise('call')
    expect(await admitAll()).toEqual(['call', 'promoted', 'refresh'])
  })

  it('does not queue an admitted attempt again when its priority rises', async () => {
    const { queue, wait, admitAll } = setUp()
    const { priority } = wait('a', 'bulk')
    await admitAll()
    priority.raise('call')
    expect(queue.size).toBe(0)
  })

  it('does not remove the next attempt when peek returns it', () => {
    const { queue, wait } = setUp()
    wait('a')
    expect(queue.peek()).toBe(queue.peek())
    expect(queue.size).toBe(1)
  })

  it('resolves with the admitted attempt', async () => {
    const { queue, wait } = setUp()
    const { admitted } = wait('a')
    const attempt = { key: 'a', sentAt: 5, isProbe: true, isBulk: false }
    queue.peek()?.admit(attempt)
    expect(await admitted).toBe(attempt)
  })

  it('removes an attempt that is refused', async () => {
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
  it('leaves the queue when its deadline passes, and the others stay', async () => {
    const { clock, wait, admitAll } = setUp()
    const { admitted } = wait('short', 'call', 1_000)
    wait('long')
    await clock.advance(1_000)
    expect(await failureOf(admitted)).toMatchObject({ code: 'VKIT_TIMEOUT', message: 'short is late' })
    expect(await admitAll()).toEqual(['long'])
  })

  it('rejects with the reason of the cancellation', async () => {
    const { queue, wait } = setUp()
    const { deadline, admitted } = wait('a')
    const reason = new Error('the caller left')
    deadline.cancel(reason)
    expect(await reasonOf(admitted)).toBe(reason)
    expect(queue.size).toBe(0)
  })

  it('leaves the queue after its priority rose', () => {
    const { queue, wait } = setUp()
    const { priority, deadline, admitted } = wait('a', 'bulk')
    priority.raise('call')
    deadline.cancel(new Error('the caller left'))
    expect(queue.size).toBe(0)
    return reasonOf(admitted)
  })
})

describe('refuseAll', () => {
  it('empties every level, and rejects each attempt with its own error object', async () => {
    const { queue, wait } = setUp()
    const waiting = [wait('a', 'bulk'), wait('b', 'refresh'), wait('c', 'call'), wait('d', 'call')]
    expect(queue.size).toBe(4)
    queue.refuseAll(() => new VKitServerError('the circuit is open'))
    const errors = await Promise.all(waiting.map(({ admitted }) => failureOf(admitted)))
    expect(new Set(errors).size).toBe(4)
    expect(queue.size).toBe(0)
  })
})
