import assert from 'node:assert/strict'
import { FakeClock } from '../../../lib/testing/index.js'
import type { Row } from '../harness/row.js'

const MINUTE_MS = 60_000

export const outages: readonly Row[] = [
  {
    n: 53,
    fault: 'outage, token cached',
    outcome: 'the cached token, and a refresh in the background',
    async run(t) {
      const clock = new FakeClock()
      const gateway = await t.emulator({ clock })
      // Without retries, no time has to pass while a request is in flight.
      const client = t.client(gateway, { clock, maxRetries: 0 })
      const kept = await t.mint(client, 'user')
      gateway.fail({ status: 503 })
      // Up to the last minute, which is the default of minValidityMs, and then almost until the expiry.
      for (const minutes of [45, 13, 1, 0.5]) {
        await clock.advance(minutes * MINUTE_MS)
        const call = t.mint(client, 'user')
        while (client.stats().inFlight > 0) await clock.advance(0)
        assert.equal(await call, kept)
      }
      assert.ok(gateway.requests.length > 1)
      assert.ok(t.events.some(event => event.type === 'failure' && event.background))
      assert.ok(t.types().includes('served-while-failing'))
      await clock.advance(MINUTE_MS)
      const late = t.failureOf(client.getSessionToken('user'))
      while (client.stats().inFlight > 0) await clock.advance(0)
      t.expectFailure(await late, { code: 'VKIT_UNAVAILABLE', retryable: true }, 0)
      gateway.recover()
      await clock.advance(MINUTE_MS)
      assert.notEqual(await t.mint(client, 'user'), kept)
    },
  },
  {
    n: 54,
    fault: 'outage, 1,000 cold identities',
    outcome: 'UNAVAILABLE or CONNECTION; ≤ 120 requests; the circuit opens and empties the queue, R',
    notWithFetch: 'the edge has no queue and no limit, so all 1,000 mints are sent',
    async run(t) {
      const gateway = await t.emulator()
      const client = t.client(gateway)
      const kept = await t.mint(client, 'keeper')
      gateway.fail({ status: 503 })
      const calls = Array.from({ length: 1_000 }, (_, index) => t.failureOf(client.getSessionToken(`user-${index}`)))
      for (const error of await Promise.all(calls)) {
        t.expectFailure(error, { code: ['VKIT_UNAVAILABLE', 'VKIT_CONNECTION'], retryable: true }, 0)
      }
      const sent = gateway.requests.length - 1
      assert.ok(sent <= 120, `${sent} requests`)
      assert.notEqual(client.stats().circuit, 'closed')
      assert.ok(t.types().includes('circuit-open'))

      const more = await t.failureOf(client.getSessionToken('one-more'))
      assert.equal(more.code, 'VKIT_UNAVAILABLE')
      assert.equal(await t.mint(client, 'keeper'), kept)
      assert.equal(client.stats().entries, 1)
    },
  },
  {
    n: 55,
    fault: '1,000 callers, one identity, failure',
    outcome: 'same code, 1,000 distinct errors, R, ≤3',
    async run(t) {
      const gateway = await t.emulator()
      const client = t.client(gateway)
      gateway.fail({ status: 503 })
      const calls = Array.from({ length: 1_000 }, () => t.failureOf(client.getSessionToken('user')))
      const errors = await Promise.all(calls)
      assert.equal(new Set(errors).size, 1_000)
      for (const error of errors) t.expectFailure(error, { code: 'VKIT_UNAVAILABLE', retryable: true, attempts: 3 }, 3)
      assert.ok(gateway.requests.length <= 3)
    },
  },
]
