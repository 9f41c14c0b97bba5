import { describe, expect, it } from '@jest/globals'
import {
  datedTokenOf,
  readRecord,
  writeRecord,
  type RecordedToken,
  type RecordReader,
} from '../../../lib/store/record.js'
import type { MintedToken } from '../../../lib/token/session-token.js'

const NOON = Date.parse('2030-01-01T12:00:00Z')
const HOUR = 3_600_000
const request = { identity: 'user', scopes: ['videos.read'] }
const token = { sessionToken: 'token', expiresAt: '2030-01-01T13:00:00Z', ...request }
const origin = 'https://gateway.video.io/v1/sessions'

/** Returns a record written at noon by a process whose clock is `minterAheadMs` ahead of the gateway's. */
function recordAt(minterAheadMs = 0, afterMs?: number): string {
  return writeRecord({
    token,
    lifetime: { start: { wall: NOON + minterAheadMs, monotonic: 77 }, ms: HOUR },
    origin,
    afterMs,
  })
}

function read(record: string, wall: number, reader: Partial<RecordReader> = {}): RecordedToken {
  return readRecord(record, { request, origin, now: { wall, monotonic: 5 }, serverNowMs: undefined, ...reader })
}

function remainingMs({ lifetime }: MintedToken, wall: number): number[] {
  if (!lifetime) throw new Error('expected a lifetime')
  const { start, ms } = lifetime
  return [start.wall + ms - wall, start.monotonic + ms - 5]
}

describe('a record', () => {
  it('returns the token, frozen, with its remaining lifetime on both clocks', () => {
    const minted = read(recordAt(), NOON + HOUR / 4)
    expect(minted.token).toEqual(token)
    expect(Object.isFrozen(minted.token)).toBe(true)
    expect(remainingMs(minted, NOON + HOUR / 4)).toEqual([(HOUR * 3) / 4, (HOUR * 3) / 4])
    expect(minted.lifetime.ms).toBe(HOUR)
  })

  it.each([
    ['another identity', { request: { ...request, identity: 'User' } }],
    ['other scopes', { request: { ...request, scopes: [] } }],
    ['another gateway', { origin: 'https://other.example/v1/sessions' }],
  ])('is refused for %s', (_, reader) => {
    expect(() => read(recordAt(), NOON, reader)).toThrow('mismatch')
  })

  it.each([0, 1, HOUR])('is refused %d ms after its expiry', ms => {
    expect(() => read(recordAt(), NOON + HOUR + ms)).toThrow('expired')
  })

  it.each(['', 'null', '[]', '{}', '"text"', '{"sessionToken":1}', '{"__proto__":{"sessionToken":"x"}}'])(
    'is refused if its content is %s',
    content => {
      expect(() => read(content, NOON)).toThrow('corrupt')
    },
  )

  it.each([
    ['a lifetime that is not finite', '3600000', '1e999'],
    ['a lifetime that is a text', '3600000', '"3600000"'],
    ['a start that is missing', '"startedAt"', '"begunAt"'],
    ['an empty token', '"sessionToken":"token"', '"sessionToken":""'],
    ['a token that is not a text', '"sessionToken":"token"', '"sessionToken":["token"]'],
    ['an expiry that is a number', '"2030-01-01T13:00:00Z"', '1893502800'],
    ['an expiry that cannot be read', '2030-01-01T13:00:00Z', 'tomorrow'],
  ])('is refused with %s', (_, valid, invalid) => {
    const content = recordAt()
    expect(content).toContain(valid)
    expect(() => read(content.replace(valid, invalid), NOON)).toThrow('corrupt')
  })

  it.each<[unknown, readonly string[], boolean]>([
    [['a', 'b'], ['a', 'b'], true],
    [[], [], true],
    [['a', 'b'], ['b', 'a'], false],
    [['a', 'b'], ['a', 'c'], false],
    [['a', 'b'], ['a'], false],
    [['a'], ['a', 'b'], false],
    ['a', ['a'], false],
    [undefined, [], false],
  ])('with the scopes %j is for the request of %j: %p', (stored, scopes, isFor) => {
    const content = JSON.stringify({ ...(JSON.parse(recordAt()) as object), scopes: stored })
    const outcome = expect(() => read(content, NOON, { request: { ...request, scopes } }))
    if (isFor) outcome.not.toThrow()
    else outcome.toThrow('mismatch')
  })

  it('says when its token was minted, and after which invalidation, also when it has expired', () => {
    const mintedAtMs = NOON
    expect(datedTokenOf(recordAt(-600_000, 5))).toEqual({ sessionToken: 'token', mintedAtMs, afterMs: 5 })
    expect(datedTokenOf(recordAt())).toEqual({ sessionToken: 'token', mintedAtMs, afterMs: undefined })
    expect([read(recordAt(0, 5), NOON).afterMs, read(recordAt(), NOON).afterMs]).toEqual([5, undefined])
    expect(read(recordAt(0, 5).replace('"afterMs":5', '"afterMs":"5"'), NOON).afterMs).toBeUndefined()
  })
})

describe('if clocks differ', () => {
  const TEN_MINUTES = 600_000

  it("a process that has minted uses the gateway's clock, whatever its own clock and the writer's clock show", () => {
    for (const minterAhead of [-TEN_MINUTES, 0, TEN_MINUTES]) {
      for (const ourWall of [NOON - TEN_MINUTES, NOON, NOON + TEN_MINUTES]) {
        const minted = read(recordAt(minterAhead), ourWall, { serverNowMs: NOON + HOUR / 2 })
        expect(remainingMs(minted, ourWall)).toEqual([HOUR / 2, HOUR / 2])
      }
    }
  })

  it("a process that has not minted uses the earlier expiry of the gateway's clock and the writer's clock", () => {
    expect(remainingMs(read(recordAt(-TEN_MINUTES), NOON), NOON)[0]).toBe(HOUR - TEN_MINUTES)
    expect(remainingMs(read(recordAt(500), NOON), NOON)[0]).toBe(HOUR)
  })

  it('a record from more than a second in the future is refused', () => {
    expect(() => read(recordAt(1_000), NOON)).not.toThrow()
    expect(() => read(recordAt(1_001), NOON)).toThrow('clock-skew')
    expect(() => read(recordAt(), NOON - TEN_MINUTES)).toThrow('clock-skew')
    expect(() => read(recordAt(TEN_MINUTES), NOON)).toThrow('clock-skew')
  })

  it('a record is never valid for longer than the lifetime of its token', () => {
    expect(remainingMs(read(recordAt(), NOON - 900), NOON - 900)[0]).toBe(HOUR)
    expect(remainingMs(read(recordAt(), NOON, { serverNowMs: NOON - HOUR }), NOON)[0]).toBe(HOUR)
  })
})
