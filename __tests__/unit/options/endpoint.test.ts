import { afterEach, describe, expect, it } from '@jest/globals'
import { resolveEndpoint } from '../../../lib/options/endpoint.js'
import { GatewayEmulator } from '../../../lib/testing/index.js'

const original = process.env['VKIT_BASE_URL']

afterEach(() => {
  if (original === undefined) Reflect.deleteProperty(process.env, 'VKIT_BASE_URL')
  else process.env['VKIT_BASE_URL'] = original
})

const refusal = (message: string): unknown => expect.objectContaining({ code: 'VKIT_CONFIG', message })
const HTTPS = 'must begin with https://. http:// is allowed for loopback hosts only, because it exposes the secret.'
const EMULATOR = `${HTTPS} For an emulator on another host, use an app secret that an emulator created.`
const LOCAL = ['http://localhost:8080', 'http://127.255.255.254', 'http://[::1]:8080', 'http://127.0.0.1:80']
const REMOTE = [
  'http://emulator:8787',
  'http://gateway.video.io',
  'http://127.0.0.1.evil.example',
  'http://localhost.evil.example',
  'http://10.0.0.1',
  'http://0.0.0.0',
  'http://[::ffff:7f00:1]',
]

describe('the endpoint of the gateway', () => {
  it.each([
    [undefined, 'https://gateway.video.io/v1/sessions'],
    ['https://gateway.example/', 'https://gateway.example/v1/sessions'],
    ['https://gateway.example/eu//', 'https://gateway.example/eu/v1/sessions'],
    ['http://localhost:8080', 'http://localhost:8080/v1/sessions'],
    ['http://emulator:8787', 'http://emulator:8787/v1/sessions'],
    [new URL('http://[::1]:8080'), 'http://[::1]:8080/v1/sessions'],
    ['http://127.0.0.1:80', 'http://127.0.0.1/v1/sessions'],
  ])('for the baseUrl %s is %s', (baseUrl, href) => {
    delete process.env['VKIT_BASE_URL']
    expect(resolveEndpoint(baseUrl).endpoint().href).toBe(href)
  })

  it('comes from the environment, which is read at the first call', () => {
    const { endpoint } = resolveEndpoint(undefined)
    process.env['VKIT_BASE_URL'] = 'https://gateway.example'
    expect(endpoint().href).toBe('https://gateway.example/v1/sessions')
    process.env['VKIT_BASE_URL'] = 'https://other.example'
    expect(endpoint().href).toBe('https://gateway.example/v1/sessions')
  })

  const CREDENTIALS = 'must not contain credentials, a query or a fragment.'
  it.each([
    ['ftp://gateway.example', HTTPS],
    ['ftp://localhost', HTTPS],
    ['https://user@gateway.example', CREDENTIALS],
    ['http://:password@emulator', CREDENTIALS],
    ['https://gateway.example?a=1', CREDENTIALS],
    ['https://gateway.example#a', CREDENTIALS],
    ['gateway', 'is not a URL.'],
  ])('is refused for the baseUrl %s', (baseUrl, problem) => {
    expect(() => resolveEndpoint(baseUrl)).toThrow(refusal(`baseUrl ${problem}`))
    process.env['VKIT_BASE_URL'] = baseUrl
    expect(resolveEndpoint(undefined).endpoint).toThrow(refusal(`VKIT_BASE_URL ${problem}`))
  })

  it('is refused for a baseUrl that is neither a string nor a URL', () => {
    for (const baseUrl of [42, null, { href: 'https://gateway.example' }, ['https://gateway.example']]) {
      expect(() => resolveEndpoint(baseUrl)).toThrow(refusal('baseUrl must be a string or a URL.'))
    }
  })
})

describe('the endpoint accepts', () => {
  const { appSecret } = new GatewayEmulator()
  const real = 'an-app-secret'

  it.each(['https://gateway.example', 'https://10.0.0.1', ...LOCAL])('every app secret for %s', baseUrl => {
    const { assertSendable } = resolveEndpoint(baseUrl)
    for (const secret of [real, appSecret]) expect(() => assertSendable(secret)).not.toThrow()
  })

  it.each(REMOTE)('only the secret of an emulator for %s', baseUrl => {
    const { assertSendable } = resolveEndpoint(baseUrl)
    expect(() => assertSendable(appSecret)).not.toThrow()
    expect(() => assertSendable(real)).toThrow(refusal(`baseUrl ${EMULATOR}`))
  })

  it('nothing else for a URL of the environment, which it reads at the first call', () => {
    const { assertSendable } = resolveEndpoint(undefined)
    process.env['VKIT_BASE_URL'] = 'http://emulator:8787'
    expect(() => assertSendable(real)).toThrow(refusal(`VKIT_BASE_URL ${EMULATOR}`))
    process.env['VKIT_BASE_URL'] = 'http://127.0.0.1'
    expect(() => assertSendable(real)).toThrow(refusal(`VKIT_BASE_URL ${EMULATOR}`))
    expect(() => assertSendable(appSecret)).not.toThrow()
  })
})
