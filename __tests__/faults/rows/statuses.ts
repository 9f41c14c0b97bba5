import assert from 'node:assert/strict'
import type { VKitErrorCode } from '../../../lib/index.js'
import { assertNoSecret } from '../../../lib/testing/index.js'
import type { Context, ExpectedFailure } from '../harness/context.js'
import { meet } from '../harness/meet.js'
import { LONGEST_FIRST_BACKOFF_MS, SkippingClock } from '../harness/skipping-clock.js'
import { SECRET, type Row } from '../harness/row.js'
import { meetFault, surviveFault } from './bodies.js'

const LIMITED: ExpectedFailure = { code: 'VKIT_RATE_LIMITED', retryable: true, attempts: 3, status: 429 }

async function meetStatuses(t: Context, expected: ExpectedFailure, statuses: readonly number[]): Promise<void> {
  await meetBodies(t, expected, { statuses, bodies: [{ error: 'no' }, 'no JSON'] })
}

async function meetBodies(
  t: Context,
  expected: ExpectedFailure,
  { statuses, bodies }: { readonly statuses: readonly number[]; readonly bodies: readonly unknown[] },
): Promise<void> {
  for (const body of bodies) {
    await Promise.all(statuses.map(status => meetFault(t, { ...expected, status }, { status, body })))
  }
}

/** Fails a refresh with `fault`. Returns whether the client still returns the cached token afterwards. */
async function refuseRefresh(t: Context, fault: { status: number; body: unknown }): Promise<boolean> {
  const gateway = await t.emulator()
  const clock = new SkippingClock()
  const client = t.client(gateway, { clock, maxRetries: 0 })
  const cached = await t.mint(client, 'victim')
  gateway.failNext({ identity: 'victim', ...fault })
  await t.failureOf(client.getSessionToken('victim', { cache: 'reload' }))
  clock.skip(LONGEST_FIRST_BACKOFF_MS)
  return (await t.mint(client, 'victim')) === cached
}

/** What proxies, firewalls and frameworks respond with. */
const FOREIGN_BODIES: readonly unknown[] = ['<!doctype html><h1>Access denied</h1>', '', { message: 'no' }, '"error"']

const refusal = (code: VKitErrorCode): ExpectedFailure => ({ code, retryable: false, attempts: 1 })

/** A response that arrives before the request, as some proxies send it. */
async function meetEarlyResponse(t: Context): Promise<void> {
  const gateway = await t.raw()
  await meet(t, gateway, {
    ...refusal('VKIT_UNAUTHENTICATED'),
    forAll: true,
    status: 401,
    begin: async () => {
      gateway.greet = socket =>
        socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
      await gateway.become()
    },
    end: async () => {
      gateway.greet = () => undefined
      await gateway.become()
    },
  })
}

async function expectWait(t: Context, retryAfter: () => string, ms: number): Promise<void> {
  const gateway = await t.emulator()
  const client = t.client(gateway)
  gateway.failNext({ status: 429, headers: { 'Retry-After': retryAfter() } })
  await t.mint(client, 'victim')
  const [first, second, ...more] = gateway.requests
  assert.ok(first && second && more.length === 0)
  const waited = second.receivedAt - first.receivedAt
  assert.ok(waited >= ms - 5, `waited ${waited} ms`)
}

/** The longest backoff of the SDK, with full jitter, before the second and the third attempt. */
const OWN_BACKOFF_MS = [500, 1_000]

async function expectOwnBackoff(t: Context, hint: string): Promise<void> {
  const gateway = await t.emulator()
  const delays: number[] = []
  await meet(t, gateway, {
    ...LIMITED,
    begin: () => gateway.fail({ identity: 'victim', status: 429, headers: { 'Retry-After': hint } }),
    options: {
      onEvent: event => {
        if (event.type === 'retry') delays.push(event.delayMs)
      },
    },
  })
  assert.equal(delays.length, 2)
  assert.ok(
    delays.every((delay, index) => delay >= 0 && delay <= (OWN_BACKOFF_MS[index] ?? 0)),
    delays.join(),
  )
}

