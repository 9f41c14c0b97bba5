import { describe, expect, it } from '@jest/globals'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import tls from 'node:tls'
import { VKitError } from '../../../lib/core/vkit-error.js'
import { isCertificateRejected, SecureSockets, type SecureSocketOptions } from '../../../lib/gateway/secure-socket.js'
import { withPollutedPrototypes } from '../../support/polluted-prototypes.js'

const HOST = 'gateway.example'

/** A stream that is not Node's TLS, such as that of a test tool. */
function stream(properties: object = {}): Socket {
  return Object.assign(new Duplex({ read: () => undefined }), properties) as unknown as Socket
}

/** A TLS socket for a server with a certificate for `name`. It is in the handshake until `authorized` or an error is set. */
function tlsSocket(properties: object, name = HOST): tls.TLSSocket {
  const socket = new tls.TLSSocket(stream())
  const getPeerCertificate = (): object => ({ subject: {}, subjectaltname: `DNS:${name}` })
  return Object.assign(socket, { authorized: false, authorizationError: null, getPeerCertificate }, properties)
}

/** Returns what happens to the request: `sent`, or the refusals. */
function use(socket: Socket, { callersAgent, sockets = new SecureSockets() }: Partial<Context> = {}): string[] {
  const happened: string[] = []
  const options = { hostname: HOST, place: () => 'the place', callersAgent }
  const refuse = (error: Error): void => void happened.push(`${VKitError.is(error) && error.code} ${error.message}`)
  sockets.whenSecure(socket, options, { send: () => void happened.push('sent'), refuse })
  return happened
}

interface Context {
  readonly callersAgent: SecureSocketOptions['callersAgent']
  readonly sockets: SecureSockets
}

const insecure = (why: string): string =>
  `VKIT_TLS The connection to the place is not secure: ${why}. The app secret was not sent.`
const UNTRUSTED = insecure('the certificate is not trusted')
const NO_TLS = insecure('agent.https opened one without TLS')

describe('a request on a TLS socket', () => {
  it('waits for the handshake, and is sent if the certificate is trusted', () => {
    const socket = tlsSocket({})
    const happened = use(socket)
    expect(happened).toEqual([])
    Object.assign(socket, { authorized: true }).emit('secureConnect')
    expect(happened).toEqual(['sent'])
  })

  it.each<[string, object]>([
    ['of an agent that accepts all', { authorizationError: 'CERT_HAS_EXPIRED' }],
    ['of an agent whose own check fails without a message', { authorizationError: '' }],
  ])('is not sent on a connection %s', (_, properties) => {
    expect(use(tlsSocket(properties))).toEqual([UNTRUSTED])
  })

  it('is not sent if the certificate is not trusted at the end of the handshake', () => {
    const socket = tlsSocket({})
    const happened = use(socket)
    socket.emit('secureConnect')
    expect(happened).toEqual([UNTRUSTED])
  })

  it('is not sent if the socket has failed, as after a refusal by a proxy', () => {
    const failed = 'VKIT_CONNECTION The connection to the place failed before it was secure: a proxy may refuse it.'
    for (const socket of [tlsSocket({ authorized: true }), stream({ encrypted: true })]) {
      expect(use(socket.destroy())).toEqual([failed])
    }
  })

  it.each<[string, SecureSocketOptions['callersAgent'], string, string]>([
    ["the client's own agent, which checks the name itself", undefined, 'other.example', 'sent'],
    ['an agent of the caller', { options: {} }, HOST, 'sent'],
    ['an agent without options', {}, HOST, 'sent'],
    [
      'an agent whose own check accepts another name',
      { options: {} },
      'other.example',
      insecure(`the certificate is not valid for ${HOST}`),
    ],
    ['an agent with another servername', { options: { servername: 'other.example' } }, 'other.example', 'sent'],
    [
      'an agent with another servername',
      { options: { servername: 'other.example' } },
      HOST,
      insecure('the certificate is not valid for other.example'),
    ],
    ['an agent with an empty servername', { options: { servername: '' } }, HOST, 'sent'],
  ])('of %s (%j), with a certificate for %s: %s', (_, callersAgent, name, expected) => {
    expect(use(tlsSocket({ authorized: true }, name), { callersAgent })).toEqual([expected])
  })

  it('is sent without another check on a connection that was checked, and on no other', () => {
    const sockets = new SecureSockets()
    const socket = tlsSocket({ authorized: true })
    use(socket, { sockets })
    Object.assign(socket, { authorized: false, authorizationError: 'LATER' })
    expect(use(socket, { sockets })).toEqual(['sent'])
    const refused = tlsSocket({ authorizationError: 'CERT_HAS_EXPIRED' })
    for (let i = 0; i < 2; i++) expect(use(refused, { sockets })).toEqual([UNTRUSTED])
  })
})

describe('a request on any other socket', () => {
  it.each([
    [{ encrypted: true }, 'sent'],
    [{ encrypted: 'yes' }, NO_TLS],
    [{ encrypted: false }, NO_TLS],
    [{}, NO_TLS],
  ])('with %j: %s', (properties, expected) => {
    expect(use(stream(properties))).toEqual([expected])
  })

  it('is not sent if Object.prototype has the property encrypted', async () => {
    await withPollutedPrototypes('encrypted', true, () => expect(use(stream())).toEqual([NO_TLS]))
  })
})

it.each([
  [tlsSocket({ authorizationError: 'CERT_HAS_EXPIRED' }), true],
  [tlsSocket({ authorizationError: '' }), true],
  [tlsSocket({ authorizationError: undefined }), false],
  [tlsSocket({}), false],
  [stream({ authorizationError: 'CERT_HAS_EXPIRED' }), false],
  [null, false],
  [undefined, false],
])('a certificate counts as rejected if Node or a check of the agent says so (%#)', (socket, expected) => {
  expect(isCertificateRejected(socket)).toBe(expected)
})
