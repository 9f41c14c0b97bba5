import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { VKitClient, type VKitClientOptions } from '../../../lib/index.js'
import { assertNoSecret } from '../../../lib/testing/index.js'
import type { Context, ExpectedFailure } from '../harness/context.js'
import { SECRET, type Row } from '../harness/row.js'

const CONFIG: ExpectedFailure = { code: 'VKIT_CONFIG', retryable: false, attempts: 0 }
const ARGUMENT: ExpectedFailure = { code: 'VKIT_INVALID_ARGUMENT', retryable: false, attempts: 0 }

async function expectConfigError(t: Context, options: VKitClientOptions): Promise<void> {
  const construct = async (): Promise<unknown> => new VKitClient(options)
  const error = await t.failureOf(construct())
  t.expectFailure(error, CONFIG, 0)
  const { appSecret } = options
  if (typeof appSecret === 'string' && appSecret.length >= 4) assertNoSecret(error, appSecret)
}

async function refuseCalls(t: Context, calls: (client: VKitClient) => Promise<unknown>[]): Promise<void> {
  const gateway = await t.emulator()
  const client = t.client(gateway)
  for (const call of calls(client)) t.expectFailure(await t.failureOf(call), ARGUMENT, 0)
  assert.equal(gateway.requests.length, 0)
  assert.equal(client.stats().entries, 0)
  await t.mint(client, 'user')
}

async function expectProviderFailure(t: Context, appSecret: unknown, expected: ExpectedFailure): Promise<void> {
  const gateway = await t.emulator()
  const deadlineMs = 300
  const client = t.client(gateway, { appSecret: appSecret as () => string, deadlineMs })
  t.expectFailure(await t.failureOf(client.getSessionToken('user'), deadlineMs), expected, 0)
  assert.equal(gateway.requests.length, 0)
}

/** A JWT with claims that only a session token has: its role, or an expiry. */
function jwt(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'HS256' })}.${part(claims)}.c2lnbmF0dXJlLW9mLW5vYm9keQ`
}

const CALLS = 50_000

export const input: readonly Row[] = [
  {
    n: 69,
    fault: 'secret with CR, LF, surrounding spaces, non-ASCII, empty',
    outcome: 'CONFIG, the value not repeated, N, 0',
    async run(t) {
      const bad = [`${SECRET}\r`, `${SECRET}\n`, ` ${SECRET}`, `${SECRET} `, `${SECRET}é`, `${SECRET}\0`, '', '   ']
      for (const appSecret of bad) {
        await expectConfigError(t, { appSecret })
        await expectProviderFailure(t, () => appSecret, CONFIG)
      }
    },
  },
  {
    n: 70,
    fault: 'a session token given as the secret',
    outcome: 'CONFIG, N, 0',
    async run(t) {
      for (const claims of [{ exp: 4_000_000_000 }, { role: 'session' }, { role: 'app', exp: 1 }, { role: 7 }]) {
        await expectConfigError(t, { appSecret: jwt(claims) })
        await expectProviderFailure(t, () => jwt(claims), CONFIG)
      }
      const gateway = await t.emulator()
      await expectConfigError(t, { appSecret: await t.mint(t.client(gateway), 'user') })
    },
  },
  {
    n: 71,
    fault: 'identity empty, not a string, lone surrogate, NUL, over 1 KiB',
    outcome: 'INVALID_ARGUMENT, N, 0',
    async run(t) {
      const bad = [
        '',
        undefined,
        null,
        42,
        {},
        ['user'],
        Symbol('user'),
        '\ud800',
        'a\udc00b',
        'a\0b',
        'x'.repeat(1_025),
        'é'.repeat(513),
      ]
      await refuseCalls(t, client =>
        bad.flatMap(each => [client.getSessionToken(each as string), client.invalidate(each as string)]),
      )
      const gateway = await t.emulator()
      for (const identity of ['x'.repeat(1_024), '😀', ' ', '["a",[]]', '__proto__']) {
        assert.equal((await t.client(gateway).getSessionToken(identity)).identity, identity)
      }
    },
  },
  {
    n: 72,
    fault: 'scopes not an array of non-empty strings',
    outcome: 'INVALID_ARGUMENT, N, 0',
    run: t =>
      refuseCalls(t, client => {
        const bad = [
          'videos.read',
          [''],
          [1],
          [null],
          [['videos.read']],
          new Array(1),
          { length: 0 },
          new Set(['a']),
          7,
          ['\ud800'],
        ]
        return bad.flatMap(scopes => [
          client.getSessionToken('user', { scopes: scopes as string[] }),
          client.invalidate('user', { scopes: scopes as string[] }),
        ])
      }),
  },
  {
    n: 73,
    fault: 'secret provider throws, hangs, returns a non-string',
    outcome: 'CONFIG or TIMEOUT, inside the deadline, 0',
    async run(t) {
      const providers = [
        () => {
          throw new Error(`no secret but ${SECRET}`)
        },
        () => Promise.reject(Object.assign(new Error(SECRET), { config: { headers: SECRET } })),
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
        () => Promise.reject(SECRET),
        () => undefined,
        () => 42,
        () => ({ secret: SECRET }),
        () => Buffer.from(SECRET),
      ]
      for (const provider of providers) await expectProviderFailure(t, provider, CONFIG)
      const TIMEOUT: ExpectedFailure = { code: 'VKIT_TIMEOUT', retryable: false, attempts: 0 }
      await expectProviderFailure(t, () => new Promise(() => undefined), TIMEOUT)
    },
  },
  {
    n: 74,
    fault: '401, provider has a new secret',
    outcome: 'success, 2',
    async run(t) {
      const gateway = await t.emulator()
      const renewed = t.hide('the-renewed-secret-of-the-app')
      const secrets = [SECRET, SECRET, renewed, renewed]
      const client = t.client(gateway, { appSecret: () => secrets.shift() ?? assert.fail('called too often') })
      await t.mint(client, 'keeper')
      gateway.appSecret = renewed
      await t.mint(client, 'victim')
      assert.equal(gateway.seenOf('victim'), 2)
      await t.mint(client, 'bystander')
      assert.equal(gateway.seenOf('bystander'), 1)
      assert.ok(t.types().includes('secret-rotation'))
    },
  },
  {
    n: 75,
    fault: '50,000 calls on one AbortSignal',
    outcome: 'listeners back to 0, no warning',
    notWithFetch: 'the edge gives each caller timers of its own, so 50,000 calls at once take seconds',
    async run(t) {
      const gateway = await t.emulator()
      const client = t.client(gateway)
      const { signal } = new AbortController()
      const cold = Array.from({ length: CALLS }, () => client.getSessionToken('user', { signal }))
      assert.ok(getEventListeners(signal, 'abort').length <= 1)
      await Promise.all(cold)
      assert.equal(getEventListeners(signal, 'abort').length, 0)
      for (let i = 0; i < CALLS; i++) await client.getSessionToken('user', { signal })
      const reloads = Array.from({ length: 50 }, (_, index) =>
        client.getSessionToken(`user-${index}`, { signal, cache: 'reload' }),
      )
      await Promise.all(reloads)
      gateway.fail({ status: 400 })
      await t.failureOf(client.getSessionToken('failing', { signal }))
      assert.equal(getEventListeners(signal, 'abort').length, 0)
    },
  },
]
