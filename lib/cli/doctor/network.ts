import { lookup } from 'node:dns/promises'
import http from 'node:http'
import https from 'node:https'
import type tls from 'node:tls'
import { hostOf, portOf } from '../../core/url-parts.js'
import { makeAgent } from '../../gateway/connection.js'
import { ProxyError } from '../../gateway/proxy-error.js'
import type { Environment } from '../../options/environment.js'
import { failure, note, ok, warning, type Finding } from './report.js'
import { TIMEOUT_MS, withTimeout } from './with-timeout.js'

const SKEW_WARNING_MS = 5_000
const SKEW_FAILURE_MS = 300_000
const EXPIRES_SOON_MS = 14 * 86_400_000

/**
 * Checks DNS, TLS, one request without the secret, and the clock by its response. A failed check ends the list.
 *
 * With `proxyEnv`, the connections are made as those of the client: through its proxy.
 */
export async function checkNetwork(url: URL, proxyEnv?: Environment): Promise<Finding[]> {
  const agent = makeAgent(url, { proxyEnv, timeoutMs: TIMEOUT_MS })
  try {
    const isDirect = proxyEnv === undefined || url.protocol === 'http:'
    const unchecked = note('dns', 'not checked: the proxy resolves names, except those in NO_PROXY')
    const dns = isDirect ? await checkDns(url) : unchecked
    if (dns.severity === 'failure') return [dns]
    const secure = await checkTls(url, agent)
    if (secure.severity === 'failure') return [dns, secure]
    return [dns, secure, ...(await checkReachable(url, agent))]
  } finally {
    agent.destroy()
  }
}

async function checkDns(url: URL): Promise<Finding> {
  const { hostname } = url
  const startedAt = performance.now()
  try {
    const addresses = await withTimeout(lookup(hostOf(url), { all: true }))
    const list = addresses.map(({ address }) => address).join(', ')
    return ok('dns', `${hostname} resolves to ${list} (${since(startedAt)})`)
  } catch (error) {
    const advice = 'Check VKIT_BASE_URL, and whether this machine can resolve other names.'
    return failure('dns', `cannot resolve ${hostname} (${codeOf(error)})`, advice)
  }
}

async function checkTls(url: URL, agent: http.Agent): Promise<Finding> {
  if (url.protocol !== 'https:') return note('tls', 'not used: the URL begins with http://')
  const host = hostOf(url)
  // The request gets a connection, and is never sent. Explicit, because NODE_TLS_REJECT_UNAUTHORIZED changes the default.
  const request = https.request(url, { agent, rejectUnauthorized: true })
  try {
    const [socket] = (await withTimeout(onceEvent(request, 'socket'))) as [tls.TLSSocket]
    // Through a proxy, the handshake is over.
    if (!socket.authorized) await withTimeout(onceEvent(socket, 'secureConnect'))
    const { valid_to: validTo, issuer } = socket.getPeerCertificate()
    const isOld = Date.parse(validTo) - Date.now() < EXPIRES_SOON_MS
    const found = `${socket.getProtocol() ?? ''}, certificate by ${String(issuer.O ?? issuer.CN)}, valid until ${validTo}`
    return isOld ? warning('tls', found, 'The certificate expires soon.') : ok('tls', found)
  } catch (error) {
    if (error instanceof ProxyError) return describeProxyError(error, host)
    return failure('tls', `no secure connection to ${host} (${codeOf(error)})`, tlsAdvice(url, codeOf(error)))
  } finally {
    request.destroy()
  }
}

function describeProxyError(error: ProxyError, host: string): Finding {
  const why = typeof error.status === 'number' ? error.status : codeOf(error)
  const advice = 'Check HTTPS_PROXY, its user and password, and whether the proxy allows this host.'
  return failure('tls', `the proxy in HTTPS_PROXY opened no tunnel to ${host} (${why})`, advice)
}

/** What to do if nothing listens on a port of this machine. */
function localAdvice(url: URL, code: string): string | undefined {
  if (code !== 'ECONNREFUSED' || !/^(?:localhost|127\.[\d.]+|::1)$/.test(hostOf(url))) return undefined
  return `Nothing listens on port ${portOf(url)}. Is the emulator running? npx vkit emulator --port ${portOf(url)}`
}

function tlsAdvice(url: URL, code: string): string {
  if (/SELF_SIGNED|UNABLE_TO|CERT/.test(code)) {
    return 'If a company proxy intercepts TLS, set NODE_EXTRA_CA_CERTS to its certificate. Never disable the checks.'
  }
  const advice = `A firewall may block the connection. Allow outgoing connections to port ${portOf(url)}.`
  return localAdvice(url, code) ?? advice
}

/** Sends a request without the secret. Every status below 500 shows that the gateway is reachable. */
async function checkReachable(url: URL, agent: http.Agent): Promise<Finding[]> {
  const sentAt = Date.now()
  const startedAt = performance.now()
  const request = (url.protocol === 'https:' ? https : http).request(url, { agent })
  try {
    const [response] = (await withTimeout(onceEvent(request.end(), 'response'))) as [http.IncomingMessage]
    const respondedAt = Date.now()
    const status = response.statusCode ?? 0
    const found = `${url.origin} responded with ${status} to a request without the secret (${since(startedAt)})`
    const failing = 'The gateway is failing, or this is not the gateway.'
    const reachable = status < 500 ? ok('gateway', found) : warning('gateway', found, failing)
    return [reachable, checkClock(response.headers.date, sentAt, respondedAt)]
  } catch (error) {
    const advice = 'Check VKIT_BASE_URL, and whether a firewall or a proxy blocks the connection.'
    const code = codeOf(error)
    return [failure('gateway', `${url.origin} does not respond (${code})`, localAdvice(url, code) ?? advice)]
  } finally {
    request.destroy()
  }
}

/** Compares clocks. The server rounds `Date` down to seconds, and sets it between the request and the response. */
export function checkClock(date: string | undefined, sentAt: number, respondedAt: number): Finding {
  const check = 'clock'
  const gatewayMs = Date.parse(date ?? '')
  if (Number.isNaN(gatewayMs)) return note(check, 'the response has no Date header to compare with')
  const [ahead, behind] = [sentAt - (gatewayMs + 1_000), gatewayMs - respondedAt]
  const skewMs = Math.max(ahead, behind, 0)
  const words = `${(skewMs / 1000).toFixed(1)} s ${ahead > behind ? 'ahead of' : 'behind'} the gateway’s`
  if (skewMs < SKEW_WARNING_MS) return ok(check, 'matches the gateway’s clock')
  const advice =
    'Set the clock by NTP (timedatectl set-ntp true). The SDK corrects expiry; clients that read expiresAt may not.'
  return (skewMs < SKEW_FAILURE_MS ? warning : failure)(check, `this machine’s clock is ${words}`, advice)
}

function onceEvent(emitter: tls.TLSSocket | http.ClientRequest, event: string): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    emitter.once(event, (...values: unknown[]) => resolve(values))
    emitter.on('error', reject)
  })
}

function since(startedAt: number): string {
  return `${Math.round(performance.now() - startedAt)} ms`
}

function codeOf(error: unknown): string {
  const { name, code } = error as NodeJS.ErrnoException
  if (name === 'TimeoutError') return 'TIMEOUT'
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : 'no code'
}
