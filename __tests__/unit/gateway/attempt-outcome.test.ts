import { describe, expect, it } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import {
  VKitAuthenticationError,
  VKitConnectionError,
  VKitPermissionError,
  VKitRateLimitError,
  VKitRequestError,
  VKitResponseError,
  VKitServerError,
  VKitTimeoutError,
} from '../../../lib/core/errors.js'
import { outcomeOf } from '../../../lib/gateway/attempt-outcome.js'
import { toError } from '../../../lib/gateway/response-errors.js'
import { FakeClock } from '../../../lib/testing/index.js'

const makeDeadline = (reason: Error = new VKitTimeoutError('late')): Deadline =>
  new Deadline(new FakeClock(), 15_000, () => reason)
const kindOf = (error: unknown): string => outcomeOf(error, makeDeadline()).kind

describe('an attempt that failed', () => {
  it.each([
    new VKitRequestError('bad', { status: 400 }),
    new VKitAuthenticationError('no', { status: 401 }),
    new VKitPermissionError('no', { status: 403 }),
    new VKitRequestError('bad', { status: 422 }),
  ])('is a refusal if the gateway refused the mint: %s', error => {
    expect(kindOf(error)).toBe('refusal')
  })

  it.each([
    new VKitServerError('down', { status: 503 }),
    new VKitConnectionError('reset'),
    new VKitResponseError('not JSON', { status: 200, retryable: true }),
  ])('is a failure of the gateway if a retry may help: %s', error => {
    expect(outcomeOf(error, makeDeadline())).toEqual({ kind: 'failure' })
  })

  it('is a timeout if no response came in time', () => {
    expect(outcomeOf(new VKitTimeoutError('slow'), makeDeadline())).toEqual({ kind: 'timeout' })
  })

  it('is rate-limited if the gateway asks for fewer requests', () => {
    expect(kindOf(new VKitRateLimitError('later', { status: 429 }))).toBe('rate-limited')
  })

  it.each([403, 404, 410])('is unknown if a firewall sent the page: %d', status => {
    const error = toError(status, undefined, { place: 'the gateway', details: { status } })
    expect(kindOf(error)).toBe('unknown')
  })

  it.each([
    new VKitConnectionError('bad certificate', { code: 'VKIT_TLS' }),
    new VKitResponseError('a token for another identity', { code: 'VKIT_IDENTITY_MISMATCH' }),
    new Error('a bug'),
  ])('is unknown if it says nothing about the gateway: %s', error => {
    expect(kindOf(error)).toBe('unknown')
  })
})

describe('an attempt that never reached the gateway', () => {
  it.each([
    new VKitAuthenticationError('no', { status: 401, refusedBy: 'secret' }),
    new VKitServerError('open', { refusedBy: 'circuit' }),
    new VKitRateLimitError('later', { refusedBy: 'key' }),
  ])('is one that the client refused: %s', error => {
    expect(kindOf(error)).toBe('not-sent')
  })
})

describe('an attempt that its caller ended', () => {
  it.each([new VKitTimeoutError('late'), new Error('the caller left'), 'a reason of any type'])(
    'is cut off: %s',
    reason => {
      const deadline = makeDeadline()
      deadline.cancel(reason)
      expect(outcomeOf(reason, deadline)).toEqual({ kind: 'cut-off' })
    },
  )

  it("with a timeout shorter than the client's is cut off", () => {
    expect(outcomeOf(new VKitTimeoutError('slow'), makeDeadline(), 200)).toEqual({ kind: 'cut-off', timeoutMs: 200 })
    expect(outcomeOf(new VKitServerError('down', { status: 503 }), makeDeadline(), 200).kind).toBe('failure')
  })

  it('is a failure of the gateway if that failure came first', () => {
    const deadline = makeDeadline()
    deadline.cancel(new Error('the caller left'))
    expect(outcomeOf(new VKitServerError('down', { status: 503 }), deadline).kind).toBe('failure')
  })

  it('is not cut off before its deadline, whatever the rejection is', () => {
    expect(outcomeOf(undefined, makeDeadline()).kind).toBe('unknown')
  })
})
