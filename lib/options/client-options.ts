import type { Random } from '../core/backoff.js'
import { systemClock, type Clock } from '../core/clock.js'
import type { VKitEventListener } from '../core/events.js'
import { refuseBrowser } from '../core/server-only.js'
import { resolveSecret } from '../secret/app-secret.js'
import type { SecretSource } from '../secret/secret-source.js'
import type { TokenStore } from '../store/token-store.js'
import {
  config,
  duration,
  fraction,
  functionOption,
  guardGetters,
  hasMethods,
  integer,
  knownKeys,
  optionalDuration,
  readOptions,
} from './checks.js'
import { withDebugLog } from './debug.js'
import { resolveEndpoint, type Endpoint } from './endpoint.js'
import { environment } from './environment.js'
import { resolveNetwork, type NetworkOptions } from './network-options.js'
import type { CacheOptions, VKitClientOptions } from './types.js'

/** Validated `VKitClientOptions`, with all defaults. */
export interface ResolvedOptions extends NetworkOptions, Endpoint {
  readonly secret: SecretSource
  readonly timeoutMs: number
  readonly deadlineMs: number
  readonly maxRetries: number
  readonly maxConnections: number
  readonly caching: boolean
  readonly maxEntries: number
  readonly refreshAhead: number
  readonly minValidityMs: number | undefined
  readonly store: TokenStore | undefined
  readonly onEvent: VKitEventListener | undefined
  readonly clock: Clock
  readonly random: Random
}

/** @throws VKitConfigError with the name of the option, never its value: it may be the secret in the wrong place. */
export function resolveClientOptions(given: VKitClientOptions | undefined): ResolvedOptions {
  refuseBrowser()
  return guardGetters(config, () => resolveClient(given))
}

function resolveClient(given: VKitClientOptions | undefined): ResolvedOptions {
  const options = readOptions<VKitClientOptions>(given ?? {}, CLIENT_KEYS, config)
  const clock = resolveClock(options.clock)
  const onEvent = options.onEvent === undefined ? undefined : functionOption(options.onEvent, 'onEvent')
  const cache = options.cache === false ? {} : readOptions<CacheOptions>(options.cache ?? {}, CACHE_KEYS, config)
  const endpoint = resolveEndpoint(options.baseUrl)
  const { assertSendable } = endpoint
  const secret = resolveSecret(options.appSecret, () => environment()['VKIT_APP_SECRET'], assertSendable)
  // The environment is not read yet.
  if (typeof options.appSecret === 'string' && options.baseUrl !== undefined) assertSendable(options.appSecret)
  return Object.freeze({
    secret,
    ...endpoint,
    timeoutMs: duration(options.timeoutMs ?? 5_000, 'timeoutMs', config),
    deadlineMs: duration(options.deadlineMs ?? 15_000, 'deadlineMs', config),
    maxRetries: integer(options.maxRetries ?? 2, { name: 'maxRetries', min: 0 }),
    maxConnections: integer(options.maxConnections ?? 400, { name: 'maxConnections', min: 1 }),
    caching: options.cache !== false,
    maxEntries: integer(cache.maxEntries ?? 10_000, { name: 'cache.maxEntries', min: 1 }),
    refreshAhead: fraction(cache.refreshAhead ?? 0.5, 'cache.refreshAhead'),
    minValidityMs: optionalDuration(cache.minValidityMs, 'cache.minValidityMs', config),
    store: resolveStore(cache.store),
    ...resolveNetwork(options),
    onEvent: withDebugLog(environment()['VKIT_DEBUG'], onEvent, clock),
    clock,
    // Looked up at each call, so that a test can replace and restore it at any time.
    random: () => Math.random(),
  })
}

const CLIENT_KEYS = knownKeys('', [
  'appSecret',
  'baseUrl',
  'timeoutMs',
  'deadlineMs',
  'maxRetries',
  'maxConnections',
  'cache',
  'agent',
  'fetch',
  'onEvent',
  'clock',
] satisfies (keyof VKitClientOptions)[])
const CACHE_KEYS = knownKeys('cache.', [
  'maxEntries',
  'refreshAhead',
  'minValidityMs',
  'store',
] satisfies (keyof CacheOptions)[])

const LEASE_METHODS = ['acquireLease', 'releaseLease']
const MESSAGE_METHODS = ['publish', 'subscribe']

function resolveStore(store: unknown): TokenStore | undefined {
  if (store === undefined) return undefined
  if (!hasMethods(store, ['get', 'set', 'delete']))
    throw config('cache.store must have the methods get, set and delete')
  for (const pair of [LEASE_METHODS, MESSAGE_METHODS]) {
    const found = pair.filter(name => hasMethods(store, [name]))
    if (found.length === 1) throw config(`cache.store must have both ${pair.join(' and ')}, or neither`)
  }
  if (!hasWebCrypto()) throw config('cache.store needs Web Crypto, and this runtime has no crypto.subtle')
  return store as TokenStore
}

function hasWebCrypto(): boolean {
  return typeof crypto === 'object' && hasMethods(crypto.subtle, ['encrypt'])
}

function resolveClock(clock: unknown): Clock {
  if (clock === undefined) return systemClock
  if (!hasMethods(clock, ['now', 'monotonic', 'sleep'])) throw config('clock must have now, monotonic and sleep')
  return clock as Clock
}
