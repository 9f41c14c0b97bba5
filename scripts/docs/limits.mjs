// The limits that are not options. This file describes them; the values come from the constants in lib/.
import { parse } from './source.mjs'
import { table } from './tables.mjs'

const KINDS = {
  bytes: value => (value >= 1024 ? `${value / 1024} KiB` : `${value} bytes`),
  ms: value => (value >= 3_600_000 ? `${value / 3_600_000} h` : value >= 1000 ? `${value / 1000} s` : `${value} ms`),
  fraction: value => `${value * 100} %`,
  count: value => value.toLocaleString('en-US'),
}

const LIMITS = [
  ['an identity', 'options/call-options', 'MAX_IDENTITY_BYTES', 'bytes'],
  ['the app secret', 'secret/app-secret', 'MAX_SECRET_BYTES', 'bytes'],
  ['scopes of one call', 'options/call-options', 'MAX_SCOPES', 'count'],
  ['characters of a scope', 'options/call-options', 'MAX_SCOPE_LENGTH', 'count'],
  ['the body of a response', 'gateway/response', 'MAX_BODY_BYTES', 'bytes'],
  ['the headers of a response', 'gateway/got-transport', 'MAX_HEADER_BYTES', 'bytes'],
  ['a session token', 'gateway/session-response', 'MAX_TOKEN_BYTES', 'bytes'],
  ['largest clock difference that the client accepts', 'gateway/session-response', 'PLAUSIBLE_SKEW_MS', 'ms'],
  ['longest first wait before a retry', 'gateway/retry', 'FIRST_WAIT_MS', 'ms'],
  ['longest first wait before a retry, after a 429', 'gateway/retry', 'FIRST_WAIT_RATE_LIMITED_MS', 'ms'],
  ['longest wait before a retry', 'gateway/retry', 'LONGEST_WAIT_MS', 'ms'],
  ['retries in a full retry budget', 'gateway/retry', 'CAPACITY', 'count'],
  ['retries added to the budget by a success', 'gateway/retry', 'EARNED_BY_SUCCESS', 'count'],
  ['retries added to the budget by a success after a retry', 'gateway/retry', 'EARNED_BY_RETRIED_SUCCESS', 'count'],
  ['longest first backoff of a user after a failed mint', 'gateway/failure-memory', 'FIRST_KEY_BACKOFF_MS', 'ms'],
  ['longest backoff of such a user', 'gateway/failure-memory', 'LONGEST_KEY_BACKOFF_MS', 'ms'],
  ['users whose last failure the client remembers', 'gateway/admission', 'MAX_FAILING_KEYS', 'count'],
  ['users that must fail, without a success, to open the circuit', 'gateway/failure-streak', 'KEYS_TO_TRIP', 'count'],
  ['with low traffic: how long the failures must last', 'gateway/failure-streak', 'LOW_TRAFFIC_MS', 'ms'],
  ['with low traffic: attempts that must fail', 'gateway/failure-streak', 'LOW_TRAFFIC_ATTEMPTS', 'count'],
  ['most probes in one round', 'gateway/circuit-breaker', 'MAX_PROBES', 'count'],
  ['longest first wait before a round of probes', 'gateway/circuit-breaker', 'FIRST_PROBE_MS', 'ms'],
  ['longest wait before a round of probes', 'gateway/circuit-breaker', 'LONGEST_PROBE_MS', 'ms'],
  ['initial limit of requests in flight', 'gateway/concurrency-limit', 'INITIAL_LIMIT', 'count'],
  ['lowest limit of requests in flight', 'gateway/concurrency-limit', 'MIN_LIMIT', 'count'],
  ['largest random part by which a refresh starts earlier', 'cache/cached-token', 'REFRESH_SPREAD', 'fraction'],
  ['longest first wait after a failed refresh', 'cache/cached-token', 'FIRST_BACKOFF_MS', 'ms'],
  ['longest wait after a failed refresh', 'cache/cached-token', 'LONGEST_BACKOFF_MS', 'ms'],
]

export function limitTable() {
  const rows = LIMITS.map(([what, module, name, kind]) => [what, KINDS[kind](constant(`lib/${module}.ts`, name))])
  return table(['limit', 'value'], rows)
}

/** Returns the value of a constant that is a number or a product of numbers. */
function constant(file, name) {
  const declarations = parse(file).statements.flatMap(each => [...(each.declarationList?.declarations ?? [])])
  const text = declarations.find(each => each.name.getText() === name)?.initializer?.getText()
  if (!text || !/^[\d_.*\s]+$/.test(text))
    throw new Error(`${file} has no constant ${name}. Fix scripts/docs/limits.mjs`)
  return text.split('*').reduce((product, factor) => product * Number(factor.replaceAll('_', '')), 1)
}