export const statuses: readonly Row[] = [
  {
    n: 42,
    fault: "400, 422; 404 with the contract's JSON error",
    outcome: 'INVALID_REQUEST, nothing evicted, N, 1',
    async run(t) {
      const refused = refusal('VKIT_INVALID_REQUEST')
      await meetStatuses(t, refused, [400, 402, 405, 413, 418, 422, 451, 499])
      await meetBodies(t, refused, { statuses: [404, 410], bodies: [{ error: 'no' }, { error: { message: 'no' } }] })
      for (const status of [400, 404, 422]) assert.ok(await refuseRefresh(t, { status, body: { error: 'no' } }))
    },
  },
  {
    n: '42b',
    fault: "403, 404, 410 in another format (a proxy's or firewall's HTML, empty)",
    outcome: 'INVALID_RESPONSE, nothing evicted, the circuit stays closed, R, 3',
    async run(t) {
      const page: ExpectedFailure = { code: 'VKIT_INVALID_RESPONSE', retryable: true, attempts: 3 }
      await meetBodies(t, page, { statuses: [403, 404, 410], bodies: FOREIGN_BODIES })
      for (const status of [403, 404, 410]) assert.ok(await refuseRefresh(t, { status, body: '<h1>Blocked</h1>' }))
      const gateway = await t.emulator()
      gateway.fail({ status: 403, body: '<h1>Blocked</h1>' })
      const client = t.client(gateway, { maxRetries: 0 })
      for (let i = 0; i < 6; i++) await t.failureOf(client.getSessionToken(`user-${i}`))
      assert.equal(client.stats().circuit, 'closed', 'opened by pages')
      assert.equal(t.types().includes('circuit-open'), false)
    },
  },
  {
    n: 43,
    fault: '401, also before the body was sent',
    outcome: 'UNAUTHENTICATED, N, 1',
    async run(t) {
      await meetStatuses(t, refusal('VKIT_UNAUTHENTICATED'), [401])
      await meetEarlyResponse(t)
    },
  },
  {
    n: 44,
    fault: "403, 410 with the contract's JSON error",
    outcome: "FORBIDDEN, INVALID_REQUEST, the key's token is evicted, N, 1",
    async run(t) {
      await meetBodies(t, refusal('VKIT_FORBIDDEN'), { statuses: [403], bodies: [{ error: 'no' }] })
      for (const status of [403, 410]) assert.ok(!(await refuseRefresh(t, { status, body: { error: 'no' } })))
    },
  },
  {
    n: 45,
    fault: 'the error body repeats the secret (plain, base64, percent-encoded)',
    outcome: 'redacted',
    async run(t) {
      const bytes = Buffer.from(SECRET)
      const forms = [
        SECRET,
        `Bearer ${SECRET}`,
        bytes.toString('base64'),
        Buffer.from(`user:${SECRET}`).toString('base64'),
        bytes.toString('base64url'),
        bytes.toString('hex'),
        encodeURIComponent(SECRET),
        bytes.toString('hex').replace(/../g, pair => `%${pair}`),
        SECRET.slice(-60),
        SECRET.replace(/./g, '$&\u0000'),
        `${SECRET.slice(0, 100)}\n${SECRET.slice(100)}`,
      ]
      for (const form of forms) {
        for (const status of [400, 401, 403, 422]) {
          const gateway = await t.emulator()
          gateway.fail({
            status,
            body: { error: { message: `unknown app ${form}` } },
            headers: { 'X-Request-Id': form.replace(/[^\x21-\x7e]/g, '') },
          })
          const error = await t.failureOf(t.client(gateway).getSessionToken('victim'))
          assert.match(error.message, /\[redacted\]/)
          // A secret with spaces in it is as bad as a whole one.
          assertNoSecret(error.message.replace(/\s/g, ''), SECRET)
        }
      }
    },
  },
  {
    n: 46,
    fault: '409, 408, 425',
    outcome: 'UNAVAILABLE, R, 3',
    run: t => meetStatuses(t, { code: 'VKIT_UNAVAILABLE', retryable: true, attempts: 3 }, [409, 408, 425]),
  },
  {
    n: 47,
    fault: '429 without a hint',
    outcome: 'RATE_LIMITED, R, 3',
    run: t => meetFault(t, LIMITED, { status: 429 }),
  },
  {
    n: 48,
    fault: '429 with Retry-After: 1, with a date',
    outcome: 'waits at least that long, then success, 2',
    async run(t) {
      await Promise.all([
        expectWait(t, () => '1', 1_000),
        // It is compared with the Date header of the response, which also has whole seconds only.
        expectWait(t, () => new Date(Date.now() + 2_000).toUTCString(), 1_000),
      ])
    },
  },
  {
    n: 49,
    fault: '429 with -5, abc, "1, 2", Infinity',
    outcome: 'own backoff, R, 3',
    async run(t) {
      const hints = [
        '-5',
        'abc',
        '1, 2',
        'Infinity',
        '1e3',
        '0x10',
        '',
        ' ',
        '1.5',
        new Date(0).toUTCString(),
        '2099-01-01',
      ]
      await Promise.all(hints.map(hint => expectOwnBackoff(t, hint)))
    },
  },
  {
    n: 50,
    fault: '429 with 86400',
    outcome: 'RATE_LIMITED immediately, retryAfterMs, R, 1',
    async run(t) {
      const gateway = await t.emulator()
      const fault = { identity: 'victim', status: 429, headers: { 'Retry-After': '86400' } }
      const error = await meet(t, gateway, { ...LIMITED, attempts: 1, begin: () => gateway.fail(fault) })
      assert.equal(error.retryAfterMs, 86_400_000)
    },
  },
  {
    n: 51,
    fault: '500, 502, 503, 504, then 200',
    outcome: 'success, 2',
    async run(t) {
      await Promise.all([500, 502, 503, 504, 507, 599].map(status => surviveFault(t, { status }, 2)))
    },
  },
  {
    n: 52,
    fault: '501, 505, 600, 999',
    outcome: 'INVALID_RESPONSE or UNAVAILABLE, N, 1',
    async run(t) {
      const expected: ExpectedFailure = {
        code: ['VKIT_INVALID_RESPONSE', 'VKIT_UNAVAILABLE'],
        retryable: false,
        attempts: 1,
      }
      await meetStatuses(t, expected, [501, 505, 600, 999])
    },
  },
]
