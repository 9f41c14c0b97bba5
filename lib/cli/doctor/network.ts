import { lookup } from 'node:dns/promises'
import http from 'node:http'
import https from 'node:https'
import type tls from 'node:tls'
import { hostOf } from '../../core/url-parts.js'
import { makeAgent } from '../../gateway/connection.js'
import { ProxyError } from '../../gateway/proxy-error.js'
import type { Environment } from '../../options/environment.js'
import type { Finding } from './report.js'
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
    const dns: Finding = isDirect
      ? await checkDns(url)
      : { check: 'dns', severity: 'note', found: 'not checked: the proxy resolves names, except those in NO_PROXY' }
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
    return { check: 'dns', severity: 'ok', found: `${hostname} resolves to ${list} (${since(startedAt)})` }
  } catch (error) {
    return {
      check: 'dns',
      severity: 'failure',
      found: `cannot resolve ${hostname} (${codeOf(error)})`,
      advice: 'Check VKIT_BASE_URL, and whether this machine can resolve other names.',
    }
  }
}

async function checkTls(url: URL, agent: http.Agent): Promise<Finding> {
  const check = 'tls'
  if (url.protocol !== 'https:') return { check, severity: 'note', found: 'not used: the gateway address is local' }
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
    return isOld
      ? { check, severity: 'warning', found, advice: 'The certificate expires soon.' }
      : { check, severity: 'ok', found }
  } catch (error) {
    if (error instanceof ProxyError) return { check, severity: 'failure', ...describeProxyError(error, host) }
    return {
      check,
      severity: 'failure',
      found: `no secure connection to ${host} (${codeOf(error)})`,
      advice: tlsAdvice(codeOf(error)),
    }
  } finally {
    request.destroy()
  }
}

function describeProxyError(error: ProxyError, host: string): Pick<Finding, 'found' | 'advice'> {
  const why = typeof error.status === 'number' ? error.status : codeOf(error)
  return {
    found: `the proxy in HTTPS_PROXY opened no tunnel to ${host} (${why})`,
    advice: 'Check HTTPS_PROXY, its user and password, and whether the proxy allows this host.',
  }
}

function tlsAdvice(code: string): string {
  if (/SELF_SIGNED|UNABLE_TO|CERT/.test(code)) {
    return 'If a company proxy intercepts TLS, set NODE_EXTRA_CA_CERTS to its certificate. Never disable the checks.'
  }
  return 'A firewall may block the connection. Allow outgoing connections to port 443.'
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
    const reachable: Finding =
      status < 500
        ? { check: 'gateway', severity: 'ok', found }
        : {
            check: 'gateway',
            severity: 'warning',
            found,
            advice: 'The gateway is failing, or this is not the gateway.',
          }
    return [reachable, checkClock(response.headers.date, sentAt, respondedAt)]
  } catch (error) {
    return [
      {
        check: 'gateway',
        severity: 'failure',
        found: `${url.origin} does not respond (${codeOf(error)})`,
        advice: 'Check VKIT_BASE_URL, and whether a firewall or a proxy blocks the connection.',
      },
    ]
  } finally {
    request.destroy()
  }
}

/** Compares clocks. The server rounds `Date` down to seconds, and sets it between the request and the response. */
export function checkClock(date: string | undefined, sentAt: number, respondedAt: number): Finding {
  const check = 'clock'
  const gatewayMs = Date.parse(date ?? '')
  if (Number.isNaN(gatewayMs))
    return { check, severity: 'note', found: 'the response has no Date header to compare with' }
  const [ahead, behind] = [sentAt - (gatewayMs + 1_000), gatewayMs - respondedAt]
  const skewMs = Math.max(ahead, behind, 0)
  const words = `${(skewMs / 1000).toFixed(1)} s ${ahead > behind ? 'ahead of' : 'behind'} the gateway’s`
  if (skewMs < SKEW_WARNING_MS) return { check, severity: 'ok', found: 'matches the gateway’s clock' }
  return {
    check,
    severity: skewMs < SKEW_FAILURE_MS ? 'warning' : 'failure',
    found: `this machine’s clock is ${words}`,
    advice:
      'Set the clock by NTP (timedatectl set-ntp true). The SDK corrects expiry; clients that read expiresAt may not.',
  }
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
