import { describe, expect, it } from '@jest/globals'
import { isForeignPage, networkError, placeOf, toError } from '../../../lib/gateway/response-errors.js'
import { assertNoSecret } from '../../../lib/testing/index.js'

const PLACE = 'https://gateway.video.io:443/v1/sessions'
const SECRET = 'sk-THE-APP-SECRET'

describe('the error of a status', () => {
  it.each([
    [400, 'VKIT_INVALID_REQUEST', false, `${PLACE} refused the request (400): why.`],
    [
      ...([401, 'VKIT_UNAUTHENTICATED', false] as const),
      'The gateway does not accept the app secret (401): why. Check it against the dashboard: Apps → Your App → API TOKEN.',
    ],
    [403, 'VKIT_FORBIDDEN', false, 'The app may not mint this session token (403): why.'],
    [404, 'VKIT_INVALID_REQUEST', false, `${PLACE} refused the request (404): why.`],
    [408, 'VKIT_UNAVAILABLE', true, 'The gateway cannot respond now (408): why.'],
    [409, 'VKIT_UNAVAILABLE', true, 'The gateway cannot respond now (409): why.'],
    [410, 'VKIT_INVALID_REQUEST', false, `${PLACE} refused the request (410): why.`],
    [425, 'VKIT_UNAVAILABLE', true, 'The gateway cannot respond now (425): why.'],
    [429, 'VKIT_RATE_LIMITED', true, 'Too many requests (429): why.'],
    [499, 'VKIT_INVALID_REQUEST', false, `${PLACE} refused the request (499): why.`],
    [500, 'VKIT_UNAVAILABLE', true, 'The gateway cannot respond now (500): why.'],
    [501, 'VKIT_INVALID_RESPONSE', false, `${PLACE} does not support this request (501): why.`],
    [505, 'VKIT_INVALID_RESPONSE', false, `${PLACE} does not support this request (505): why.`],
    [599, 'VKIT_UNAVAILABLE', true, 'The gateway cannot respond now (599): why.'],
    [600, 'VKIT_INVALID_RESPONSE', false, `${PLACE} responded with 600, which is not a valid HTTP status.`],
  ])('%i has the code %s', (status, code, retryable, message) => {
    const details = { status, requestId: 'req_42', retryAfterMs: 7_000 }
    const error = toError(status, ': why.', { place: PLACE, details })
    expect(error).toMatchObject({ ...details, code, retryable, message })
    expect(isForeignPage(error)).toBe(false)
  })

  it.each([403, 404, 410])(
    '%i shows a proxy or firewall, and may be retried, without the format of the gateway',
    status => {
      const error = toError(status, undefined, { place: PLACE, details: { status, requestId: 'req_42' } })
      const message = `${PLACE} responded with ${status}, but not in the gateway's format. The response may come from a proxy or a firewall.`
      const details = { status, requestId: 'req_42' }
      expect(error).toMatchObject({ ...details, code: 'VKIT_INVALID_RESPONSE', retryable: true, message })
      expect(isForeignPage(error)).toBe(true)
    },
  )

  it.each([
    [400, `${PLACE} refused the request (400).`],
    [503, 'The gateway cannot respond now (503).'],
  ])('%i is the same without the format of the gateway', (status, message) => {
    expect(toError(status, undefined, { place: PLACE, details: { status } }).message).toBe(message)
  })
})

