import { AsyncResource } from 'node:async_hooks'
import http from 'node:http'
import { decodeJwt } from 'jose/jwt/decode'
import { systemClock, type Clock } from '../core/clock.js'
import { VKitArgumentError, VKitConfigError } from '../core/errors.js'
import type { VKitEventListener } from '../core/events.js'
import { nearestName } from '../core/nearest-name.js'
import { inheritedMember, ownMembers } from '../core/own-properties.js'
import { sanitizeCause } from '../core/sanitize-cause.js'
import { refuseBrowser } from '../core/server-only.js'
import { VKitError } from '../core/vkit-error.js'
import type { Agents } from '../gateway/got-transport.js'
import { SecretSource } from '../secret/secret-source.js'
import type { TokenStore } from '../store/shared-store.js'
import type { CacheMode, Scope, TokenCall, TokenRequest } from '../token/token-request.js'
import type {
  CacheOptions,
  GetSessionTokenOptions,
  GetSessionTokensOptions,
  InvalidateOptions,
  OutageMode,
  SecretProvider,
  VKitClientOptions,
} from './types.js'

const DEFAULT_BASE_URL = 'https://gateway.video.io'
/** Node's timers take no more than a signed 32-bit number of milliseconds. */
const LONGEST_MS = 2 ** 31 - 1
/** The cache takes its room in advance, 40 bytes an entry: more than this is no number of users but a slip. */
const MAX_COUNT = 10_000_000
const MAX_IDENTITY_BYTES = 1024
const MAX_SECRET_BYTES = 8 * 1024
const MAX_CONCURRENCY = 1_000
const MAX_SCOPES = 100
const MAX_SCOPE_LENGTH = 256

/** `VKitClientOptions`, checked, with every default in place. */
export interface ResolvedOptions {
  readonly secret: SecretSource
  readonly endpoint: () => URL
  readonly timeoutMs: number
  readonly deadlineMs: number
  readonly maxRetries: number
  readonly caching: boolean
  readonly maxEntries: number
  readonly refreshAhead: number
  readonly minValidityMs: number | undefined
  readonly store: TokenStore | undefined
  readonly agents: Agents
  readonly onEvent: VKitEventListener | undefined
  readonly clock: Clock
}

/** @throws VKitConfigError naming the option, never its value: it may be the secret, put in the wrong place. */
export function resolveClientOptions(given: VKitClientOptions | undefined): ResolvedOptions {
  refuseBrowser()
  return readable(config, () => resolveClient(given))
}

function resolveClient(given: VKitClientOptions | undefined): ResolvedOptions {
  const options = pickOwn<VKitClientOptions>(given ?? {}, CLIENT_KEYS, config)
  const cache = options.cache === false ? {} : pickOwn<CacheOptions>(options.cache ?? {}, CACHE_KEYS, config)
  return Object.freeze({
    secret: resolveSecret(options.appSecret),
    endpoint: resolveEndpoint(options.baseUrl),
    timeoutMs: duration(options.timeoutMs ?? 5_000, 'timeoutMs', config),
    deadlineMs: duration(options.deadlineMs ?? 15_000, 'deadlineMs', config),
    maxRetries: integer(options.maxRetries ?? 2, 'maxRetries', 0),
    caching: options.cache !== false,
    maxEntries: integer(cache.maxEntries ?? 10_000, 'cache.maxEntries', 1),
    refreshAhead: part(cache.refreshAhead ?? 0.5, 'cache.refreshAhead'),
    minValidityMs: optional(cache.minValidityMs, 'cache.minValidityMs', config),
    store: resolveStore(cache.store),
    agents: resolveAgents(options.agent),
    onEvent: options.onEvent === undefined ? undefined : func(options.onEvent, 'onEvent'),
    clock: resolveClock(options.clock),
  })
}

/** @throws VKitArgumentError */
export function resolveCall(
  identity: unknown,
  given: readonly Scope[] | GetSessionTokenOptions | undefined,
  defaults: CallDefaults,
): { request: TokenRequest; call: TokenCall } {
  return readable(argument, () => resolveWishes(identity, given, defaults))
}

type CallDefaults = Pick<ResolvedOptions, 'caching' | 'deadlineMs'>

function resolveWishes(
  identity: unknown,
  given: readonly Scope[] | GetSessionTokenOptions | undefined,
  defaults: CallDefaults,
): { request: TokenRequest; call: TokenCall } {
  // A string is told of the array that is meant, and not of an object.
  const isList = Array.isArray(given) || typeof given === 'string'
  const bag = isList ? { scopes: given as readonly Scope[] } : (given ?? {})
  const options = pickOwn<GetSessionTokenOptions>(bag, CALL_KEYS, argument)
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
      minValidityMs: optional(options.minValidityMs, 'minValidityMs', argument),
    },
  }
}

