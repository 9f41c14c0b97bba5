import { describe, expect, it } from '@jest/globals'
import { instant } from '../../../lib/core/instant.js'
import { ServerTime } from '../../../lib/store/server-time.js'
import { FakeClock } from '../../../lib/testing/index.js'

const HOUR_MS = 3_600_000
const token = { sessionToken: 'token', identity: 'user', scopes: [] }

describe('the time of the gateway', () => {
  it('is unknown before the first mint', () => {
    const clock = new FakeClock()
    expect(new ServerTime(clock).read()).toEqual({ now: instant(clock), serverNowMs: undefined })
  })

  it('is derived from the expiry of a token, and advances with the local clocks', async () => {
    const clock = new FakeClock()
    const time = new ServerTime(clock)
    const aheadMs = 5 * 60_000
    const expiresAt = new Date(clock.now() + aheadMs + HOUR_MS).toISOString()
    time.learn({ ...token, expiresAt }, { start: instant(clock), ms: HOUR_MS })
    await clock.advance(1_000)
    expect(time.read().serverNowMs).toBe(clock.now() + aheadMs)
  })

  it('is the later one if the local clocks differ', async () => {
    const clock = new FakeClock()
    await clock.advance(7_000)
    const time = new ServerTime(clock)
    const start = instant(clock)
    time.learn({ ...token, expiresAt: new Date(start.wall + HOUR_MS).toISOString() }, { start, ms: HOUR_MS })
    await clock.advance(1_000)
    clock.setWall(start.wall - 60_000)
    expect(time.read().serverNowMs).toBe(start.wall + 1_000)
    clock.setWall(start.wall + 60_000)
    expect(time.read().serverNowMs).toBe(start.wall + 60_000)
  })

  it('does not change if an expiry cannot be read', () => {
    const clock = new FakeClock()
    const time = new ServerTime(clock)
    time.learn({ ...token, expiresAt: 'tomorrow' }, { start: instant(clock), ms: HOUR_MS })
    expect(time.read().serverNowMs).toBeUndefined()
  })
})
