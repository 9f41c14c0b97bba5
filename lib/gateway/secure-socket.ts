import type { Socket } from 'node:net'
import tls from 'node:tls'
import { VKitConnectionError } from '../core/errors.js'

export interface SecureSocketOptions {
  /** The gateway's host name or address, without brackets. */
  readonly hostname: string
  /** Where the request goes, for messages. */
  readonly place: () => string
  /** The agent that the caller gave, if any: nothing can have changed the checks of our own. */
  readonly callersAgent: { readonly options?: { readonly servername?: string | undefined } } | undefined
}

/** Decides whether a socket may carry the bearer, and checks each connection once. */
export class SecureSockets {
  readonly #checked = new WeakSet<Socket>()

  /**
   * Calls `send` once the socket is known to be secure, or `refuse` when it is known not to be.
   *
   * On a TLS socket that is after its handshake. Other sockets are those of test tools such as nock and msw, which say
   * that they are `encrypted`.
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

/** Whether Node, or a check of the agent, has rejected the certificate; the error of such a check may be of any kind. */
export function isCertificateRejected(socket: Socket | null | undefined): boolean {
  // Empty if the error of such a check has neither a code nor a message.
  return socket instanceof tls.TLSSocket && ((socket.authorizationError as unknown) ?? null) !== null
}

/** Node sets one of the two at the end of a handshake. */
function isHandshaking(socket: tls.TLSSocket): boolean {
  return !socket.authorized && !isCertificateRejected(socket)
}

function findProblem(socket: Socket, { hostname, place, callersAgent }: SecureSocketOptions): Error | undefined {
  const insecure = (why: string): Error =>
    new VKitConnectionError(`The connection to ${place()} is not secure: ${why}. The app secret was not sent.`, {
      code: 'VKIT_TLS',
    })
  // https-proxy-agent replays a proxy's refusal on such a socket, and one that was destroyed has no certificate.
  if (!socket.writable) {
    return new VKitConnectionError(`The connection to ${place()} failed before it was secure: a proxy may refuse it.`)
  }
  if (!(socket instanceof tls.TLSSocket)) {
    // On Object.prototype it says nothing of this socket.
    const isEncrypted = 'encrypted' in socket && socket.encrypted === true
    if (isEncrypted && !('encrypted' in Object.prototype)) return undefined
    return insecure('agent.https opened one without TLS')
  }
  if (!socket.authorized) return insecure('the certificate is not trusted')
  if (!callersAgent) return undefined
  // The agent may have a check of its own, which replaces Node's; and a resumed session has no certificate to check.
  // An empty one means that none is sent; Node then checks the host, too.
  const name = callersAgent.options?.servername || hostname
  const isOther = tls.checkServerIdentity(name, socket.getPeerCertificate()) !== undefined
  return isOther ? insecure(`the certificate is not that of ${name}`) : undefined
}