/** `GetSessionTokensOptions`, checked, with every default in place. */
export interface ResolvedBatch {
  readonly concurrency: number
  readonly scopes: readonly Scope[]
  readonly signal: AbortSignal | undefined
  readonly onOutage: OutageMode
  readonly maxOutageMs: number
}

/** @throws VKitArgumentError */
export function resolveBatch(identities: unknown, given: GetSessionTokensOptions | undefined): ResolvedBatch {
  return readable(argument, () => resolveBatchWishes(identities, given))
}

function resolveBatchWishes(identities: unknown, given: GetSessionTokensOptions | undefined): ResolvedBatch {
  // A string is iterable too, by its characters.
  if (typeof identities !== 'object' || identities === null || !isIterable(identities)) {
    throw argument(`identities must be an array, an iterable or an async iterable, not ${kindOf(identities)}`)
  }
  const options = pickOwn<GetSessionTokensOptions>(given ?? {}, BATCH_KEYS, argument)
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
  return readable(argument, () => {
    const { scopes, token } = pickOwn<InvalidateOptions>(given ?? {}, INVALIDATE_KEYS, argument)
    if (token !== undefined && (typeof token !== 'string' || token === '')) {
      throw argument('token must be the text of a session token')
    }
    return { request: resolveRequest(identity, scopes), sessionToken: token }
  })
}

/** @throws VKitArgumentError */
export function resolveRequest(identity: unknown, scopes: unknown): TokenRequest {
  return readable(argument, () => ({
    identity: checkIdentity(identity),
    scopes: scopes === undefined ? NO_SCOPES : checkScopes(scopes),
  }))
}

const CLIENT_KEYS = knownKeys('', [
  'appSecret',
  'baseUrl',
  'timeoutMs',
  'deadlineMs',
  'maxRetries',
  'cache',
  'agent',
  'onEvent',
  'clock',
] satisfies (keyof VKitClientOptions)[])
const CACHE_KEYS = knownKeys('cache.', [
  'maxEntries',
  'refreshAhead',
  'minValidityMs',
  'store',
] satisfies (keyof CacheOptions)[])
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
const AGENT_KEYS = knownKeys('agent.', ['http', 'https'] satisfies (keyof Agents)[])
const INVALIDATE_KEYS = knownKeys('', ['scopes', 'token'] satisfies (keyof InvalidateOptions)[])
const CACHE_MODES = new Set<unknown>(['default', 'reload', 'no-store'] satisfies CacheMode[])
const NO_SCOPES: readonly Scope[] = Object.freeze([])

type Complain = (what: string) => Error
const config: Complain = what => new VKitConfigError(`${what}.`)
const argument: Complain = what => new VKitArgumentError(`${what}.`)

/** Getters and proxies of the customer's may throw, and what they throw may hold anything. */
function readable<T>(complain: Complain, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof VKitError ? error : complain('The options cannot be read: a getter or a proxy throws')
  }
}

function pickOwn<T extends object>(given: unknown, { prefix, keys }: KnownKeys, complain: Complain): T {
  const what = prefix === '' ? 'The options' : prefix.slice(0, -1)
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw complain(`${what} must be an object`)
  if (isIterable(given)) throw complain(`${what} must be a plain object, not an iterable; scopes are given as an array`)
  const own = ownMembers(given)
  for (const key of Object.keys(own)) if (!keys.has(key)) throw complain(unknownOption(key, prefix, keys))
  const inherited = inheritedMember(given, keys)
  if (inherited !== undefined) {
    throw complain(`${what} must have members of their own: an inherited one${nameOf(inherited, prefix)} is not read`)
  }
  return own as T
}

function unknownOption(key: string, prefix: string, keys: ReadonlySet<string>): string {
  const nearest = nearestName(key, keys)
  const known = `Known options: ${[...keys].join(', ')}`
  if (nearest === undefined) return `Unknown option${nameOf(key, prefix)}. ${known}`
  // Near to a known name it is a misspelling, and safe to repeat.
  return `Unknown option "${prefix}${key}": did you mean "${prefix}${nearest}"? ${known}`
}

/** Only what looks like a name is repeated: anything else may be the secret, put in the wrong place. */
function nameOf(key: string, prefix: string): string {
  return /^[A-Za-z]{1,24}$/.test(key) ? ` "${prefix}${key}"` : ''
}

interface KnownKeys {
  /** What stands before each where it is told of. */
  readonly prefix: string
  readonly keys: ReadonlySet<string>
}

