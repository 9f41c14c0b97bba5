import assert from 'node:assert/strict'
import https from 'node:https'
import net from 'node:net'
import type { VKitClient } from '../../../lib/index.js'
import type { GatewayFault } from '../../../lib/testing/index.js'
import type { Context, ExpectedFailure, Gateway } from '../harness/context.js'
import { meet, survive } from '../harness/meet.js'
import { respondCorrectly, http, correctBody } from '../harness/raw-gateway.js'
import type { Row } from '../harness/row.js'
import { floods } from './streams.js'

const INVALID: ExpectedFailure = { code: 'VKIT_INVALID_RESPONSE', retryable: false, attempts: 1 }
const PASSING: ExpectedFailure = { code: 'VKIT_INVALID_RESPONSE', retryable: true, attempts: 3 }

type Emulator = Awaited<ReturnType<Context['emulator']>>

export async function meetFault(
  t: Context,
  expected: ExpectedFailure,
  fault: GatewayFault,
  gateway?: Emulator,
): Promise<void> {
  const emulator = gateway ?? (await t.emulator())
  await meet(t, emulator, {
    ...expected,
    begin: () => emulator.fail({ identity: 'victim', ...fault }),
    end: () => emulator.recover(),
  })
}

export async function surviveFault(t: Context, fault: GatewayFault, requests: number): Promise<void> {
  const emulator = await t.emulator()
  await survive(t, emulator, { begin: () => emulator.failNext({ identity: 'victim', ...fault }), requests })
}

function nest(levels: number): string {
  return `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
}

/**
 * Puts values on the prototype of every object, where code finds them if it reads an option that is not set.
 *
 * It leaves out `timeout`, `writable` and the options of Node's streams, which make Node's own HTTP client fail.
 */
function pollute(evil: string): () => void {
  const { port } = new URL(evil)
  const pollution = {
    baseUrl: evil,
    url: evil,
    href: evil,
    prefixUrl: evil,
    hostname: '127.0.0.1',
    host: '127.0.0.1',
    port,
    path: '/stolen',
    pathname: '/stolen',
    socketPath: '/nowhere',
    method: 'PUT',
    headers: { 'x-polluted': 'yes' },
    searchParams: 'stolen=yes',
    username: 'stolen',
    auth: 'stolen:yes',
    agent: false,
    hooks: { beforeRequest: [() => assert.fail('a hook from the prototype')] },
    rejectUnauthorized: false,
    store: {},
    scopes: ['stolen'],
    cache: 'no-store',
    sessionToken: 'the-token-from-the-prototype',
    expiresAt: '2999-01-01T00:00:00Z',
    identity: 'stolen',
    error: 'nothing went wrong',
    retryable: true,
    exp: 1,
  }
  const prototype = Object.prototype as Record<string, unknown>
  for (const [key, value] of Object.entries(pollution)) prototype[key] = value
  return () => {
    for (const key of Object.keys(pollution)) Reflect.deleteProperty(prototype, key)
  }
}

/** Names that lru-cache, p-retry, jose and got read from options, an error or a token, even if they are not set. */
const OPTION_NAMES = `
  status ttl max maxSize maxEntrySize size sizeCalculation onInsert dispose perf start allowStale updateAgeOnGet
  noUpdateTTL fetchMethod memoMethod backgroundFetchSize ttlAutopurge retries factor minTimeout shouldRetry
  onFailedAttempt shouldConsumeRetry unref randomize aborted headers once alg crit exp retryAfterMs attempts
  code reason mode limits onJoin onForget isBulk isRefresh waitMs minValidityMs timeoutMs maxRetries drainMs proxyEnv
  onSent gate turn waitUntil storeChange isReload isReturning isAwaited neededAt isSuspect afterMs sessionToken tokenMac
`
  .trim()
  .split(/\s+/)

/** Sets each name in turn to values of each type, and checks that a client works as it does without them. */
async function meetPollutedOptions(t: Context, gateway: Emulator): Promise<void> {
  const prototype = Object.prototype as Record<string, unknown>
  const cached = t.client(gateway)
  const held = await cached.getSessionToken('keeper')
  for (const name of OPTION_NAMES) {
    for (const value of [1, 'x', true, {}, () => 1]) {
      prototype[name] = value
      try {
        assert.equal(await cached.getSessionToken('keeper'), held, name)
        await useAll(t.client(gateway, { cache: { store: new Map() }, maxRetries: 0 }))
      } catch (error) {
        throw new Error(`${name} = ${typeof value}`, { cause: error })
      } finally {
        Reflect.deleteProperty(prototype, name)
      }
    }
  }
  await meetPollutedSocket(t, prototype)
  // `signal` makes Node's own HTTP client fail, so only cached tokens are returned.
  const warm = t.client(gateway)
  const kept = [await warm.getSessionToken('keeper'), await warm.getSessionToken('keeper', ['a'])]
  prototype['signal'] = {}
  try {
    assert.deepEqual([await warm.getSessionToken('keeper'), await warm.getSessionToken('keeper', ['a'])], kept)
  } finally {
    Reflect.deleteProperty(prototype, 'signal')
  }
}

/** Checks that a plain socket under `agent.https` is not taken for a secure one, whatever is on its prototype. */
async function meetPollutedSocket(t: Context, prototype: Record<string, unknown>): Promise<void> {
  const plain = await t.raw()
  class PlainAgent extends https.Agent {
    override createConnection(): net.Socket {
      return net.connect(plain.port, '127.0.0.1')
    }
  }
  const baseUrl = `https://127.0.0.1:${plain.port}`
  const client = t.client({ url: baseUrl }, { baseUrl, agent: { https: new PlainAgent() } })
  prototype['encrypted'] = true
  prototype['loadGot'] = 1
  try {
    const error = await t.failureOf(client.getSessionToken('victim'))
    assert.equal(error.code, 'VKIT_TLS')
  } finally {
    Reflect.deleteProperty(prototype, 'encrypted')
    Reflect.deleteProperty(prototype, 'loadGot')
  }
  assert.equal(plain.seenOf('victim'), 0)
}

