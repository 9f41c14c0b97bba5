import { decodeJwt } from 'jose/jwt/decode'
import { decodeProtectedHeader } from 'jose/decode/protected_header'
import type { Environment } from '../../options/environment.js'
import { isSessionToken, isVisibleAscii } from '../../secret/app-secret.js'
import { printsRequests, type FoundSecret } from '../secret.js'
import { failure, ok, warning, type Finding } from './report.js'

const OLDEST_NODE = 20
const COPY_AGAIN = 'Copy it again: dashboard → Apps → Your App → API TOKEN.'

export function checkNode(version: string = process.versions.node): Finding {
  const isOld = Number(version.split('.')[0]) < OLDEST_NODE
  return isOld ? failure('node', version, `Install Node ${OLDEST_NODE} or newer.`) : ok('node', version)
}

/** Checks the kind of the secret by its claims. The finding shows only when the secret was issued. */
export function checkSecret({ secret, source, warning: problem }: FoundSecret): Finding {
  const check = 'secret'
  const value = `the value from ${source}`
  if (!isVisibleAscii(secret))
    return failure(check, `${value} is empty, or contains spaces, line breaks or non-ASCII characters`, COPY_AGAIN)
  const claims = decodeClaims(secret)
  if (!claims) return warning(check, `${value} is not a JWT; app secrets are JWTs`, COPY_AGAIN)
  if (isSessionToken(secret))
    return failure(check, `${value} is a session token or another JWT, not an app secret`, COPY_AGAIN)
  const found = `app secret from ${source}${whenIssued(claims.iat)}`
  return problem === undefined ? ok(check, found) : warning(check, found, problem)
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
  if (used) return ok('proxy', 'HTTPS_PROXY and NO_PROXY are used for https, because Node uses them')
  const names = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy']
  const set = names.filter(name => environment[name])
  if (set.length === 0) return ok('proxy', 'no proxy variables set')
  return warning(
    'proxy',
    `${set.join(', ')} set, but not used: requests are sent directly`,
    'If the gateway is reachable only through the proxy, set HTTPS_PROXY and NODE_USE_ENV_PROXY=1 (Node 22.21, 24.5 or newer), or pass an agent to VKitClient: { agent: { https } }.',
  )
}

/** When Node writes report files, and whether they contain the environment. Node 22.13 and 23.3 added `excludeEnv`. */
interface ReportSettings {
  readonly reportOnUncaughtException: boolean
  readonly reportOnFatalError: boolean
  readonly reportOnSignal: boolean
  readonly excludeEnv?: boolean
}

function leaksEnvironment({ excludeEnv, ...reports }: ReportSettings): boolean {
  return !excludeEnv && (reports.reportOnUncaughtException || reports.reportOnFatalError || reports.reportOnSignal)
}

/** Checks for settings that make Node print, write or accept more than it should. */
export function checkExposure(environment: Environment, reports?: ReportSettings): Finding[] {
  const findings: Finding[] = []
  if (printsRequests(environment)) {
    const found = 'NODE_DEBUG makes Node print requests, including the app secret, to standard error'
    const advice = 'Unset NODE_DEBUG wherever the secret is used. If its output was logged, create a new secret.'
    findings.push(failure('exposure', found, advice))
  }
  if (environment['NODE_TLS_REJECT_UNAUTHORIZED'] === '0') {
    const found =
      'NODE_TLS_REJECT_UNAUTHORIZED=0 disables certificate checks in Node; the SDK still checks certificates'
    const advice = 'Unset it. To trust your own certificate authority, set NODE_EXTRA_CA_CERTS=<file>.'
    findings.push(warning('exposure', found, advice))
  }
  if (reports && leaksEnvironment(reports)) {
    const found = 'Node writes report files (--report-…), which contain the environment with VKIT_APP_SECRET'
    const advice = 'Add --report-exclude-env (Node 22.13, 23.3 or newer), or load the secret from a file or a function.'
    findings.push(warning('exposure', found, advice))
  }
  if (findings.length > 0) return findings
  return [ok('exposure', 'NODE_DEBUG and NODE_TLS_REJECT_UNAUTHORIZED are not set')]
}
