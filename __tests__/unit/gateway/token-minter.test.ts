import { describe, expect, it } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import {
  VKitAuthenticationError,
  VKitConnectionError,
  VKitRateLimitError,
  VKitRequestError,
  VKitResponseError,
  VKitServerError,
  VKitTimeoutError,
} from '../../../lib/core/errors.js'
import { Events } from '../../../lib/core/events.js'
import type { MintGate } from '../../../lib/gateway/mint-gate.js'
import { MintPriority } from '../../../lib/gateway/mint-priority.js'
import type { GatewayResponse } from '../../../lib/gateway/response.js'
import { TokenMinter } from '../../../lib/gateway/token-minter.js'
import type { ExchangeRequest, Transport } from '../../../lib/gateway/transport.js'
import { SecretSource } from '../../../lib/secret/secret-source.js'
import { FakeClock } from '../../../lib/testing/index.js'
import type { MintedToken } from '../../../lib/token/session-token.js'
import type { AttemptLimits } from '../../../lib/token/token-request.js'
import { failureOf } from '../../support/failure.js'
import { recordEvents } from '../../support/gateway.js'
import { seededRandom } from '../../support/random.js'

const DEADLINE_MS = 15_000
const TIMEOUT_MS = 5_000

type Reply = (request: ExchangeRequest) => Promise<GatewayResponse>

const grant: Reply = async ({ body }) => {
  const { identity } = JSON.parse(body) as { identity: string }
  return {
    status: 200,
    requestId: 'request-1',
    body: { sessionToken: `token of ${identity}`, expiresAt: '2040-01-01T00:00:00Z', identity },
    dateMs: undefined,
  }
}
const refuse =
  (error: Error): Reply =>
  () =>
    Promise.reject(error)
const hang: Reply = ({ deadline, onDispatch }) => {
  onDispatch?.()
  return new Promise((_, reject) => deadline.onAbort(() => reject(deadline.reason)))
}

/** Creates a minter whose transport returns `replies` in order. The last reply repeats. */
function setUp({
  replies = [grant],
  secrets = ['secret'],
  maxRetries = 0,
}: { replies?: readonly Reply[]; secrets?: readonly string[]; maxRetries?: number } = {}) {
  const clock = new FakeClock()
  const { events: emitted, types, onEvent } = recordEvents()
  const requests: ExchangeRequest[] = []
  const transport: Transport = {
    maxConnections: 50,
    exchange: request => (replies[Math.min(requests.push(request), replies.length) - 1] ?? grant)(request),
  }
  let reads = 0
  const secret = new SecretSource({
    rotates: secrets.length > 1,
    read: async () => secrets[Math.min(reads++, secrets.length - 1)] ?? '',
  })
  const events = new Events(onEvent)
  const random = seededRandom()
  const minter = new TokenMinter({ secret, timeoutMs: TIMEOUT_MS, transport, clock, events, random })
  const ofClient = { timeoutMs: TIMEOUT_MS, maxRetries }
  const mint = (identity = 'user', ms = DEADLINE_MS, limits: AttemptLimits = ofClient): Promise<MintedToken> => {
    const deadline = new Deadline(clock, ms, () => new VKitTimeoutError('late'))
    return minter.mint({ identity, scopes: ['videos.read'] }, { deadline, priority: new MintPriority('call'), limits })
  }
  return { clock, emitted, types, requests, minter, mint, secretReads: () => reads }
}

