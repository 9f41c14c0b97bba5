import { describe, expect, it, jest } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { Events } from '../../../lib/core/events.js'
import { FakeClock } from '../../../lib/testing/index.js'

jest.unstable_mockModule(
  '../../../lib/core/request-context.js',
  () => import('../../../lib/core/request-context.edge.js'),
)
const { EncryptedStore } = await import('../../../lib/store/encrypted-store.js')
const { StoreGuard } = await import('../../../lib/store/store-guard.js')
const { WriteOrder } = await import('../../../lib/store/write-order.js')
const { SecretSource } = await import('../../../lib/secret/secret-source.js')

const NEVER = new Promise<never>(() => undefined)

/** A store with writes that never settle, as those of requests that have ended. */
function setUp() {
  const clock = new FakeClock()
  const written: string[] = []
  const store = {
    get: () => undefined,
    set: (key: string) => {
      written.push(key)
      return NEVER
    },
    delete: (key: string) => {
      written.push(key)
      return NEVER
    },
  }
  return { written, options: { store, clock, events: new Events(() => undefined), random: () => 0.5 } }
}

describe('at the edge, writes to the store whose requests have ended', () => {
  it('do not use up the number of pending writes', () => {
    const { written, options } = setUp()
    const guard = new StoreGuard(options)
    for (let write = 0; write < 1_001; write++) void guard.set(`key ${write}`, 'value', 1)
    expect(written).toHaveLength(1_001)
  })

  it.each([
    // A write that is not forgotten has its removal repeated.
    ['are forgotten if a thousand others follow', 1_000, NEVER, ['write', 'removal']],
    ['are known if 999 others follow', 999, NEVER, ['write', 'removal', 'removal']],
    [
      'are known however many others follow that have settled',
      2_000,
      Promise.resolve(),
      ['write', 'removal', 'removal'],
    ],
  ])('%s', async (_, others, settled, expected) => {
    const order = new WriteOrder()
    const changes: string[] = []
    let settleFirst = (): void => undefined
    const first = new Promise<void>(resolve => (settleFirst = resolve))
    const change = (name: string, done: Promise<unknown>) => async () => (changes.push(name), { settled: done })
    await order.run('key', change('write', first))
    for (let key = 0; key < others; key++) {
      const { settled: isDone } = await order.run(`key ${key}`, change('other', settled))
      if (settled !== NEVER) await isDone
    }
    await order.run('key', change('removal', NEVER))
    settleFirst()
    await new Promise(resolve => setImmediate(resolve))
    expect(changes.filter(name => name !== 'other')).toEqual(expected)
  })

  it('of which an old one settles do not forget a newer one of the same key', async () => {
    const order = new WriteOrder()
    const changes: string[] = []
    const settle: (() => void)[] = []
    const change = (name: string) => async () => {
      changes.push(name)
      return { settled: new Promise<void>(resolve => settle.push(resolve)) }
    }
    await order.run('key', change('forgotten'))
    for (let key = 0; key < 1_000; key++) await order.run(`key ${key}`, change('other'))
    await order.run('key', change('write'))
    settle[0]?.()
    await new Promise(resolve => setImmediate(resolve))
    await order.run('key', change('removal'))
    settle[1_001]?.()
    await new Promise(resolve => setImmediate(resolve))
    expect(changes.filter(name => name !== 'other')).toEqual(['forgotten', 'write', 'removal', 'removal'])
  })

  it('do not keep a drain waiting', async () => {
    const { written, options } = setUp()
    const secret = new SecretSource({ rotates: false, read: async () => 'the-app-secret' })
    const endpoint = (): URL => new URL('https://gateway.test/v1/sessions')
    const store = new EncryptedStore({ ...options, secret, endpoint, deadlineMs: 15_000 })
    const request = { identity: 'user', scopes: [] }
    await secret.read(new Deadline(options.clock, 1_000, () => new Error('late')))
    const start = { wall: options.clock.now(), monotonic: options.clock.monotonic() }
    const expiresAt = new Date(start.wall + 3_600_000).toISOString()
    const token = { sessionToken: 'token', expiresAt, ...request }
    void store.write(request, { token, lifetime: { start, ms: 3_600_000 } }, false)
    void store.remove(request)
    while (written.length < 2) await new Promise(resolve => setImmediate(resolve))
    await store.flush()
    await store.close()
  })
})
