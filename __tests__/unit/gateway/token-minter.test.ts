import { describe, expect, it } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import {
  VKitAuthenticationError,
  VKitConfigError,
  VKitConnectionError,
  VKitPermissionError,
  VKitRateLimitError,
  VKitRequestError,
  VKitResponseError,
  VKitServerError,
  VKitTimeoutError,
} from '../../../lib/core/errors.js'
import { Events } from '../../../lib/core/events.js'
import type { MintGate } from '../../../lib/gateway/mint-gate.js'
import { MintPriority, type PriorityLevel } from '../../../lib/gateway/mint-priority.js'
import type { GatewayResponse } from '../../../lib/gateway/response.js'
import { TokenMinter } from '../../../lib/gateway/token-minter.js'
import type { ExchangeRequest, Transport } from '../../../lib/gateway/transport.js'
import { SecretSource } from '../../../lib/secret/secret-source.js'
import { FakeClock } from '../../../lib/testing/index.js'
import type { MintedToken } from '../../../lib/token/session-token.js'
import type { AttemptLimits } from '../../../lib/token/token-request.js'
import { failureOf, reasonOf } from '../../support/failure.js'
import { recordEvents } from '../../support/gateway.js'
import { seededRandom } from '../../support/random.js'
import { recordTraces } from '../../support/traces.js'

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
const unsent: Reply = async ({ onNotSent }) => {
  onNotSent?.()
  throw new VKitConnectionError('The HTTP client (got) could not be loaded (EMFILE).')
}
const hang: Reply = ({ deadline, onDispatch }) => {
  onDispatch?.()
  return new Promise((_, reject) => deadline.onAbort(() => reject(deadline.reason)))
}

/** Creates a minter whose transport returns `replies` in order. The last reply repeats. */
function setUp({
  replies = [grant],
  secrets = ['secret'],
  maxRetries = 0,
}: { replies?: readonly Reply[]; secrets?: readonly (string | Error)[]; maxRetries?: number } = {}) {
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
    read: async () => {
      const secret = secrets[Math.min(reads++, secrets.length - 1)] ?? ''
      if (typeof secret === 'string') return secret
      throw secret
    },
  })
  const events = new Events(onEvent)
  const random = seededRandom()
  const minter = new TokenMinter({ secret, timeoutMs: TIMEOUT_MS, transport, clock, events, random })
  const ofClient = { timeoutMs: TIMEOUT_MS, maxRetries }
  const mintFor = (level: PriorityLevel, deadline: Deadline, limits: AttemptLimits = ofClient): Promise<MintedToken> =>
    minter.mint({ identity: 'user', scopes: [] }, { deadline, priority: new MintPriority(level), limits })
  const mint = (identity = 'user', ms = DEADLINE_MS, limits: AttemptLimits = ofClient): Promise<MintedToken> => {
    const deadline = new Deadline(clock, ms, () => new VKitTimeoutError('late'))
    return minter.mint({ identity, scopes: ['videos.read'] }, { deadline, priority: new MintPriority('call'), limits })
  }
  const deadline = new Deadline(clock, DEADLINE_MS, () => new VKitTimeoutError('late'))
  return { clock, emitted, types, requests, minter, mint, mintFor, deadline, secretReads: () => reads }
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

describe('the mint event', () => {
  it('has the duration of the attempts and the waits between them', async () => {
    const { clock, mint, emitted } = setUp({ replies: [refuse(new VKitServerError('down')), grant], maxRetries: 1 })
    await clock.advance(7)
    const minted = mint()
    await clock.advance(1_000)
    await minted
    const [delayMs] = emitted.flatMap(event => (event.type === 'retry' ? [event.delayMs] : []))
    expect(emitted[1]).toMatchObject({ type: 'mint', durationMs: delayMs })
  })
})