describe('a mint', () => {
  it('sends the identity and the scopes as JSON, and returns the token of the response', async () => {
    const { mint, requests } = setUp()
    expect((await mint()).token).toMatchObject({
      sessionToken: 'token of user',
      identity: 'user',
      scopes: ['videos.read'],
    })
    expect(requests.map(({ secret, body }) => ({ secret, body }))).toEqual([
      { secret: 'secret', body: '{"identity":"user","scopes":["videos.read"]}' },
    ])
  })

  it('fails without a retry if the response is for another identity', async () => {
    const other: Reply = async () => ({
      status: 200,
      requestId: 'request-1',
      body: { sessionToken: 't', expiresAt: '2040-01-01T00:00:00Z', identity: 'other' },
      dateMs: undefined,
    })
    const { mint, requests } = setUp({ replies: [other], maxRetries: 2 })
    expect(await failureOf(mint())).toMatchObject({
      ...{ code: 'VKIT_IDENTITY_MISMATCH', attempts: 1, status: 200, requestId: 'request-1' },
    })
    expect(requests).toHaveLength(1)
  })

  it('emits one mint event when it succeeds after a retry', async () => {
    const { clock, mint, types } = setUp({ replies: [refuse(new VKitServerError('down')), grant], maxRetries: 2 })
    const minted = mint()
    await clock.advance(5_000)
    await minted
    expect(types()).toEqual(['retry', 'mint'])
  })

  it('emits the status and the request ID of each response, if there was one', async () => {
    const down = refuse(new VKitServerError('down', { status: 503, requestId: 'request-0' }))
    const { clock, mint, emitted } = setUp({
      replies: [down, refuse(new VKitConnectionError('lost')), grant],
      maxRetries: 2,
    })
    const minted = mint()
    await clock.advance(10_000)
    await minted
    expect(emitted).toEqual([
      expect.objectContaining({ type: 'retry', code: 'VKIT_UNAVAILABLE', status: 503, requestId: 'request-0' }),
      { type: 'retry', attempt: 2, delayMs: expect.any(Number), code: 'VKIT_CONNECTION' },
      { type: 'mint', durationMs: expect.any(Number), attempts: 3, status: 200, requestId: 'request-1' },
    ])
  })
})

describe('the limits of a mint', () => {
  const timeOut: Reply = async ({ timeoutMs }) => {
    throw new VKitTimeoutError(`No response within ${timeoutMs} ms.`)
  }

  it('apply to each attempt, and to the number of attempts', async () => {
    const { mint, requests } = setUp({ replies: [timeOut], maxRetries: 2 })
    const failed = failureOf(mint('user', DEADLINE_MS, { timeoutMs: 200, maxRetries: 0 }))
    expect(await failed).toMatchObject({ code: 'VKIT_TIMEOUT', attempts: 1, message: 'No response within 200 ms.' })
    expect(requests.map(({ timeoutMs }) => timeoutMs)).toEqual([200])
  })

  it.each([
    { timeoutMs: 200, then: 'is not remembered', refusals: 0 },
    { timeoutMs: TIMEOUT_MS, then: 'is remembered', refusals: 1 },
  ])('with a timeout of $timeoutMs ms: a failure $then', async ({ timeoutMs, refusals }) => {
    const { mint, minter } = setUp({ replies: [timeOut, grant] })
    await failureOf(mint('user', DEADLINE_MS, { timeoutMs, maxRetries: 0 }))
    expect(minter.stats.failingKeys).toBe(refusals)
  })

  it('remember a failure that was not a short timeout', async () => {
    const { clock, mint, minter } = setUp({ replies: [timeOut, refuse(new VKitServerError('down'))] })
    const failed = failureOf(mint('user', DEADLINE_MS, { timeoutMs: 200, maxRetries: 1 }))
    await clock.advance(100)
    expect((await failed).code).toBe('VKIT_UNAVAILABLE')
    expect(minter.stats.failingKeys).toBe(1)
  })

  it.each([
    { timeoutMs: 999, busyMs: 4_000, circuit: 'closed' },
    { timeoutMs: 1_000, busyMs: 0, circuit: 'open' },
  ])(
    'with a timeout of $timeoutMs ms leave the circuit of a silent gateway $circuit',
    async ({ timeoutMs, busyMs, circuit }) => {
      const silent: Reply = async request => {
        await clock.sleep(request.timeoutMs + busyMs)
        return timeOut(request)
      }
      const { clock, mint, minter } = setUp({ replies: [silent] })
      const limits = { timeoutMs, maxRetries: 0 }
      const calls = Array.from({ length: 45 }, (_, i) => failureOf(mint(`user${i}`, DEADLINE_MS, limits)))
      await clock.advance(timeoutMs + busyMs)
      await Promise.all(calls)
      expect(minter.stats).toMatchObject({ circuit, concurrencyLimit: 50, failingKeys: 0 })
    },
  )

  it('that rise during an attempt give the caller who joined another attempt', async () => {
    const limits = { timeoutMs: 200, maxRetries: 0 }
    const join: Reply = async request => {
      limits.timeoutMs = TIMEOUT_MS
      return timeOut(request)
    }
    const { clock, mint, requests } = setUp({ replies: [join, timeOut] })
    const failed = failureOf(mint('user', DEADLINE_MS, limits))
    await clock.advance(1_000)
    expect(await failed).toMatchObject({ attempts: 2 })
    expect(requests.map(({ timeoutMs }) => timeoutMs)).toEqual([200, TIMEOUT_MS])
  })
})

