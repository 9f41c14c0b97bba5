import { decodeJwt } from 'jose/jwt/decode'
import { decodeProtectedHeader } from 'jose/decode/protected_header'
import type { Environment } from '../../options/environment.js'
import { isSessionToken, isVisibleAscii } from '../../secret/app-secret.js'
import { printsRequests, type FoundSecret } from '../secret.js'
import type { Finding } from './report.js'

const OLDEST_NODE = 20

export function checkNode(version: string = process.versions.node): Finding {
  const isOld = Number(version.split('.')[0]) < OLDEST_NODE
  if (!isOld) return { check: 'node', severity: 'ok', found: version }
  return { check: 'node', severity: 'failure', found: version, advice: `Install Node ${OLDEST_NODE} or newer.` }
}

/** What kind of secret it is, by its claims; nothing of it is shown but when it was issued. */
export function checkSecret({ secret, source, warning }: FoundSecret): Finding {
  const check = 'secret'
  const failure = (found: string, advice: string): Finding => ({ check, severity: 'failure', found, advice })
  const copyAgain = 'Copy it again: dashboard → Apps → Your App → API TOKEN.'
  if (!isVisibleAscii(secret)) {
    return failure(`what ${source} holds is empty, or has spaces, line breaks or characters outside ASCII`, copyAgain)
  }
  const claims = claimsOf(secret)
  if (!claims) {
    return { check, severity: 'warning', found: `from ${source}, but no JWT, as app secrets are`, advice: copyAgain }
  }
  if (isSessionToken(secret)) {
    return failure(`what ${source} holds is a session token, or another that is no app secret`, copyAgain)
  }
  const found = `from ${source}: an app secret${whenIssued(claims.iat)}`
  if (warning !== undefined) return { check, severity: 'warning', found, advice: warning }
  return { check, severity: 'ok', found }
}

function whenIssued(iat: unknown): string {
  const date = new Date(typeof iat === 'number' ? iat * 1000 : NaN)
  return Number.isNaN(date.getTime()) ? '' : `, issued ${date.toISOString().replace('.000Z', 'Z')}`
}

function claimsOf(secret: string): ReturnType<typeof decodeJwt> | undefined {
  try {
    decodeProtectedHeader(secret)
    return decodeJwt(secret)
  } catch {
    return undefined
  }
}

/** The SDK reads no proxy variable, which a user who has set one does not expect. */
export function checkProxy(environment: Environment): Finding {
  const names = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy']
  const set = names.filter(name => environment[name])
  if (set.length === 0) return { check: 'proxy', severity: 'ok', found: 'no proxy variables' }
  return {
    check: 'proxy',
    severity: 'warning',
    found: `${set.join(', ')} set, and not read: requests go out directly`,
    advice: 'Where the gateway is reached through the proxy alone, give VKitClient an agent: { agent: { https } }.',
  }
}

/** What decides on the report files of Node, and on the environment in them; `excludeEnv` came with Node 22.13 and 23.3. */
interface ReportSettings {
  readonly reportOnUncaughtException: boolean
  readonly reportOnFatalError: boolean
  readonly reportOnSignal: boolean
  readonly excludeEnv?: boolean
}

function checkReports({ reportOnUncaughtException, reportOnFatalError, ...rest }: ReportSettings): Finding[] {
  if (rest.excludeEnv || !(reportOnUncaughtException || reportOnFatalError || rest.reportOnSignal)) return []
  return [
    {
      check: 'exposure',
      severity: 'warning',
      found: 'Node writes report files (--report-…), and the environment with VKIT_APP_SECRET in them',
      advice: 'Add --report-exclude-env (Node 22.13, 23.3 or newer), or take the secret from a file or a function.',
    },
  ]
}

/** What makes Node print, write or accept more than it should. */
export function checkExposure(environment: Environment, reports?: ReportSettings): Finding[] {
  const findings: Finding[] = []
  if (printsRequests(environment)) {
    findings.push({
      check: 'exposure',
      severity: 'failure',
      found: 'NODE_DEBUG makes Node print requests, and the app secret in them, to standard error',
      advice: 'Unset NODE_DEBUG wherever the secret is used, and make a new secret if its logs were kept.',
    })
  }
  if (environment['NODE_TLS_REJECT_UNAUTHORIZED'] === '0') {
    findings.push({
      check: 'exposure',
      severity: 'warning',
      found: 'NODE_TLS_REJECT_UNAUTHORIZED=0 switches certificate checks off; the SDK checks all the same',
      advice: 'Unset it; for a certificate authority of your own set NODE_EXTRA_CA_CERTS=<file>.',
    })
  }
  findings.push(...(reports ? checkReports(reports) : []))
  if (findings.length > 0) return findings
  return [{ check: 'exposure', severity: 'ok', found: 'NODE_DEBUG and NODE_TLS_REJECT_UNAUTHORIZED are not set' }]
}