describe('a traced mint', () => {
  it.each([
    ['call', { background: false, bulk: false }],
    ['refresh', { background: true, bulk: false }],
    ['bulk', { background: false, bulk: true }],
  ] as const)('for a %s shows %j, its attempts and its response', async (level, shown) => {
    const traces = recordTraces()
    const { mintFor, deadline } = setUp()
    await mintFor(level, deadline)
    expect(traces.copies[0]).toEqual(shown)
    expect(traces.mints).toEqual([{ ...shown, attempts: 1, status: 200, requestId: 'request-1' }])
  })

  it('shows its attempts when its last caller leaves during one, or during a call to the secret provider', async () => {
    const traces = recordTraces()
    const left = new Error('The caller left.')
    for (const [reply, secrets] of [
      [hang, ['secret']],
      [refuse(new VKitAuthenticationError('refused', { status: 401 })), ['old', left]],
    ] as const) {
      const { clock, mintFor, deadline } = setUp({ replies: [reply], secrets })
      const reason = reasonOf(mintFor('call', deadline))
      await clock.advance(0)
      deadline.cancel(left)
      expect(await reason).toBe(left)
    }
    expect(traces.mints).toMatchObject([{ attempts: 1 }, { attempts: 1 }])
  })
})

describe('what the minter knows about the gateway', () => {
  it('is the number of its answers, and whether there were calls beside those of batches', async () => {
    const { minter, mintFor, deadline, clock } = setUp({ replies: [grant, refuse(new VKitRequestError('no')), grant] })
    const known = (): unknown[] => [minter.responses, minter.hasCallers, minter.concurrencyLimit]
    expect(known()).toEqual([0, false, 50])
    await mintFor('bulk', deadline)
    expect(known()).toEqual([1, false, 50])
    await failureOf(mintFor('call', deadline))
    expect(known()).toEqual([2, true, 50])
    await clock.advance(DEADLINE_MS)
    expect(minter.hasCallers).toBe(false)
  })
})