describe('a secret that the gateway refuses', () => {
  const refused = new VKitAuthenticationError('refused', { status: 401 })

  it('is read again once, and the mint is sent again with the new one', async () => {
    const { mint, requests, types } = setUp({ replies: [refuse(refused), grant], secrets: ['old', 'new'] })
    expect((await mint()).token.sessionToken).toBe('token of user')
    expect(requests.map(({ secret }) => secret)).toEqual(['old', 'new'])
    expect(types()).toContain('secret-rotation')
  })

  it('is not sent again if it has not changed', async () => {
    const { mint, requests } = setUp({ replies: [refuse(refused)], secrets: ['old', 'old'] })
    expect(await failureOf(mint())).toMatchObject({ code: 'VKIT_UNAUTHENTICATED', attempts: 1 })
    expect(requests).toHaveLength(1)
  })

  it('causes an error that counts the attempts with the old and the new secret', async () => {
    const { mint } = setUp({ replies: [refuse(refused)], secrets: ['old', 'new'] })
    expect(await failureOf(mint())).toMatchObject({ code: 'VKIT_UNAUTHENTICATED', attempts: 2 })
  })
})

/** Enough users to open the circuit. */
const EVERYONE = Array.from({ length: 40 }, (_, i) => `user ${i}`)

describe('a circuit that is open', () => {
  it('fails a mint immediately, without a request and without reading the secret', async () => {
    const { mint, minter, requests, secretReads } = setUp({ replies: [refuse(new VKitConnectionError('down'))] })
    for (const user of EVERYONE) await failureOf(mint(user))
    expect(minter.stats.circuit).toBe('open')
    const [requestsBefore, readsBefore] = [requests.length, secretReads()]
    const error = await failureOf(mint('another'))
    expect(error).toMatchObject({ code: 'VKIT_UNAVAILABLE', attempts: 0, refusedBy: 'circuit' })
    expect(error.retryAfterMs).toBeGreaterThan(0)
    expect([requests.length, secretReads()]).toEqual([requestsBefore, readsBefore])
  })

  it('ends the retries of mints in flight', async () => {
    const { clock, mint, requests } = setUp({ replies: [refuse(new VKitConnectionError('down'))], maxRetries: 2 })
    const failures = EVERYONE.map(user => failureOf(mint(user)))
    await clock.advance(DEADLINE_MS)
    await Promise.all(failures)
    expect(requests.length).toBeLessThan(2 * EVERYONE.length)
  })

  it.each([
    ['is not caused by short deadlines of callers', 500, 'closed'],
    ['is caused by requests that hang for a whole attempt', 5_000, 'open'],
  ])('%s', async (_, ms, state) => {
    const { clock, mint, minter } = setUp({ replies: [hang] })
    const failures = EVERYONE.map(user => failureOf(mint(user, ms)))
    await clock.advance(ms)
    await Promise.all(failures)
    expect(minter.stats.circuit).toBe(state)
  })

  it.each([
    ['refusals', new VKitRequestError('no', { status: 400 })],
    ['rate limits', new VKitRateLimitError('later', { status: 429 })],
    ["a proxy's pages", new VKitResponseError('a page', { status: 403, retryable: true })],
  ])('is not caused by %s', async (_, error) => {
    const { mint, minter } = setUp({ replies: [refuse(error)] })
    for (const user of EVERYONE) await failureOf(mint(user))
    expect(minter.stats.circuit).toBe('closed')
  })
})

