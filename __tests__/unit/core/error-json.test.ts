import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import {
  VKitArgumentError,
  VKitConnectionError,
  VKitError,
  VKitServerError,
  type VKitErrorCode,
  type VKitErrorJSON,
} from '../../../lib/index.js'
import { sanitizeCause } from '../../../lib/core/sanitize-cause.js'

const NAMES: Record<VKitErrorCode, string> = {
  VKIT_CONFIG: 'VKitConfigError',
  VKIT_INVALID_ARGUMENT: 'VKitArgumentError',
  VKIT_INVALID_REQUEST: 'VKitRequestError',
  VKIT_UNAUTHENTICATED: 'VKitAuthenticationError',
  VKIT_FORBIDDEN: 'VKitPermissionError',
  VKIT_RATE_LIMITED: 'VKitRateLimitError',
  VKIT_UNAVAILABLE: 'VKitServerError',
  VKIT_CONNECTION: 'VKitConnectionError',
  VKIT_TLS: 'VKitConnectionError',
  VKIT_TIMEOUT: 'VKitTimeoutError',
  VKIT_INVALID_RESPONSE: 'VKitResponseError',
  VKIT_IDENTITY_MISMATCH: 'VKitResponseError',
  VKIT_REDIRECT: 'VKitResponseError',
  VKIT_CLOSED: 'VKitClosedError',
}
const JSON_FORM: VKitErrorJSON = {
  name: 'VKitServerError',
  code: 'VKIT_UNAVAILABLE',
  message: 'The gateway is down.',
  retryable: true,
  attempts: 3,
}

const amount = fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }).map(Math.abs)
const jsonForms: fc.Arbitrary<VKitErrorJSON> = fc
  .record(
    {
      code: fc.constantFrom(...(Object.keys(NAMES) as VKitErrorCode[])),
      message: fc.string({ unit: 'binary' }),
      retryable: fc.boolean(),
      attempts: amount,
      status: amount,
      requestId: fc.string(),
      retryAfterMs: amount,
      refusedBy: fc.constantFrom('key', 'secret', 'circuit', 'overload'),
    },
    { requiredKeys: ['code', 'message', 'retryable', 'attempts'] },
  )
  .map(members => ({ name: NAMES[members.code], ...members }))

function problemOf(value: unknown): string {
  try {
    VKitError.from(value)
  } catch (error) {
    expect(error).toBeInstanceOf(VKitArgumentError)
    return (error as Error).message.replace('VKitError.from needs the result of error.toJSON(): ', '')
  }
  throw new Error('from accepted the value')
}

describe('VKitError.from', () => {
  it.each<[string, (json: VKitErrorJSON) => unknown]>([
    ['JSON', json => JSON.parse(JSON.stringify(json)) as unknown],
    ['structuredClone', json => structuredClone(json)],
    ['no copy', json => json],
  ])('makes an error again after %s, with all members', (_, copy) => {
    fc.assert(
      fc.property(jsonForms, json => {
        const error = VKitError.from(copy(json))
        expect(error.toJSON()).toEqual(json)
        expect(error.constructor.name).toBe(NAMES[json.code])
        expect(VKitError.from(copy(error.toJSON()))).toEqual(error)
      }),
    )
  })

  it('returns an equivalent error for an error, without its cause, and with the stack of the call', () => {
    const cause = sanitizeCause(new Error('any'))
    const error = new VKitConnectionError('down', { code: 'VKIT_TLS', attempts: 2, requestId: 'r-1', cause })
    const made = (function receive() {
      return VKitError.from(error)
    })()
    expect(made).toBeInstanceOf(VKitConnectionError)
    expect(made).not.toBe(error)
    expect(made.toJSON()).toEqual(error.toJSON())
    expect(Object.hasOwn(made, 'cause')).toBe(false)
    expect(made.stack).toContain('receive')
  })

  it('reads the code, and not the name', () => {
    const made = VKitError.from({ ...JSON_FORM, name: 'VKitTimeoutError' })
    expect(made).toBeInstanceOf(VKitServerError)
    expect(made.name).toBe('VKitServerError')
  })

  it('leaves out what a newer version may add', () => {
    const made = VKitError.from({ ...JSON_FORM, refusedBy: 'weather', color: 'red' })
    expect(made.toJSON()).toEqual(JSON_FORM)
  })

  it.each<[string, unknown]>([
    ['the value is of type undefined', undefined],
    ['the value is null', null],
    ['the value is of type string', JSON.stringify(JSON_FORM)],
    ['the value has no code, as if the error itself had been copied', structuredClone(new VKitServerError('down'))],
    ['the value has no code, as if the error itself had been copied', Object.create(JSON_FORM)],
    [
      'its code VKIT_TOMORROW is unknown; it may come from a newer version of this package',
      { ...JSON_FORM, code: 'VKIT_TOMORROW' },
    ],
    ['its code is unknown; it may come from a newer version of this package', { ...JSON_FORM, code: 'sk-secret' }],
    ['message must be a string', { ...JSON_FORM, message: undefined }],
    ['retryable must be true or false', { ...JSON_FORM, retryable: 'false' }],
    ['attempts must be a number, 0 or more', { ...JSON_FORM, attempts: undefined }],
    ['attempts must be a number, 0 or more', { ...JSON_FORM, attempts: -1 }],
    ['status must be a number, 0 or more', { ...JSON_FORM, status: '503' }],
    ['requestId must be a string', { ...JSON_FORM, requestId: {} }],
    ['retryAfterMs must be a number, 0 or more', { ...JSON_FORM, retryAfterMs: NaN }],
    ['refusedBy must be a string', { ...JSON_FORM, refusedBy: ['key'] }],
    ['a getter or a proxy throws', new Proxy(JSON_FORM, { getOwnPropertyDescriptor: () => fail() })],
    ['a getter or a proxy throws', Object.defineProperty({}, 'code', { get: fail })],
  ])('rejects anything else, because %s', (problem, value) => {
    expect(problemOf(value)).toBe(`${problem}.`)
  })

  it('accepts any value without another error', () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true, withBigInt: true }), value => {
        expect(problemOf(value)).toMatch(/^the value (?:is|has no code)/)
      }),
    )
  })

  it('reads and shows no member of a polluted prototype', () => {
    Object.defineProperty(Object.prototype, 'requestId', { value: 'planted', configurable: true })
    try {
      const made = VKitError.from(JSON_FORM)
      expect(Object.hasOwn(made, 'requestId')).toBe(false)
      expect(Object.hasOwn(made.toJSON(), 'requestId')).toBe(false)
    } finally {
      Reflect.deleteProperty(Object.prototype, 'requestId')
    }
  })
})

function fail(): never {
  throw new Error('sk-secret')
}
