import { describeType } from '../core/describe-type.js'
import { copyText } from '../core/copy-text.js'
import { isUnsetText } from '../core/unset-text.js'
import { utf8BytesOf } from '../core/utf8.js'
import type { AttemptLimits, CacheMode, Scope, TokenCall, TokenRequest, WaitUntil } from '../token/token-request.js'
import {
  argument,
  checkOptionsObject,
  duration,
  guardGetters,
  integer,
  isIterable,
  knownKeys,
  optionalDuration,
  readOptions,
  unknownOption,
} from './checks.js'
import type { ResolvedOptions } from './client-options.js'
import type {
  CloseOptions,
  GetSessionTokenOptions,
  GetSessionTokensOptions,
  InvalidateOptions,
  OutageMode,
  WarmUpOptions,
} from './types.js'

const MAX_IDENTITY_BYTES = 1024
const MAX_CONCURRENCY = 1_000
const MAX_SCOPES = 100
const MAX_SCOPE_LENGTH = 256

/** The validated options of one call. The scopes are as the caller passed them: `resolveRequest` validates them. */
export interface ResolvedCall extends TokenCall {
  readonly scopes: unknown
}

type CallDefaults = Pick<ResolvedOptions, 'caching' | 'deadlineMs'> & AttemptLimits

/** What is not set must be set to undefined: see `TokenCall`. */
const UNSET = {
  ...{ signal: undefined, minValidityMs: undefined, limits: undefined, isBulk: false },
  ...{ onJoin: undefined, waitUntil: undefined },
}

/** The options of a call of a batch. */
export function bulkCall(deadlineMs: number): TokenCall {
  return { ...UNSET, mode: 'default', deadlineMs, isBulk: true }
}

/** @throws VKitArgumentError */
export function resolveCall(given: unknown, defaults: CallDefaults): ResolvedCall {
  return guardGetters(argument, () => resolveCallOptions(given, defaults))
}

function resolveCallOptions(given: unknown, defaults: CallDefaults): ResolvedCall {
  const mode = defaults.caching ? 'default' : 'no-store'
  // For a string, the error of its scopes suggests an array, not an object.
  if (given === undefined || Array.isArray(given) || typeof given === 'string') {
    return { ...UNSET, scopes: given, mode, deadlineMs: defaults.deadlineMs }
  }
  const options = readCallOptions(given ?? {})
  const { scopes, signal, cache, deadlineMs, minValidityMs, waitUntil } = options
  if (signal !== undefined && !isSignal(signal)) throw argument('signal must be an AbortSignal')
  if (cache !== undefined && !isCacheMode(cache)) throw argument("cache must be 'default', 'reload' or 'no-store'")
  if (waitUntil !== undefined && !isFunction(waitUntil)) throw argument('waitUntil must be a function')
  return {
    scopes,
    mode: defaults.caching ? (cache ?? mode) : mode,
    signal,
    deadlineMs: duration(deadlineMs ?? defaults.deadlineMs, 'deadlineMs', argument),
    minValidityMs: optionalDuration(minValidityMs, 'minValidityMs', argument),
    limits: resolveLimits(options, defaults),
    isBulk: false,
    onJoin: undefined,
    waitUntil,
  }
}

/** Returns undefined if the call has the limits of the client, because an object would cost each hit. */
function resolveLimits({ timeoutMs, maxRetries }: CallOptions, defaults: AttemptLimits): AttemptLimits | undefined {
  if (timeoutMs === undefined && maxRetries === undefined) return undefined
  return {
    timeoutMs: duration(timeoutMs ?? defaults.timeoutMs, 'timeoutMs', argument),
    maxRetries: integer(maxRetries ?? defaults.maxRetries, { name: 'maxRetries', min: 0, makeError: argument }),
  }
}

