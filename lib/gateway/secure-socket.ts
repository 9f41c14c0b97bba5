import type { Socket } from 'node:net'
import tls from 'node:tls'
import { VKitConnectionError } from '../core/errors.js'

export interface SecureSocketOptions {
  /** The gateway's host name or address, without brackets. */
  readonly hostname: string
  /** Where the request goes, for messages. */
  readonly place: () => string
  /** The caller's agent, if any. Our own agent is missing here, because its checks cannot have changed. */
  readonly callersAgent: { readonly options?: { readonly servername?: string | undefined } } | undefined
}

/** Decides whether a socket may carry the app secret, and checks each connection once. */
export class SecureSockets {
  readonly #checked = new WeakSet<Socket>()

  /**
   * Calls `send` if the socket is secure, and `refuse` if it is not.
   *
   * A TLS socket is checked after its handshake. Other sockets come from test tools such as nock and msw, which mark
   * them as `encrypted`.
   */
  whenSecure(socket: Socket, options: SecureSocketOptions, { send, refuse }: Outcome): void {
    if (this.#checked.has(socket)) return send()
    const check = (): void => {
      const problem = findProblem(socket, options)
      if (problem) return refuse(problem)
      this.#checked.add(socket)
      send()
    }
    if (socket instanceof tls.TLSSocket && isHandshaking(socket)) socket.once('secureConnect', check)
    else check()
  }
}

interface Outcome {
  readonly send: () => void
  readonly refuse: (problem: Error) => void
}

/** Whether Node or a check of the agent rejected the certificate. The error of such a check may be of any type. */
export function isCertificateRejected(socket: Socket | null | undefined): boolean {
  // The value is empty if the error of such a check has neither a code nor a message.
  return socket instanceof tls.TLSSocket && ((socket.authorizationError as unknown) ?? null) !== null
}

/** Whether the handshake is in progress: at its end, Node sets one of the two properties. */
function isHandshaking(socket: tls.TLSSocket): boolean {
  return !socket.authorized && !isCertificateRejected(socket)
}

function findProblem(socket: Socket, { hostname, place, callersAgent }: SecureSocketOptions): Error | undefined {
  const insecure = (why: string): Error =>
    new VKitConnectionError(`The connection to ${place()} is not secure: ${why}. The app secret was not sent.`, {
      code: 'VKIT_TLS',
    })
  // https-proxy-agent replays a proxy's refusal on such a socket, and a destroyed socket has no certificate.
  if (!socket.writable) {
    return new VKitConnectionError(`The connection to ${place()} failed before it was secure: a proxy may refuse it.`)
  }
  if (!(socket instanceof tls.TLSSocket)) {
    // A property of Object.prototype says nothing about this socket.
    const isEncrypted = 'encrypted' in socket && socket.encrypted === true
    if (isEncrypted && !('encrypted' in Object.prototype)) return undefined
    return insecure('agent.https opened one without TLS')
  }
  if (!socket.authorized) return insecure('the certificate is not trusted')
  if (!callersAgent) return undefined
  // The agent's own check may replace Node's, and a resumed session has no certificate to check.
  // If `servername` is empty, Node sends none and checks the host.
  const name = callersAgent.options?.servername || hostname
  const isMismatch = tls.checkServerIdentity(name, socket.getPeerCertificate()) !== undefined
  return isMismatch ? insecure(`the certificate is not valid for ${name}`) : undefined
}
