import { describeType } from '../core/describe-type.js'
import { isUnsetText } from '../core/unset-text.js'
import type { CacheMode, Scope, TokenCall, TokenRequest } from '../token/token-request.js'
import {
  argument,
  duration,
  guardGetters,
  hasMethods,
  isIterable,
  knownKeys,
  optionalDuration,
  readMember,
  readOptions,
} from './checks.js'
import type { ResolvedOptions } from './client-options.js'
import type {
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

/** @throws VKitArgumentError */
export function resolveCall(
  identity: unknown,
  given: readonly Scope[] | GetSessionTokenOptions | undefined,
  defaults: CallDefaults,
): { request: TokenRequest; call: TokenCall } {
  return guardGetters(argument, () => resolveCallOptions(identity, given, defaults))
}

type CallDefaults = Pick<ResolvedOptions, 'caching' | 'deadlineMs'>

function resolveCallOptions(
  identity: unknown,
  given: readonly Scope[] | GetSessionTokenOptions | undefined,
  defaults: CallDefaults,
): { request: TokenRequest; call: TokenCall } {
  // For a string, the error then suggests an array, not an object.
  const isList = Array.isArray(given) || typeof given === 'string'
  const bag = isList ? { scopes: given as readonly Scope[] } : (given ?? {})
  const options = readOptions<GetSessionTokenOptions>(bag, CALL_KEYS, argument)
  const { signal, cache = 'default' } = options
  if (signal !== undefined && !isSignal(signal)) throw argument('signal must be an AbortSignal')
  if (!CACHE_MODES.has(cache)) throw argument("cache must be 'default', 'reload' or 'no-store'")
  const mode = defaults.caching ? cache : 'no-store'
  return {
    request: resolveRequest(identity, options.scopes),
    call: {
      mode,
      signal,
      deadlineMs: duration(options.deadlineMs ?? defaults.deadlineMs, 'deadlineMs', argument),
      minValidityMs: optionalDuration(options.minValidityMs, 'minValidityMs', argument),
    },
  }
}

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
  const { concurrency = 16, signal, onOutage = 'wait' } = options
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
export function resolveRequest(identity: unknown, scopes: unknown): TokenRequest {
  return guardGetters(argument, () => ({
    identity: checkIdentity(identity),
    scopes: scopes === undefined ? NO_SCOPES : checkScopes(scopes),
  }))
}

const CALL_KEYS = knownKeys('', [
  'scopes',
  'signal',
  'deadlineMs',
  'minValidityMs',
  'cache',
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
const INVALIDATE_KEYS = knownKeys('', ['scopes', 'token'] satisfies (keyof InvalidateOptions)[])
const CACHE_MODES = new Set<unknown>(['default', 'reload', 'no-store'] satisfies CacheMode[])
const NO_SCOPES: readonly Scope[] = Object.freeze([])

function checkIdentity(identity: unknown): string {
  if (typeof identity !== 'string') throw argument(`identity must be a string, not ${describeType(identity)}`)
  if (identity === '') throw argument('identity must not be empty')
  if (Buffer.byteLength(identity) > MAX_IDENTITY_BYTES) throw argument('identity must not be longer than 1 KiB')
  if (!isCleanText(identity)) throw argument('identity must be well-formed Unicode without NUL')
  if (isUnsetText(identity)) {
    const text = identity.startsWith('[') ? '[object …]' : identity
    throw argument(
      `identity must not be the string ${text}: your code converted a missing value or an object to a string`,
    )
  }
  // A copy, because the caller's string may be a slice, which keeps the whole text that it was cut from in memory.
  return Buffer.from(identity).toString()
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
  return list.length === 0 ? NO_SCOPES : Object.freeze([...new Set(list)].sort())
}

/** JSON cannot represent half a surrogate pair: two such identities could become one at the gateway. */
function isCleanText(text: string): boolean {
  return !text.includes('\0') && !/\p{Surrogate}/u.test(text)
}

function isSignal(value: unknown): boolean {
  const hasState = typeof readMember(value, 'aborted') === 'boolean'
  return hasState && hasMethods(value, ['addEventListener', 'removeEventListener', 'throwIfAborted'])
}
