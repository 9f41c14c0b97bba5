// The bounds that are not options: what each is, from here; how much, from the constants in lib/.
import { parse } from './source.mjs'
import { table } from './tables.mjs'

const KINDS = {
  bytes: value => (value >= 1024 ? `${value / 1024} KiB` : `${value} bytes`),
  ms: value => (value >= 3_600_000 ? `${value / 3_600_000} h` : value >= 1000 ? `${value / 1000} s` : `${value} ms`),
  part: value => `${value * 100} %`,
  count: value => value.toLocaleString('en-US'),
}

const LIMITS = [
  ['an identity', 'options/call-options', 'MAX_IDENTITY_BYTES', 'bytes'],
  ['the app secret', 'secret/app-secret', 'MAX_SECRET_BYTES', 'bytes'],
  ['scopes of one call', 'options/call-options', 'MAX_SCOPES', 'count'],
  ['characters of a scope', 'options/call-options', 'MAX_SCOPE_LENGTH', 'count'],
  ['the body of an answer', 'gateway/exchange', 'MAX_BODY_BYTES', 'bytes'],
  ['the headers of an answer', 'gateway/got-transport', 'MAX_HEADER_BYTES', 'bytes'],
  ['a session token', 'gateway/session-response', 'MAX_TOKEN_BYTES', 'bytes'],
  ['clock difference that is believed', 'gateway/session-response', 'PLAUSIBLE_SKEW_MS', 'ms'],
  ['first wait before a retry, at most', 'gateway/retry', 'FIRST_WAIT_MS', 'ms'],
  ['the same after a 429', 'gateway/retry', 'FIRST_WAIT_RATE_LIMITED_MS', 'ms'],
  ['any wait before a retry, at most', 'gateway/retry', 'LONGEST_WAIT_MS', 'ms'],
  ['retries saved up in the budget', 'gateway/retry', 'CAPACITY', 'count'],
  ['retries earned by a success', 'gateway/retry', 'EARNED_BY_SUCCESS', 'count'],
  ['retries earned by a success after a retry', 'gateway/retry', 'EARNED_BY_RETRIED_SUCCESS', 'count'],
  ['first backoff of a user whose mint failed, at most', 'gateway/failure-memory', 'FIRST_KEY_BACKOFF_MS', 'ms'],
  ['any backoff of such a user, at most', 'gateway/failure-memory', 'LONGEST_KEY_BACKOFF_MS', 'ms'],
  ['users whose failure is remembered', 'gateway/admission', 'MAX_FAILING_KEYS', 'count'],
  ['users that must fail, without a success, to open the circuit', 'gateway/failure-streak', 'KEYS_TO_TRIP', 'count'],
  ['with less traffic: the time that this must last', 'gateway/failure-streak', 'QUIET_MS', 'ms'],
  ['with less traffic: attempts that must fail', 'gateway/failure-streak', 'QUIET_ATTEMPTS', 'count'],
  ['probes at a time, at most', 'gateway/circuit-breaker', 'MAX_PROBES', 'count'],
  ['first wait before a probe, at most', 'gateway/circuit-breaker', 'FIRST_PROBE_MS', 'ms'],
  ['any wait before a probe, at most', 'gateway/circuit-breaker', 'LONGEST_PROBE_MS', 'ms'],
  ['requests in flight, at first', 'gateway/concurrency-limit', 'FIRST_LIMIT', 'count'],
  ['requests in flight, however little they bring', 'gateway/concurrency-limit', 'LEAST_LIMIT', 'count'],
  ['refreshes are drawn earlier by up to', 'cache/cached-token', 'REFRESH_SPREAD', 'part'],
  ['first wait after a failed refresh, at most', 'cache/cached-token', 'FIRST_BACKOFF_MS', 'ms'],
  ['any wait after a failed refresh, at most', 'cache/cached-token', 'LONGEST_BACKOFF_MS', 'ms'],
]

export function limitTable() {
  const rows = LIMITS.map(([what, module, name, kind]) => [what, KINDS[kind](constant(`lib/${module}.ts`, name))])
  return table(['what', 'how much'], rows)
}

/** The value of a constant that is a number, or a product of numbers. */
function constant(file, name) {
  const declarations = parse(file).statements.flatMap(each => [...(each.declarationList?.declarations ?? [])])
  const text = declarations.find(each => each.name.getText() === name)?.initializer?.getText()
  if (!text || !/^[\d_.*\s]+$/.test(text))
    throw new Error(`${file} has no constant ${name}: mend scripts/docs/limits.mjs`)
  return text.split('*').reduce((product, factor) => product * Number(factor.replaceAll('_', '')), 1)
}