/** `readOptions` for a call: it names each option, because a copy of the options would cost more than a hit. */
function readCallOptions(given: object): CallOptions {
  checkOptionsObject(given, CALL_KEYS, argument)
  const options = given as CallOptions
  let scopes, signal, cache, deadlineMs, timeoutMs, maxRetries, minValidityMs, waitUntil
  for (const key in given) {
    if (!Object.hasOwn(given, key)) continue
    const name = key as keyof CallOptions
    switch (name) {
      case 'scopes':
        scopes = options.scopes
        break
      case 'signal':
        signal = options.signal
        break
      case 'cache':
        cache = options.cache
        break
      case 'deadlineMs':
        deadlineMs = options.deadlineMs
        break
      case 'timeoutMs':
        timeoutMs = options.timeoutMs
        break
      case 'maxRetries':
        maxRetries = options.maxRetries
        break
      case 'minValidityMs':
        minValidityMs = options.minValidityMs
        break
      case 'waitUntil':
        waitUntil = options.waitUntil
        break
      default:
        throw unknownOption(name satisfies never, CALL_KEYS, argument)
    }
  }
  return { scopes, signal, cache, deadlineMs, timeoutMs, maxRetries, minValidityMs, waitUntil }
}

type CallOptions = Readonly<Partial<Record<keyof GetSessionTokenOptions, unknown>>>

/** Validated `GetSessionTokensOptions`, with all defaults. */
export interface ResolvedBatch {
  readonly concurrency: number
  readonly scopes: readonly Scope[]
  readonly signal: AbortSignal | undefined
  readonly onOutage: OutageMode
  readonly maxOutageMs: number
}

/** @throws VKitArgumentError */
export function resolveBatch(identities: unknown, given: GetSessionTokensOptions | undefined): ResolvedBatch {
  return guardGetters(argument, () => resolveBatchOptions(identities, given))
}

function resolveBatchOptions(identities: unknown, given: GetSessionTokensOptions | undefined): ResolvedBatch {
  // A string is iterable too, but by its characters.
  if (typeof identities !== 'object' || identities === null || !isIterable(identities)) {
    throw argument(`identities must be an array, an iterable or an async iterable, not ${describeType(identities)}`)
  }
  const options = readOptions<GetSessionTokensOptions>(given ?? {}, BATCH_KEYS, argument)
  const { concurrency = MAX_CONCURRENCY, signal, onOutage = 'wait' } = options
  if (!Number.isSafeInteger(concurrency) || concurrency < 1 || concurrency > MAX_CONCURRENCY) {
    throw argument(`concurrency must be a whole number from 1 to ${MAX_CONCURRENCY}`)
  }
  if (signal !== undefined && !isSignal(signal)) throw argument('signal must be an AbortSignal')
  if (!OUTAGE_MODES.has(onOutage)) throw argument("onOutage must be 'wait' or 'fail'")
  return {
    concurrency,
    scopes: options.scopes === undefined ? NO_SCOPES : checkScopes(options.scopes),
    signal,
    onOutage,
    maxOutageMs: duration(options.maxOutageMs ?? 600_000, 'maxOutageMs', argument),
  }
}

/** @throws VKitArgumentError */
export function resolveInvalidation(
  identity: unknown,
  given: InvalidateOptions | undefined,
): { request: TokenRequest; sessionToken: string | undefined } {
  return guardGetters(argument, () => {
    const { scopes, token } = readOptions<InvalidateOptions>(given ?? {}, INVALIDATE_KEYS, argument)
    if (token !== undefined && (typeof token !== 'string' || token === '')) {
      throw argument('token must be the string of a session token')
    }
    return { request: resolveRequest(identity, scopes), sessionToken: token }
  })
}

/** @throws VKitArgumentError */
export function resolveWarmUp(given: WarmUpOptions | undefined): WarmUpOptions {
  return guardGetters(argument, () => {
    const { signal } = readOptions<WarmUpOptions>(given ?? {}, WARM_UP_KEYS, argument)
    if (signal !== undefined && !isSignal(signal)) throw argument('signal must be an AbortSignal')
    return { signal }
  })
}

/** @throws VKitArgumentError */
export function resolveClose(given: CloseOptions): CloseOptions {
  return guardGetters(argument, () => {
    const { drainMs } = readOptions<CloseOptions>(given, CLOSE_KEYS, argument)
    // 0 means now, for a value from a configuration.
    return { drainMs: drainMs === 0 ? 0 : duration(drainMs, 'drainMs', argument) }
  })
}