describe('the error of a connection', () => {
  const tls = { code: 'VKIT_TLS', retryable: false }
  const lost = { code: 'VKIT_CONNECTION', retryable: true }
  const intercepted = { code: 'VKIT_CONNECTION', retryable: false }
  const invalid = { code: 'VKIT_INVALID_RESPONSE', retryable: false }

  it.each([
    ...['CERT_HAS_EXPIRED', 'CRL_NOT_YET_VALID', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED'],
    ...['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'ERR_TLS_CERT_ALTNAME_INVALID', 'ERR_SSL_WRONG_VERSION_NUMBER', 'EPROTO'],
    ...['ERR_TLS_HANDSHAKE_TIMEOUT', 'INVALID_CA', 'INVALID_PURPOSE', 'HOSTNAME_MISMATCH', 'PATH_LENGTH_EXCEEDED'],
  ])('%s says that the connection is not secure', code => {
    const message = `No secure connection to ${PLACE} (${code}).`
    expect(networkError({ code }, PLACE)).toMatchObject({ ...tls, message, cause: { code } })
  })

  it.each([
    ...['ECONNRESET', 'ENOTFOUND', 'HPE_INVALID_EOF_STATE', 'NOT_EPROTO', 'EPROTONOSUPPORT', 'AN_INVALID_CA'],
    ...['INVALID_CAPACITY', 'A_HOSTNAME_', 'A_PATH_', 'AN_ERR_TLS_', 'AN_ERR_SSL_', 'NOT_HPE_'],
  ])('%s says that the connection failed', code => {
    const message = `The connection to ${PLACE} failed (${code}).`
    expect(networkError({ code }, PLACE)).toMatchObject({ ...lost, message, cause: { code } })
  })

  it.each<[string, unknown, object, string]>([
    [
      'headers that are too long for Node',
      { code: 'HPE_HEADER_OVERFLOW' },
      { ...invalid, cause: { code: 'HPE_HEADER_OVERFLOW' } },
      `${PLACE} sent more than 16 KiB of headers.`,
    ],
    [
      'headers that are too long for fetch',
      { code: 'UND_ERR_HEADERS_OVERFLOW' },
      invalid,
      `${PLACE} sent more than 16 KiB of headers.`,
    ],
    [
      'a malformed response',
      { code: 'HPE_INVALID_CONSTANT' },
      { ...invalid, cause: { code: 'HPE_INVALID_CONSTANT' } },
      `The response from ${PLACE} is not valid HTTP (HPE_INVALID_CONSTANT).`,
    ],
    [
      'a missing permission of the process',
      { code: 'ERR_ACCESS_DENIED' },
      { ...intercepted, cause: { code: 'ERR_ACCESS_DENIED' } },
      `POST ${PLACE}: Node's permission model does not allow the connection: start Node with --allow-net (ERR_ACCESS_DENIED).`,
    ],
    [
      'nock without an interceptor that matches',
      { code: 'ERR_NOCK_NO_MATCH', message: SECRET },
      intercepted,
      `POST ${PLACE}: nock intercepted the request, and none of its interceptors matches (ERR_NOCK_NO_MATCH).`,
    ],
    [
      'nock with disableNetConnect',
      { name: 'NetConnectNotAllowedError', code: 'ENETUNREACH' },
      intercepted,
      `POST ${PLACE}: nock does not allow connections to this host (ENETUNREACH).`,
    ],
    [
      'msw without a handler that matches',
      { name: 'InternalError', message: SECRET },
      { ...intercepted, cause: { name: 'InternalError' } },
      `POST ${PLACE}: msw intercepted the request, and none of its handlers matches (InternalError).`,
    ],
    [
      'another error of the name that msw uses',
      { name: 'InternalError', code: 'EPIPE' },
      lost,
      `The connection to ${PLACE} failed (EPIPE).`,
    ],
    ['undefined', undefined, lost, `The connection to ${PLACE} failed (no code).`],
    ['null', null, lost, `The connection to ${PLACE} failed (no code).`],
    ['an error without a code', new TypeError(SECRET), lost, `The connection to ${PLACE} failed (TypeError).`],
  ])('describes %s', (_, error, expected, message) => {
    const described = networkError(error, PLACE)
    expect(described).toMatchObject({ ...expected, message })
    assertNoSecret(described, SECRET)
  })

  it.each<[unknown, string]>([
    [new Error(SECRET), 'certificate rejected'],
    [undefined, 'certificate rejected'],
    [{ code: 'ECONNRESET' }, 'ECONNRESET'],
  ])(
    'says that the connection is not secure if the certificate was rejected, whatever the error is: %p',
    (error, why) => {
      const described = networkError(error, PLACE, true)
      expect(described).toMatchObject({ ...tls, message: `No secure connection to ${PLACE} (${why}).` })
      assertNoSecret(described, SECRET)
    },
  )
})

describe('the place in messages', () => {
  it.each([
    ['https://gateway.video.io/v1/sessions?a=b', PLACE],
    ['http://user:password@[::1]:8080/v1', 'http://[::1]:8080/v1'],
    ['http://localhost/v1', 'http://localhost:80/v1'],
    [`https://gateway.video.io/${SECRET}/v1`, 'the gateway'],
  ])('of %s', (url, place) => {
    expect(placeOf(new URL(url), SECRET)).toBe(place)
  })
})