function knownKeys(prefix: string, keys: readonly string[]): KnownKeys {
  return { prefix, keys: new Set(keys) }
}

function checkIdentity(identity: unknown): string {
  if (typeof identity !== 'string') throw argument(`identity must be a string, not ${kindOf(identity)}`)
  if (identity === '') throw argument('identity must not be empty')
  if (Buffer.byteLength(identity) > MAX_IDENTITY_BYTES) throw argument('identity must not be longer than 1 KiB')
  if (!isCleanText(identity)) throw argument('identity must be well-formed Unicode without NUL')
  if (isUnsetText(identity)) {
    const text = identity.startsWith('[') ? '[object …]' : identity
    throw argument(`identity must not be the text ${text}: a value that is not set was made a string`)
  }
  return identity
}

/** What becomes of a missing value, a wrong number or an object by `String()`: users who have it would share one token. */
function isUnsetText(text: string): boolean {
  return /^(?:undefined|null|NaN|\[object .*)$/s.test(text)
}

function checkScopes(scopes: unknown): readonly Scope[] {
  if (!Array.isArray(scopes)) {
    throw argument(`scopes must be an array of strings, such as ['videos.read'], not ${kindOf(scopes)}`)
  }
  if (scopes.length > MAX_SCOPES) throw argument(`scopes must be no more than ${MAX_SCOPES}`)
  // Array.from, for a hole in the array must not pass: `every` steps over it.
  const list = Array.from<unknown>(scopes)
  const isScope = (scope: unknown): scope is string =>
    typeof scope === 'string' && scope !== '' && scope.length <= MAX_SCOPE_LENGTH && isCleanText(scope)
  if (!list.every(isScope)) throw argument('scopes must be non-empty strings')
  return list.length === 0 ? NO_SCOPES : Object.freeze([...new Set(list)].sort())
}

/** JSON cannot carry half a surrogate pair: two such identities could meet as one on the other side. */
function isCleanText(text: string): boolean {
  return !text.includes('\0') && !/\p{Surrogate}/u.test(text)
}

function resolveSecret(given: unknown): SecretSource {
  if (typeof given === 'function') {
    // One that looks up the current request must not hand one tenant another's secret: mints are shared by requests.
    const provider = AsyncResource.bind(given as SecretProvider, 'VKitSecretProvider')
    return new SecretSource({ rotates: true, read: () => askProvider(provider) })
  }
  if (given !== undefined) {
    const secret = checkSecret(given, 'appSecret')
    return new SecretSource({ rotates: false, read: () => Promise.resolve(secret) })
  }
  return new SecretSource({ rotates: false, read: () => Promise.resolve().then(readSecretFromEnvironment) })
}

/** Why a provider that works inside a request does not work here. */
const PROVIDER_CONTEXT = 'It runs in the context in which the client was made, and does not see the current request'

async function askProvider(provider: SecretProvider): Promise<string> {
  let secret: unknown
  try {
    secret = await provider()
  } catch (error) {
    const cause = sanitizeCause(error)
    throw new VKitConfigError(
      `The app secret provider failed; its own error is not shown, because it may hold the secret. ${PROVIDER_CONTEXT}.`,
      { cause },
    )
  }
  if (secret === undefined) throw config(`The app secret provider gave undefined. ${PROVIDER_CONTEXT}`)
  return checkSecret(secret, 'What the app secret provider gave')
}

function readSecretFromEnvironment(): string {
  const secret = process.env['VKIT_APP_SECRET']
  if (!secret) {
    throw new VKitConfigError(
      'No app secret. Give appSecret to VKitClient or set VKIT_APP_SECRET (dashboard: Apps → Your App → API TOKEN).',
    )
  }
  return checkSecret(secret, 'VKIT_APP_SECRET')
}

function checkSecret(secret: unknown, what: string): string {
  if (typeof secret !== 'string') {
    throw config(`${what} must be a string${what === 'appSecret' ? ' or a function' : ''}, not ${kindOf(secret)}`)
  }
  if (secret === '') throw config(`${what} is empty`)
  if (isUnsetText(secret)) throw config(`${what} is the text of a value that is not set, such as "undefined"`)
  if (/^(["'`]).*\1$/s.test(secret)) throw config(`${what} is in quotes: give it without them`)
  if (!/^[\x21-\x7e]+$/.test(secret)) {
    throw config(`${what} holds spaces, line breaks or characters outside ASCII: copy it again, whole and alone`)
  }
  if (secret.length > MAX_SECRET_BYTES) throw config(`${what} is longer than 8 KiB`)
  if (isSessionToken(secret)) {
    throw config(`${what} is a session token. Give the API TOKEN of your app (dashboard: Apps → Your App → API TOKEN)`)
  }
  return secret
}

/** App secrets are JWTs with `role: "app"` and without `exp` (contract.md); what is no JWT is let through. */
function isSessionToken(secret: string): boolean {
  try {
    const { exp, role } = ownMembers(decodeJwt(secret))
    return exp !== undefined || (role !== undefined && role !== 'app')
  } catch {
    return false
  }
}

/** A given URL is checked at once; the environment is read at the first call, with the secret that goes there. */
function resolveEndpoint(given: unknown): () => URL {
  if (given !== undefined) {
    const endpoint = endpointOf(given, 'baseUrl')
    return () => endpoint
  }
  let endpoint: URL | undefined
  return () => (endpoint ??= endpointOf(process.env['VKIT_BASE_URL'] || DEFAULT_BASE_URL, 'VKIT_BASE_URL'))
}

function endpointOf(given: unknown, what: string): URL {
  if (typeof given !== 'string' && !(given instanceof URL)) throw config(`${what} must be a string or a URL`)
  let url: URL
  try {
    url = new URL(given)
  } catch {
    throw config(`${what} is not a URL`)
  }
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname))) {
    throw config(`${what} must begin with https://; http:// is for loopback hosts alone, for it would show the secret`)
  }
  if (url.username || url.password || url.search || url.hash) {
    throw config(`${what} must hold no credentials, query or fragment`)
  }
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/sessions`
  return url
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(?:\.\d{1,3}){3}$/.test(hostname)
}

function resolveStore(store: unknown): TokenStore | undefined {
  if (store === undefined) return undefined
  if (!hasMethods(store, ['get', 'set', 'delete']))
    throw config('cache.store must have the methods get, set and delete')
  return store as TokenStore
}

function resolveAgents(given: unknown): Agents {
  if (given === undefined) return ownMembers<Agents>({})
  if (hasMethods(given, ['addRequest'])) throw config('agent must be an object { http, https } of agents, not an agent')
  const agents = pickOwn<Agents>(given, AGENT_KEYS, config)
  for (const [name, agent] of Object.entries(agents)) {
    if (agent === undefined) continue
    if (!hasMethods(agent, ['addRequest'])) throw config(`agent.${name} must be a Node agent`)
    if (name === 'https' && Object.getPrototypeOf(agent) === http.Agent.prototype) {
      throw config('agent.https must be an https.Agent, not an http.Agent')
    }
    if (readMember(readMember(agent, 'options'), 'rejectUnauthorized') === false) {
      throw config(
        `agent.${name} has rejectUnauthorized: false, which switches certificate checks off. ` +
          'For a certificate authority of your own give it as ca, or set NODE_EXTRA_CA_CERTS',
      )
    }
  }
  return agents
}

function readMember(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (Reflect.get(value, name) as unknown) : undefined
}

function resolveClock(clock: unknown): Clock {
  if (clock === undefined) return systemClock
  if (!hasMethods(clock, ['now', 'monotonic', 'sleep'])) throw config('clock must have now, monotonic and sleep')
  return clock as Clock
}

function hasMethods(value: unknown, names: readonly PropertyKey[]): boolean {
  if (typeof value !== 'object' || value === null) return false
  return names.every(name => typeof Reflect.get(value, name) === 'function')
}

function isIterable(value: object): boolean {
  return Symbol.asyncIterator in value || Symbol.iterator in value
}

function isSignal(value: unknown): boolean {
  const hasState = typeof readMember(value, 'aborted') === 'boolean'
  return hasState && hasMethods(value, ['addEventListener', 'removeEventListener', 'throwIfAborted'])
}

function duration(value: unknown, name: string, complain: Complain): number {
  if (typeof value === 'number' && value > 0 && value <= LONGEST_MS) return value
  throw complain(`${name} must be a number of milliseconds above 0 and at most ${LONGEST_MS}`)
}

function optional(value: unknown, name: string, complain: Complain): number | undefined {
  if (value === undefined || (typeof value === 'number' && value >= 0 && Number.isFinite(value))) return value
  throw complain(`${name} must be a number of milliseconds, 0 or more`)
}

function integer(value: unknown, name: string, min: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= MAX_COUNT) return value
  throw config(`${name} must be a whole number from ${min} to ${MAX_COUNT}`)
}

function part(value: unknown, name: string): number {
  if (typeof value === 'number' && value > 0 && value <= 1) return value
  throw config(`${name} must be a number above 0 and at most 1`)
}

function func<F>(value: F, name: string): F {
  if (typeof value === 'function') return value
  throw config(`${name} must be a function`)
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : `of type ${typeof value}`
}