/** @throws VKitArgumentError */
export function resolveRequest(identity: unknown, scopes: unknown): TokenRequest {
  return guardGetters(argument, () => ({
    identity: checkIdentity(identity),
    scopes: scopes === undefined ? NO_SCOPES : checkScopes(scopes),
  }))
}

/** Copies an array of scopes, because a proxy or a subclass may return others at the next read. */
export function copyScopes(scopes: unknown): unknown {
  return guardGetters(argument, () => {
    const isList = Array.isArray(scopes) && scopes.length <= MAX_SCOPES
    return isList ? Array.from<unknown>(scopes) : scopes
  })
}

const CALL_KEYS = knownKeys('', [
  'scopes',
  'signal',
  'deadlineMs',
  'timeoutMs',
  'maxRetries',
  'minValidityMs',
  'cache',
  'waitUntil',
] satisfies (keyof GetSessionTokenOptions)[])

const BATCH_KEYS = knownKeys('', [
  'concurrency',
  'scopes',
  'signal',
  'onOutage',
  'maxOutageMs',
] satisfies (keyof GetSessionTokensOptions)[])

const OUTAGE_MODES = new Set<unknown>(['wait', 'fail'] satisfies OutageMode[])
const WARM_UP_KEYS = knownKeys('', ['signal'] satisfies (keyof WarmUpOptions)[])
const CLOSE_KEYS = knownKeys('', ['drainMs'] satisfies (keyof CloseOptions)[])
const INVALIDATE_KEYS = knownKeys('', ['scopes', 'token'] satisfies (keyof InvalidateOptions)[])
const NO_SCOPES: readonly Scope[] = Object.freeze([])

function checkIdentity(identity: unknown): string {
  if (typeof identity !== 'string') throw argument(`identity must be a string, not ${describeType(identity)}`)
  if (identity === '') throw argument('identity must not be empty')
  if (isTooLong(identity)) throw argument('identity must not be longer than 1 KiB')
  if (!isCleanText(identity)) throw argument('identity must be well-formed Unicode without NUL')
  if (isUnsetText(identity)) {
    const text = identity.startsWith('[') ? '[object …]' : identity
    throw argument(
      `identity must not be the string ${text}: your code converted a missing value or an object to a string`,
    )
  }
  return copyText(identity)
}

function isTooLong(text: string): boolean {
  // A UTF-16 unit takes at most three bytes.
  if (text.length > MAX_IDENTITY_BYTES) return true
  return text.length > MAX_IDENTITY_BYTES / 3 && utf8BytesOf(text).length > MAX_IDENTITY_BYTES
}

function checkScopes(scopes: unknown): readonly Scope[] {
  if (!Array.isArray(scopes)) {
    throw argument(`scopes must be an array of strings, such as ['videos.read'], not ${describeType(scopes)}`)
  }
  if (scopes.length > MAX_SCOPES) throw argument(`scopes must contain at most ${MAX_SCOPES} strings`)
  // `every` skips holes in an array, `Array.from` does not.
  const list = Array.from<unknown>(scopes)
  const isScope = (scope: unknown): scope is string =>
    typeof scope === 'string' && scope !== '' && scope.length <= MAX_SCOPE_LENGTH && isCleanText(scope)
  if (!list.every(isScope)) throw argument('scopes must be non-empty strings')
  return list.length === 0 ? NO_SCOPES : Object.freeze([...new Set(list)].sort().map(copyText))
}

/** JSON cannot represent half a surrogate pair: two such identities could become one at the gateway. */
function isCleanText(text: string): boolean {
  return !text.includes('\0') && !/\p{Surrogate}/u.test(text)
}

function isCacheMode(value: unknown): value is CacheMode {
  return value === 'default' || value === 'reload' || value === 'no-store'
}

function isFunction(value: unknown): value is WaitUntil {
  return typeof value === 'function'
}

function isSignal(value: unknown): value is AbortSignal {
  const { aborted, addEventListener, removeEventListener, throwIfAborted } = (value ?? {}) as Record<string, unknown>
  const methods = [addEventListener, removeEventListener, throwIfAborted]
  return typeof aborted === 'boolean' && methods.every(method => typeof method === 'function')
}
