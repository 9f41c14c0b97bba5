import assert from 'node:assert/strict'
import { setImmediate } from 'node:timers/promises'
import type { Row } from '../harness/row.js'

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate()
}

const reasonOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => assert.fail('expected a rejection'),
    (reason: unknown) => reason,
  )

export const calls: readonly Row[] = [
  {
    n: 56,
    fault: 'one of N callers aborts',
    outcome: 'only that caller gets its reason, 1',
    async run(t) {
      const gateway = await t.emulator()
      gateway.failNext({ delayMs: 200 })
      const client = t.client(gateway)
      const [one, reason] = [new AbortController(), new Error('the user has left')]
      const aborted = reasonOf(client.getSessionToken('user', { signal: one.signal }))
      const others = Array.from({ length: 9 }, (_, index) =>
        client.getSessionToken('user', index % 2 ? { signal: new AbortController().signal } : {}),
      )
      await until(() => gateway.requests.length === 1)
      one.abort(reason)
      assert.equal(await aborted, reason)
      assert.equal(client.stats().inFlight, 1, 'the load continues')
      const tokens = await Promise.all(others)
      assert.equal(new Set(tokens).size, 1)
      assert.equal(gateway.requests.length, 1)
    },
  },
  {
    n: 57,
    fault: 'already aborted',
    outcome: 'the reason of the signal, no request, 0',
    async run(t) {
      const gateway = await t.emulator()
      const client = t.client(gateway)
      for (const reason of [new Error('too late'), 'text', null]) {
        assert.equal(await reasonOf(client.getSessionToken('user', { signal: AbortSignal.abort(reason) })), reason)
      }
      const byDefault = await reasonOf(client.getSessionToken('user', { signal: AbortSignal.abort() }))
      assert.equal((byDefault as Error).name, 'AbortError')
      assert.equal(gateway.requests.length, 0)
    },
  },
  {
    n: 58,
    fault: 'close() in flight',
    outcome: 'CLOSED, N',
    async run(t) {
      const gateway = await t.emulator()
      gateway.fail({ silence: true })
      const client = t.client(gateway)
      const failing = ['a', 'b', 'b'].map(each => t.failureOf(client.getSessionToken(each)))
      failing.push(t.failureOf(client.getSessionToken('c', { cache: 'no-store' })))
      await until(() => gateway.requests.length === 3)
      await client.close()
      failing.push(t.failureOf(client.getSessionToken('d')))
      for (const error of await Promise.all(failing))
        t.expectFailure(error, { code: 'VKIT_CLOSED', retryable: false }, 0)
      assert.equal(gateway.requests.length, 3)
    },
  },
  {
    n: 59,
    fault: 'invalidate in flight',
    outcome: 'the late token is not cached, 2',
    async run(t) {
      const gateway = await t.emulator()
      gateway.failNext({ delayMs: 100 })
      const client = t.client(gateway)
      const late = t.mint(client, 'user')
      await until(() => gateway.requests.length === 1)
      await client.invalidate('user')
      const [first, second] = await Promise.all([late, t.mint(client, 'user')])
      assert.notEqual(first, second)
      assert.equal(await t.mint(client, 'user'), second)
      assert.equal(gateway.requests.length, 2)
    },
  },
  {
    n: 60,
    fault: 'onEvent throws',
    outcome: 'the call is unaffected, 1',
    async run(t) {
      const listeners: ((() => unknown) & (() => void))[] = [
        () => {
          throw new Error('of the listener')
        },
        () => Promise.reject(new Error('of the async listener')),
        () => ({ then: (_: unknown, reject: (reason: Error) => void) => reject(new Error('of the thenable')) }),
      ]
      for (const onEvent of listeners) {
        const gateway = await t.emulator()
        const client = t.client(gateway, { onEvent: onEvent })
        assert.equal(await t.mint(client, 'user'), await t.mint(client, 'user'))
        assert.equal(gateway.requests.length, 1)
        gateway.fail({ status: 400 })
        t.expectFailure(
          await t.failureOf(client.getSessionToken('b')),
          { code: 'VKIT_INVALID_REQUEST', retryable: false },
          1,
        )
      }
    },
  },
]