describe('a user whose mint has failed after all retries', () => {
  const busy = new VKitRateLimitError('later', { status: 429, retryAfterMs: 30_000 })

  it('is refused with the same failure until retryAfterMs has passed, but other users are not', async () => {
    const { clock, mint, minter, requests } = setUp({ replies: [refuse(busy), grant] })
    expect(await failureOf(mint())).toMatchObject({ attempts: 1, retryAfterMs: 30_000 })
    await clock.advance(10_000)
    expect(await failureOf(mint())).toMatchObject({
      code: 'VKIT_RATE_LIMITED',
      status: 429,
      attempts: 0,
      retryAfterMs: 20_000,
      refusedBy: 'key',
    })
    expect(minter.stats.failingKeys).toBe(1)
    await mint('another')
    await clock.advance(20_000)
    await mint()
    expect(requests).toHaveLength(3)
  })

  it('is not refused after a failure that a short deadline of the caller caused', async () => {
    const { clock, mint, minter } = setUp({ replies: [hang, grant] })
    const failure = failureOf(mint('user', 500))
    await clock.advance(500)
    expect(await failure).toMatchObject({ code: 'VKIT_TIMEOUT' })
    await mint()
    expect(minter.stats.failingKeys).toBe(0)
  })
})

describe('a secret that never worked', () => {
  const refused = new VKitAuthenticationError('refused', { status: 401 })

  it.each([{ secrets: ['wrong'] }, { secrets: ['wrong', 'wrong'] }])(
    'is neither sent nor read for every user: $secrets',
    async ({ secrets }) => {
      const { mint, requests, secretReads } = setUp({ replies: [refuse(refused)], secrets })
      for (let i = 0; i < 300; i++) {
        expect(await failureOf(mint(`user ${i}`))).toMatchObject({ code: 'VKIT_UNAUTHENTICATED', status: 401 })
      }
      expect(requests).toHaveLength(1)
      expect(secretReads()).toBeLessThanOrEqual(2)
    },
  )

  it('is sent at most once per connection if all users mint at the same time', async () => {
    const { mint, requests, secretReads } = setUp({ replies: [refuse(refused)], secrets: ['wrong', 'wrong'] })
    await Promise.all(Array.from({ length: 300 }, (_, i) => failureOf(mint(`user ${i}`))))
    expect(requests.length).toBeLessThanOrEqual(50)
    expect(secretReads()).toBeLessThanOrEqual(10)
  })

  it('is sent again after its backoff, and is no longer refused when it works', async () => {
    const { clock, mint, requests } = setUp({ replies: [refuse(refused), grant] })
    await failureOf(mint())
    expect(await failureOf(mint('another'))).toMatchObject({ attempts: 0, refusedBy: 'secret' })
    await clock.advance(200)
    await mint('another')
    await mint()
    expect(requests).toHaveLength(3)
  })
})

describe('a secret that was replaced', () => {
  const refused = new VKitAuthenticationError('refused', { status: 401 })

  it('ends the refusals of users who failed with the old one', async () => {
    const { mint, clock } = setUp({
      replies: [grant, refuse(refused), grant],
      secrets: ['old', 'old', 'old', 'new'],
    })
    await mint('first')
    expect(await failureOf(mint())).toMatchObject({ code: 'VKIT_UNAUTHENTICATED' })
    await clock.advance(10)
    await mint('another')
    expect((await mint()).token.identity).toBe('user')
  })
})

