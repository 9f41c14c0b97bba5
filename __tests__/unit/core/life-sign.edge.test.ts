import { describe, expect, it, jest } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { RequestClock } from '../../support/request-clock.js'

jest.unstable_mockModule(
  '../../../lib/core/request-context.js',
  () => import('../../../lib/core/request-context.edge.js'),
)
const { LifeSign } = await import('../../../lib/core/life-sign.js')
const { MAX_SILENCE_MS } = await import('../../../lib/core/request-context.js')

const NEVER = new Promise<never>(() => undefined)

describe('LifeSign', () => {
  it('is shown while its request goes on, and leaves no timer at the end', async () => {
    const clock = new RequestClock()
    const sign = new LifeSign(clock)
    await clock.advance(10 * MAX_SILENCE_MS)
    expect(sign.isSilent).toBe(false)
    sign.end()
    expect(clock.sleepers).toBe(0)
  })

  it('tells every follower when its request has ended', async () => {
    const clock = new RequestClock()
    const { request, result: sign } = clock.during(() => new LifeSign(clock))
    const followed = Promise.all([sign.follow(NEVER), sign.follow(NEVER)])
    await clock.advance(MAX_SILENCE_MS)
    request.isEnded = true
    await clock.advance(MAX_SILENCE_MS)
    expect(await followed).toEqual([undefined, undefined])
    expect([sign.isSilent, clock.sleepers]).toEqual([true, 0])
  })

  it('is not lost if the process had no time, and ends the timer of a follower first', async () => {
    let nowMs = 0
    const wake: (() => void)[] = []
    const sleep = (): Promise<void> => new Promise(resolve => wake.push(resolve))
    const sign = new LifeSign({ now: () => 0, monotonic: () => nowMs, sleep })
    let isLost = false
    void sign.follow(NEVER).then(() => (isLost = true))
    const [ofSign, ofFollower] = wake
    nowMs = 2 * MAX_SILENCE_MS
    for (const end of [ofFollower, ofSign]) {
      end?.()
      await new Promise(resolve => setImmediate(resolve))
    }
    wake[2]?.()
    await new Promise(resolve => setImmediate(resolve))
    expect([isLost, sign.isSilent]).toEqual([false, false])
  })

  it('is lost at once if the runtime rejects the promise of an ended request', async () => {
    const sign = new LifeSign(new RequestClock())
    expect(await sign.follow(Promise.reject(new Error('This promise was created by a request that has ended')))).toBe(
      undefined,
    )
    expect(sign.isSilent).toBe(true)
  })

  it('gives a follower the result, or the reason of its deadline', async () => {
    const clock = new RequestClock()
    const sign = new LifeSign(clock)
    expect(await sign.follow(Promise.resolve('result'))).toBe('result')
    const late = new Error('late')
    const followed = expect(sign.follow(NEVER, new Deadline(clock, 1, () => late))).rejects.toBe(late)
    await clock.advance(1)
    await followed
    sign.end()
    expect(clock.sleepers).toBe(0)
  })
})