async function useAll(client: VKitClient): Promise<void> {
  const first = await client.getSessionToken('user')
  assert.equal(await client.getSessionToken('user'), first)
  const scoped = await client.getSessionToken('user', ['a'])
  assert.equal(await client.getSessionToken('user', ['a']), scoped)
  assert.notEqual((await client.getSessionToken('other', ['a'])).sessionToken, scoped.sessionToken)
  assert.deepEqual([first.scopes, scoped.scopes], [[], ['a']])
  const { signal } = new AbortController()
  const reloaded = await client.getSessionToken('user', { cache: 'reload', signal })
  assert.notEqual(reloaded, first)
  await client.getSessionToken('user', { cache: 'no-store' })
  assert.equal(await client.getSessionToken('user'), reloaded)
  const [joined, shared] = await Promise.all(['both', 'both'].map(each => client.getSessionToken(each)))
  assert.equal(joined, shared)
  for await (const { error } of client.getSessionTokens(['both', 'bulk'])) assert.equal(error, undefined)
  await client.invalidate('user')
  assert.notEqual(await client.getSessionToken('user'), reloaded)
  await client.close()
}

async function meetPolluted(t: Context, gateway: Emulator, evil: Gateway): Promise<void> {
  const client = t.client(gateway)
  // The first mint runs before the pollution, which makes Node's module loader fail.
  const kept = await t.mint(client, 'keeper')
  const clean = pollute(evil.url)
  let outcomes: PromiseSettledResult<unknown>[]
  try {
    gateway.failNext({ identity: 'empty', body: '{}' })
    gateway.failNext({ identity: 'failing', status: 503, body: '{}' })
    outcomes = await Promise.allSettled(['right', 'empty', 'failing'].map(each => client.getSessionToken(each)))
  } finally {
    clean()
  }
  const [right, empty, failing] = outcomes
  assert.ok(right?.status === 'fulfilled', String((right as PromiseRejectedResult).reason))
  assert.ok(empty?.status === 'rejected')
  assert.equal(failing?.status, 'fulfilled', 'retried')
  for (const { method, path, headers, body } of gateway.requests) {
    assert.deepEqual([method, path, headers['x-polluted']], ['POST', '/v1/sessions', undefined])
    assert.deepEqual((body as { scopes: unknown }).scopes, [])
  }
  assert.equal(await t.mint(client, 'keeper'), kept)
  const error = await t.failureOf(Promise.reject(empty.reason as Error))
  t.expectFailure(error, INVALID, 1)
}