describe('a secret that worked', () => {
  const refused = new VKitAuthenticationError('refused', { status: 401 })

  it('is refused for single users until 40 users are refused', async () => {
    const { mint, requests } = setUp({ replies: [grant, refuse(refused)] })
    await mint('first')
    for (const user of EVERYONE) expect(await failureOf(mint(user))).toMatchObject({ attempts: 1 })
    expect(await failureOf(mint('another'))).toMatchObject({ attempts: 0, refusedBy: 'secret' })
    expect(requests).toHaveLength(1 + EVERYONE.length)
  })
})

describe('a mint with a gate', () => {
  const passing = async (gate: MintGate, ms = DEADLINE_MS) => {
    const all = setUp()
    const mint = (identity: string): Promise<MintedToken> => {
      const deadline = new Deadline(all.clock, ms, () => new VKitTimeoutError('late'))
      const options = { deadline, priority: new MintPriority('call'), limits: { timeoutMs: TIMEOUT_MS, maxRetries: 0 } }
      return all.minter.mint({ identity, scopes: [] }, { ...options, gate })
    }
    return { ...all, mintWithGate: mint }
  }
  const found: MintedToken = {
    token: { sessionToken: 'found', expiresAt: '2040-01-01T00:00:00Z', identity: 'user', scopes: [] },
  }
  const never = (): Promise<never> => new Promise(() => undefined)

  it('is sent when it may pass', async () => {
    const { mintWithGate, requests, types } = await passing({ enter: async () => 'mint', wait: never })
    await mintWithGate('user')
    expect(requests).toHaveLength(1)
    expect(types()).toEqual(['mint'])
  })

  it('is not sent if it is unnecessary', async () => {
    const { mintWithGate, requests, types } = await passing({ enter: async () => found, wait: never })
    expect(await mintWithGate('user')).toBe(found)
    expect(requests).toEqual([])
    expect(types()).toEqual([])
  })

  it('gives its slot back while it waits, so that others are sent', async () => {
    const { mintWithGate, mint, minter, requests } = await passing({ enter: async () => 'wait', wait: never })
    for (let user = 0; user < 500; user++) void mintWithGate(`waiting ${user}`)
    await mint('another')
    expect(requests).toHaveLength(1)
    expect(minter.stats.queued).toBe(0)
  })

  it('gives its slot back if it is unnecessary', async () => {
    const { mintWithGate, mint, minter } = await passing({ enter: async () => found, wait: never })
    await Promise.all(Array.from({ length: 500 }, (_, user) => mintWithGate(`user ${user}`)))
    await mint('another')
    expect(minter.stats).toMatchObject({ queued: 0, circuit: 'closed' })
  })

  it('gives its slot back if its deadline ends at the gate', async () => {
    const late = async (): Promise<'mint'> => (await clock.advance(1_000), 'mint')
    const { mintWithGate, mint, clock, requests } = await passing({ enter: () => late(), wait: never }, 500)
    expect(await failureOf(mintWithGate('user'))).toMatchObject({ code: 'VKIT_TIMEOUT', attempts: 0 })
    expect(requests).toEqual([])
    await mint('another')
    expect(requests).toHaveLength(1)
  })

  it('asks the gate once, and not before a retry', async () => {
    let entered = 0
    const gate: MintGate = { enter: async () => (entered++, 'mint'), wait: never }
    const all = setUp({ replies: [refuse(new VKitServerError('down')), grant], maxRetries: 1 })
    const deadline = new Deadline(all.clock, DEADLINE_MS, () => new VKitTimeoutError('late'))
    const limits = { timeoutMs: TIMEOUT_MS, maxRetries: 1 }
    const minting = all.minter.mint(
      { identity: 'user', scopes: [] },
      { deadline, priority: new MintPriority('call'), limits, gate },
    )
    await all.clock.advance(1_000)
    await minting
    expect([entered, all.requests.length]).toEqual([1, 2])
  })

  it('does not count the time at the gate as that of the gateway', async () => {
    const slow = async (): Promise<'mint'> => (await clock.advance(1_000), 'mint')
    const { mintWithGate, minter, clock } = await passing({ enter: () => slow(), wait: never })
    await mintWithGate('user')
    expect(minter.medianMs).toBe(0)
  })
})
