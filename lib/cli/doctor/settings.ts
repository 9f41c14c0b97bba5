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

/** Checks the kind of the secret by its claims. The finding shows only when the secret was issued. */
export function checkSecret({ secret, source, warning }: FoundSecret): Finding {
  const check = 'secret'
  const failure = (found: string, advice: string): Finding => ({ check, severity: 'failure', found, advice })
  const copyAgain = 'Copy it again: dashboard → Apps → Your App → API TOKEN.'
  if (!isVisibleAscii(secret)) {
    return failure(
      `the value from ${source} is empty, or contains spaces, line breaks or non-ASCII characters`,
      copyAgain,
    )
  }
  const claims = decodeClaims(secret)
  if (!claims) {
    return {
      check,
      severity: 'warning',
      found: `the value from ${source} is not a JWT; app secrets are JWTs`,
      advice: copyAgain,
    }
  }
  if (isSessionToken(secret)) {
    return failure(`the value from ${source} is a session token or another JWT, not an app secret`, copyAgain)
  }
  const found = `app secret from ${source}${whenIssued(claims.iat)}`
  if (warning !== undefined) return { check, severity: 'warning', found, advice: warning }
  return { check, severity: 'ok', found }
}

function whenIssued(iat: unknown): string {
  const date = new Date(typeof iat === 'number' ? iat * 1000 : NaN)
  return Number.isNaN(date.getTime()) ? '' : `, issued ${date.toISOString().replace('.000Z', 'Z')}`
}

function decodeClaims(secret: string): ReturnType<typeof decodeJwt> | undefined {
  try {
    decodeProtectedHeader(secret)
    return decodeJwt(secret)
  } catch {
    return undefined
  }
}

/** Warns about proxy variables that are not used. `used` are those that Node and the SDK use for https, if any. */
export function checkProxy(environment: Environment, used?: Environment): Finding {
  const check = 'proxy'
  if (used)
    return { check, severity: 'ok', found: 'HTTPS_PROXY and NO_PROXY are used for https, because Node uses them' }
  const names = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy']
  const set = names.filter(name => environment[name])
  if (set.length === 0) return { check, severity: 'ok', found: 'no proxy variables set' }
  return {
    check,
    severity: 'warning',
    found: `${set.join(', ')} set, but not used: requests are sent directly`,
    advice:
      'If the gateway is reachable only through the proxy, set HTTPS_PROXY and NODE_USE_ENV_PROXY=1 (Node 22.21, 24.5 or newer), or pass an agent to VKitClient: { agent: { https } }.',
  }
}

/** When Node writes report files, and whether they contain the environment. Node 22.13 and 23.3 added `excludeEnv`. */
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
      found: 'Node writes report files (--report-…), which contain the environment with VKIT_APP_SECRET',
      advice: 'Add --report-exclude-env (Node 22.13, 23.3 or newer), or load the secret from a file or a function.',
    },
  ]
}

/** Checks for settings that make Node print, write or accept more than it should. */
export function checkExposure(environment: Environment, reports?: ReportSettings): Finding[] {
  const findings: Finding[] = []
  if (printsRequests(environment)) {
    findings.push({
      check: 'exposure',
      severity: 'failure',
      found: 'NODE_DEBUG makes Node print requests, including the app secret, to standard error',
      advice: 'Unset NODE_DEBUG wherever the secret is used. If its output was logged, create a new secret.',
    })
  }
  if (environment['NODE_TLS_REJECT_UNAUTHORIZED'] === '0') {
    findings.push({
      check: 'exposure',
      severity: 'warning',
      found: 'NODE_TLS_REJECT_UNAUTHORIZED=0 disables certificate checks in Node; the SDK still checks certificates',
      advice: 'Unset it. To trust your own certificate authority, set NODE_EXTRA_CA_CERTS=<file>.',
    })
  }
  findings.push(...(reports ? checkReports(reports) : []))
  if (findings.length > 0) return findings
  return [{ check: 'exposure', severity: 'ok', found: 'NODE_DEBUG and NODE_TLS_REJECT_UNAUTHORIZED are not set' }]
}
