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
import type { GatewayResponse } from '../../../lib/gateway/response.js'
import { TokenMinter } from '../../../lib/gateway/token-minter.js'
import type { ExchangeRequest, Transport } from '../../../lib/gateway/transport.js'
import { SecretSource } from '../../../lib/secret/secret-source.js'
import { FakeClock } from '../../../lib/testing/index.js'
import type { MintedToken } from '../../../lib/token/session-token.js'
import { failureOf } from '../../support/failure.js'
import { recordEvents } from '../../support/gateway.js'
import { seededRandom } from '../../support/random.js'

const DEADLINE_MS = 15_000

type Reply = (request: ExchangeRequest) => Promise<GatewayResponse>

const grant: Reply = async ({ body }) => {
  const { identity } = JSON.parse(body) as { identity: string }
  return {
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

/** A minter with a transport that replies as the test says; the last reply stays. */
function setUp({
  replies = [grant],
  secrets = ['secret'],
  maxRetries = 0,
}: { replies?: readonly Reply[]; secrets?: readonly string[]; maxRetries?: number } = {}) {
  const clock = new FakeClock()
  const { types, onEvent } = recordEvents()
  const requests: ExchangeRequest[] = []
  const transport: Transport = {
    exchange: request => (replies[Math.min(requests.push(request), replies.length) - 1] ?? grant)(request),
  }
  let asked = 0
  const secret = new SecretSource({
    rotates: secrets.length > 1,
    read: async () => secrets[Math.min(asked++, secrets.length - 1)] ?? '',
  })
  const events = new Events(onEvent)
  const random = seededRandom()
  const minter = new TokenMinter({ secret, maxRetries, deadlineMs: DEADLINE_MS, transport, clock, events, random })
  const mint = (identity = 'user', ms = DEADLINE_MS): Promise<MintedToken> => {
    const deadline = new Deadline(clock, ms, () => new VKitTimeoutError('late'))
    return minter.mint({ identity, scopes: ['videos.read'] }, deadline)
  }
  return { clock, types, requests, minter, mint, secretReads: () => asked }
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

  it('of a response for another identity fails, and is not retried', async () => {
    const other: Reply = async () => ({
      body: { sessionToken: 't', expiresAt: '2040-01-01T00:00:00Z', identity: 'other' },
      dateMs: undefined,
    })
    const { mint, requests } = setUp({ replies: [other], maxRetries: 2 })
    expect(await failureOf(mint())).toMatchObject({ code: 'VKIT_IDENTITY_MISMATCH', attempts: 1 })
    expect(requests).toHaveLength(1)
  })

  it('that is retried reports its attempts in one event', async () => {
    const { clock, mint, types } = setUp({ replies: [refuse(new VKitServerError('down')), grant], maxRetries: 2 })
    const minted = mint()
    await clock.advance(5_000)
    await minted
    expect(types()).toEqual(['retry', 'mint'])
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

  it('and has not changed is not sent again', async () => {
    const { mint, requests } = setUp({ replies: [refuse(refused)], secrets: ['old', 'old'] })
    expect(await failureOf(mint())).toMatchObject({ code: 'VKIT_UNAUTHENTICATED', attempts: 1 })
    expect(requests).toHaveLength(1)
  })

  it('twice counts the attempts of both', async () => {
    const { mint } = setUp({ replies: [refuse(refused)], secrets: ['old', 'new'] })
    expect(await failureOf(mint())).toMatchObject({ code: 'VKIT_UNAUTHENTICATED', attempts: 2 })
  })
})

describe('a circuit that is open', () => {
  it('fails a mint at once, without a request and without reading the secret', async () => {
    const { mint, minter, requests, secretReads } = setUp({ replies: [refuse(new VKitConnectionError('down'))] })
    for (let i = 0; i < 5; i++) await failureOf(mint())
    expect(minter.circuit).toBe('open')
    const [requestsBefore, readsBefore] = [requests.length, secretReads()]
    const error = await failureOf(mint())
    expect(error).toMatchObject({ code: 'VKIT_UNAVAILABLE', attempts: 0 })
    expect(error.retryAfterMs).toBeGreaterThan(0)
    expect([requests.length, secretReads()]).toEqual([requestsBefore, readsBefore])
  })

  it('is not opened by short deadlines of callers', async () => {
    const { clock, mint, minter } = setUp({ replies: [hang] })
    const failures = Array.from({ length: 10 }, () => failureOf(mint('user', 500)))
    await clock.advance(500)
    await Promise.all(failures)
    expect(minter.circuit).toBe('closed')
  })

  it('is opened by requests that hang for a whole deadline', async () => {
    const { clock, mint, minter } = setUp({ replies: [hang] })
    const failures = Array.from({ length: 5 }, () => failureOf(mint()))
    await clock.advance(DEADLINE_MS)
    await Promise.all(failures)
    expect(minter.circuit).toBe('open')
  })

  it.each([
    ['refusals', new VKitRequestError('no', { status: 400 })],
    ["a proxy's pages", new VKitResponseError('a page', { status: 403, retryable: true })],
  ])('is not opened by %s', async (_, error) => {
    const { mint, minter } = setUp({ replies: [refuse(error)] })
    for (let i = 0; i < 10; i++) await failureOf(mint())
    expect(minter.circuit).toBe('closed')
  })
})

describe('a Retry-After', () => {
  it('is known until it is over, and a shorter one does not end it', async () => {
    const { clock, mint, minter } = setUp({
      replies: [
        refuse(new VKitRateLimitError('later', { retryAfterMs: 30_000 })),
        refuse(new VKitRateLimitError('later', { retryAfterMs: 1_000 })),
      ],
    })
    await failureOf(mint())
    await failureOf(mint())
    expect(minter.rateLimitedUntil).toBe(clock.monotonic() + 30_000)
  })
})