describe('a rate limit', () => {
  it.each([
    ['call', 2],
    ['bulk', 1],
  ] as const)('of a mint for a %s leads to %i requests', async (level, requested) => {
    const busy = new VKitRateLimitError('later', { status: 429 })
    const { clock, mintFor, deadline, requests } = setUp({ replies: [refuse(busy)], maxRetries: 1 })
    const failed = failureOf(mintFor(level, deadline))
    await clock.advance(5_000)
    expect(await failed).toMatchObject({ code: 'VKIT_RATE_LIMITED', attempts: requested })
    expect(requests).toHaveLength(requested)
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

  it('causes the failure of the provider, if that fails then', async () => {
    const noSecret = new VKitConfigError('The secret provider failed.')
    const { mint, minter } = setUp({ replies: [refuse(refused)], secrets: ['old', noSecret] })
    const details = { code: 'VKIT_CONFIG', attempts: 1, message: 'The secret provider failed.' }
    expect(await failureOf(mint())).toMatchObject(details)
    expect(minter.stats.failingKeys).toBe(0)
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

  it.each<[string, Reply, object]>([
    ['that prevented the request', unsent, { code: 'VKIT_CONNECTION', attempts: 0 }],
    ['of the configuration', refuse(new VKitConfigError('no fetch')), { code: 'VKIT_CONFIG' }],
    ['that is not of this package', refuse(new TypeError('a bug')), { name: 'TypeError', message: 'a bug' }],
  ])('is not refused after a failure %s', async (_, reply, expected) => {
    const { mint, minter, types } = setUp({ replies: [reply] })
    for (const user of EVERYONE) expect(await reasonOf(mint(user))).toMatchObject(expected)
    expect(minter.stats).toMatchObject({ failingKeys: 0, circuit: 'closed' })
    expect(types()).toEqual([])
  })

  it('is refused if only the retry was sent', async () => {
    const { clock, mint, minter } = setUp({ replies: [unsent, refuse(new VKitServerError('down'))], maxRetries: 1 })
    const failed = failureOf(mint())
    await clock.advance(100)
    expect(await failed).toMatchObject({ code: 'VKIT_UNAVAILABLE', attempts: 1 })
    expect(minter.stats.failingKeys).toBe(1)
  })

  it('is not refused if the circuit ended its wait for a slot', async () => {
    const { mint, minter, requests } = setUp({ replies: [refuse(new VKitConnectionError('down'))] })
    const errors = await Promise.all(Array.from({ length: 100 }, (_, i) => failureOf(mint(`user ${i}`))))
    expect(errors.filter(({ refusedBy }) => refusedBy === 'circuit')).toHaveLength(100 - requests.length)
    expect(minter.stats.failingKeys).toBe(requests.length)
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

  it('is not remembered as a failure of the user', async () => {
    const { mint, minter, types } = setUp({ replies: [refuse(refused)] })
    await failureOf(mint())
    expect(minter.stats.failingKeys).toBe(0)
    expect(types()).toEqual(['secret-backoff'])
  })

  it('is not the cause of any other refusal', async () => {
    const { mint, types } = setUp({ replies: [refuse(new VKitPermissionError('no', { status: 403 })), grant] })
    expect(await failureOf(mint())).toMatchObject({ code: 'VKIT_FORBIDDEN' })
    expect(types()).toEqual(['key-backoff'])
    await mint('another')
  })

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
    const { mint, minter, requests } = setUp({ replies: [grant, refuse(refused)] })
    await mint('first')
    for (const user of EVERYONE) expect(await failureOf(mint(user))).toMatchObject({ attempts: 1 })
    expect(minter.stats.failingKeys).toBe(EVERYONE.length - 1)
    expect(await failureOf(mint('another'))).toMatchObject({ attempts: 0, refusedBy: 'secret' })
    expect(requests).toHaveLength(1 + EVERYONE.length)
  })
})

describe('a mint with a gate', () => {
  const passing = async (gate: MintGate, ms = DEADLINE_MS, replies: readonly Reply[] = [grant]) => {
    const all = setUp({ replies })
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

  it('returns the token that it waited for', async () => {
    const { mintWithGate, requests } = await passing({ enter: async () => 'wait', wait: async () => found })
    expect(await mintWithGate('user')).toBe(found)
    expect(requests).toEqual([])
  })

  it('that has let others pass is sent before those that came later, and enters again', async () => {
    const entered: string[] = []
    const slow: (() => void)[] = []
    const untilEnded: Reply = request => new Promise(resolve => slow.push(() => resolve(grant(request))))
    let endWait!: () => void
    const gate: MintGate = {
      enter: async () => (entered.push('enter') === 1 ? 'wait' : 'mint'),
      wait: () => new Promise(resolve => (endWait = () => resolve(undefined))),
    }
    const { mintWithGate, mint, clock, requests } = await passing(gate, DEADLINE_MS, [untilEnded])
    for (let user = 0; user < 49; user++) void mint(`early ${user}`)
    void mintWithGate('gated')
    for (const user of ['first', 'second']) void mint(user)
    void mintWithGate('gated later')
    await clock.advance(0)
    endWait()
    await clock.advance(0)
    for (const end of slow.slice(0, 3)) {
      end()
      await clock.advance(0)
    }
    const sent = requests.slice(49).map(({ body }) => (JSON.parse(body) as { identity: string }).identity)
    expect(sent).toEqual(['first', 'gated', 'second', 'gated later'])
    expect(entered).toHaveLength(3)
  })

  it('lets another user probe an open circuit while it waits', async () => {
    const down = EVERYONE.map(() => refuse(new VKitConnectionError('down')))
    const waiting: MintGate = { enter: async () => 'wait', wait: never }
    const { mintWithGate, mint, minter, clock } = await passing(waiting, DEADLINE_MS, [...down, grant])
    for (const user of EVERYONE) await failureOf(mint(user))
    await clock.advance(1_000)
    void mintWithGate('gated')
    await clock.advance(0)
    await mint('another')
    expect(minter.stats.circuit).toBe('closed')
  })
})