export const bodies: readonly Row[] = [
  {
    n: 24,
    fault: '300–308; https → http; Location: unix:',
    outcome: 'REDIRECT, the target sees nothing, N, 1',
    async run(t) {
      const target = await t.emulator()
      const { key, cert } = t.certificates.good as { key: string; cert: string }
      const [plain, secure] = [await t.emulator(), await t.emulator({ tls: { key, cert } })]
      const meetRedirect = (from: Emulator, status: number, location: string): Promise<void> =>
        meetFault(
          t,
          { code: 'VKIT_REDIRECT', retryable: false, attempts: 1, status },
          { status, headers: { location } },
          from,
        )
      const there = `${target.url}/v1/sessions`
      for (const status of [300, 301, 302, 303, 304, 305, 307, 308]) await meetRedirect(plain, status, there)
      for (const status of [302, 307]) await meetRedirect(secure, status, there)
      await meetRedirect(plain, 302, 'unix:/var/run/docker.sock:/v1/sessions')
      await meetRedirect(plain, 307, '/v1/sessions')
      assert.equal(target.requests.length, 0)
    },
  },
  {
    n: 25,
    fault: '204, 205, empty 200',
    outcome: 'INVALID_RESPONSE, N, 1',
    async run(t) {
      for (const status of [204, 205, 200]) await meetFault(t, { ...INVALID, status }, { status, body: '' })
    },
  },
  {
    n: 26,
    fault: 'an HTML page with 200',
    outcome: 'INVALID_RESPONSE, none of its text, R, 3',
    async run(t) {
      const text = t.hide('Welcome to the proxy of an office')
      await meetFault(t, PASSING, { body: `<!doctype html><h1>${text}</h1>`, headers: { 'Content-Type': 'text/html' } })
    },
  },
  {
    n: 27,
    fault: 'broken JSON that contains a token',
    outcome: 'INVALID_RESPONSE, none of its text, R, 3',
    run: t => meetFault(t, PASSING, { body: `{"sessionToken":"${t.hide('a-token-in-broken-json')}","identity":` }),
  },
  {
    n: 28,
    fault: 'byte order mark before JSON',
    outcome: 'success, 1',
    run: t => surviveFault(t, { body: `\ufeff${correctBody('victim')}` }, 1),
  },
  {
    n: 29,
    fault: 'invalid UTF-8',
    outcome: 'INVALID_RESPONSE, N, 1',
    async run(t) {
      const gateway = await t.raw()
      const bytes = Buffer.from(correctBody('victim', { sessionToken: 'a token that ends in ?' }))
      bytes[bytes.indexOf('?')] = 0xff
      await meet(t, gateway, {
        ...INVALID,
        begin: () => {
          gateway.respond = ({ socket }) => {
            socket.write(http('', [`Content-Length: ${bytes.length}`]))
            socket.write(bytes)
          }
        },
        end: () => void (gateway.respond = respondCorrectly),
      })
    },
  },
  {
    n: 30,
    fault: 'null, array, string, 200,000 levels deep',
    outcome: 'INVALID_RESPONSE, N, 1',
    async run(t) {
      const bodies = [
        'null',
        '[]',
        '"text"',
        '1',
        'true',
        nest(200_000),
        nest(10_000),
        '['.repeat(32_000) + ']'.repeat(32_000),
      ]
      for (const body of bodies) await meetFault(t, INVALID, { body })
    },
  },
  {
    n: 31,
    fault: 'only inherited fields (__proto__)',
    outcome: 'INVALID_RESPONSE, N, 1',
    async run(t) {
      await meetFault(t, INVALID, { body: `{"__proto__":${correctBody('victim')}}` })
      await meetFault(t, INVALID, { body: `{"constructor":{"prototype":${correctBody('victim')}}}` })
    },
  },
  {
    n: 32,
    fault: 'a polluted Object.prototype in the process',
    outcome: 'the same as without it, and no leak',
    notWithFetch: "Node's own fetch fails if Object.prototype has an error",
    async run(t) {
      const evil = await t.emulator()
      const { key, cert } = t.certificates.good as { key: string; cert: string }
      await meetPolluted(t, await t.emulator(), evil)
      await meetPolluted(t, await t.emulator({ tls: { key, cert } }), evil)
      await meetPollutedOptions(t, await t.emulator())
      assert.equal(evil.requests.length, 0)
    },
  },
  floods,
]
