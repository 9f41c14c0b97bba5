import { describe, expect, it } from '@jest/globals'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { FailureStreak } from '../../../lib/gateway/failure-streak.js'

/** Fails an attempt of each key, sent at `sentAt` and ended at `at`. Returns whether the last one affects everyone. */
function fail(streak: FailureStreak, keys: readonly string[], at = 0, sentAt = at): boolean {
  return keys.map(key => streak.recordFailure({ key, sentAt }, at)).at(-1) ?? false
}

const users = (count: number, prefix = 'user'): string[] =>
  Array.from({ length: count }, (_, number) => `${prefix} ${number}`)

describe('a streak of failures', () => {
  it('affects everyone after 40 different keys failed, but not after 39', () => {
    const streak = new FailureStreak()
    expect(fail(streak, users(39))).toBe(false)
    expect(fail(streak, ['one more'])).toBe(true)
  })

  it('counts each key once, however often it fails', () => {
    const streak = new FailureStreak()
    for (let time = 0; time < 100; time++) expect(fail(streak, users(39))).toBe(false)
  })

  it('takes no more memory the longer it is', () => {
    setFlagsFromString('--expose_gc')
    const collectGarbage = runInNewContext('gc') as () => void
    const streak = new FailureStreak()
    const heapAfter = (prefix: string): number => {
      for (const user of users(20_000, prefix)) fail(streak, [user.padEnd(1_000)])
      collectGarbage()
      return process.memoryUsage().heapUsed
    }
    const before = heapAfter('user')
    expect(heapAfter('other') - before).toBeLessThan(10_000_000)
  })

  it('ends after one success', () => {
    const streak = new FailureStreak()
    fail(streak, users(39))
    streak.recordSuccess(0)
    expect(fail(streak, users(39, 'other'))).toBe(false)
    expect(fail(streak, ['one more'])).toBe(true)
  })

  it('continues until a success, whichever key fails next', () => {
    const streak = new FailureStreak()
    fail(streak, users(40))
    expect(fail(streak, ['user 0'])).toBe(true)
  })
})

describe('a streak of failures at low traffic', () => {
  it('affects everyone after 5 s without a success, but not before', () => {
    const streak = new FailureStreak()
    fail(streak, ['a', 'b', 'a', 'b'])
    expect(fail(streak, ['a'], 4_999)).toBe(false)
    expect(fail(streak, ['a'], 5_000)).toBe(true)
  })

  it('begins when the first failed attempt was sent', () => {
    const streak = new FailureStreak()
    fail(streak, ['a', 'b', 'a', 'b'], 3_000, 1_000)
    expect(fail(streak, ['a'], 5_999)).toBe(false)
    expect(fail(streak, ['a'], 6_000)).toBe(true)
  })

  it('begins at the last success if the failed attempt was sent before it', () => {
    const streak = new FailureStreak()
    streak.recordSuccess(2_000)
    fail(streak, ['a', 'b', 'a', 'b'], 3_000, 1_000)
    expect(fail(streak, ['a'], 6_999)).toBe(false)
    expect(fail(streak, ['a'], 7_000)).toBe(true)
  })

  it('starts again after a success', () => {
    const streak = new FailureStreak()
    fail(streak, ['a', 'b', 'a', 'b'])
    streak.recordSuccess(4_000)
    expect(fail(streak, users(5), 5_000)).toBe(false)
  })

  it('needs five attempts', () => {
    const streak = new FailureStreak()
    fail(streak, ['a', 'b', 'a'])
    expect(fail(streak, ['b'], 60_000)).toBe(false)
    expect(fail(streak, ['a'], 60_000)).toBe(true)
  })

  it('needs two keys: one user whose mints fail does not affect the others', () => {
    const streak = new FailureStreak()
    for (let at = 0; at < 600_000; at += 1_000) expect(fail(streak, ['a'], at)).toBe(false)
    expect(fail(streak, ['b'], 600_000)).toBe(true)
  })
})
