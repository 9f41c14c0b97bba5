// Packages that cache tokens or other values. To add one, add an entry.
//
// `create({ mint, url, capacity })` returns `get(identity)`, which resolves to the cached value. `mint(identity)` sends a
// request to the gateway and resolves to `{ sessionToken, expiresAt, identity }`. A package with its own HTTP client uses
// the `url` of the gateway. `keyed: false` marks packages that cache a single token, without an identity.
import { generateKeyPairSync } from 'node:crypto'

const TTL_MS = 3600_000

export const FLOOR = 'async function that returns a constant'
export const OURS = 'videokit'
export const OURS_WITH_MORE = ['videokit, with scopes', 'videokit, with options']

export const cachers = {
  [FLOOR]: {
    keyed: false,
    async create() {
      const token = Object.freeze({ sessionToken: 'constant' })
      return async () => token
    },
  },
  'lru-cache, get': {
    package: 'lru-cache',
    // Only the look-up: it mints nothing, and nothing expires.
    minting: false,
    async create({ mint, capacity }) {
      const { LRUCache } = await import('lru-cache')
      const cache = new LRUCache({ max: capacity })
      return async identity => {
        const found = cache.get(identity)
        if (found !== undefined) return found
        const token = await mint(identity)
        cache.set(identity, token)
        return token
      }
    },
  },
  [OURS]: {
    package: '@video-io/videokit-nodejs',
    async create({ url, capacity, appSecret }) {
      const { VKitClient } = await import('@video-io/videokit-nodejs')
      const vkit = new VKitClient({ appSecret, baseUrl: url, cache: { maxEntries: capacity } })
      return identity => vkit.getSessionToken(identity)
    },
  },
  'videokit, with scopes': {
    package: '@video-io/videokit-nodejs',
    async create({ url, capacity, appSecret }) {
      const { VKitClient } = await import('@video-io/videokit-nodejs')
      const vkit = new VKitClient({ appSecret, baseUrl: url, cache: { maxEntries: capacity } })
      return identity => vkit.getSessionToken(identity, ['videos.read', 'videos.create'])
    },
  },
  'videokit, with options': {
    package: '@video-io/videokit-nodejs',
    async create({ url, capacity, appSecret }) {
      const { VKitClient } = await import('@video-io/videokit-nodejs')
      const vkit = new VKitClient({ appSecret, baseUrl: url, cache: { maxEntries: capacity } })
      return identity => vkit.getSessionToken(identity, { scopes: ['videos.read', 'videos.create'] })
    },
  },
  '@smithy/property-provider, memoize': {
    package: '@smithy/property-provider',
    keyed: false,
    async create({ mint }) {
      const { memoize } = await import('@smithy/property-provider')
      const provider = async () => {
        const { sessionToken, expiresAt } = await mint('SERVICE')
        return { token: sessionToken, expiration: new Date(expiresAt) }
      }
      const isExpiring = ({ expiration }) => expiration.getTime() - Date.now() < 300_000
      const get = memoize(provider, isExpiring, () => true)
      return () => get()
    },
  },
  'google-auth-library': {
    package: 'google-auth-library',
    keyed: false,
    async create({ mint }) {
      const { OAuth2Client } = await import('google-auth-library')
      const client = new OAuth2Client()
      client.refreshHandler = async () => {
        const { sessionToken, expiresAt } = await mint('SERVICE')
        return { access_token: sessionToken, expiry_date: Date.parse(expiresAt) }
      }
      return () => client.getAccessToken()
    },
  },
  '@azure/core-rest-pipeline, token cycler': {
    package: '@azure/core-rest-pipeline',
    keyed: false,
    async create({ mint }) {
      // The bearer policy uses it, but the package does not export it.
      const file = new URL('../node_modules/@azure/core-rest-pipeline/dist/esm/util/tokenCycler.js', import.meta.url)
      const { createTokenCycler } = await import(file)
      const getToken = createTokenCycler({
        async getToken() {
          const { sessionToken, expiresAt } = await mint('SERVICE')
          return { token: sessionToken, expiresOnTimestamp: Date.parse(expiresAt) }
        },
      })
      return () => getToken('scope', {})
    },
  },
  'lru-cache, fetch': {
    package: 'lru-cache',
    async create({ mint, capacity }) {
      const { LRUCache } = await import('lru-cache')
      const cache = new LRUCache({ max: capacity, ttl: TTL_MS, fetchMethod: identity => mint(identity) })
      return identity => cache.fetch(identity)
    },
  },
  'p-memoize, on lru-cache': {
    package: 'p-memoize',
    async create({ mint, capacity }) {
      const { default: pMemoize } = await import('p-memoize')
      const { LRUCache } = await import('lru-cache')
      return pMemoize(mint, { cache: new LRUCache({ max: capacity, ttl: TTL_MS }) })
    },
  },
  'async-cache-dedupe': {
    package: 'async-cache-dedupe',
    async create({ mint, capacity }) {
      const { createCache } = await import('async-cache-dedupe')
      const storage = { type: 'memory', options: { size: capacity } }
      const cache = createCache({ ttl: TTL_MS / 1000, storage }).define('token', mint)
      return identity => cache.token(identity)
    },
  },
  '@octokit/auth-app': {
    package: '@octokit/auth-app',
    async create({ url, capacity }) {
      const { createAppAuth } = await import('@octokit/auth-app')
      const { request } = await import('@octokit/request')
      const { LRUCache } = await import('lru-cache')
      const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
      const auth = createAppAuth({
        appId: 1,
        privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }),
        request: request.defaults({ baseUrl: url }),
        // The default cache has at most 15,000 entries.
        ...(capacity > 15_000 && { cache: new LRUCache({ max: capacity, ttl: TTL_MS }) }),
      })
      return identity => auth({ type: 'installation', installationId: Number(identity.slice('user-'.length)) })
    },
  },
  'cache-manager': {
    package: 'cache-manager',
    async create({ mint }) {
      const { createCache } = await import('cache-manager')
      const cache = createCache({ ttl: TTL_MS })
      return identity => cache.wrap(identity, () => mint(identity))
    },
  },
  bentocache: {
    package: 'bentocache',
    async create({ mint, capacity }) {
      const { BentoCache, bentostore } = await import('bentocache')
      const { memoryDriver } = await import('bentocache/drivers/memory')
      const cache = new BentoCache({
        default: 'memory',
        stores: { memory: bentostore().useL1Layer(memoryDriver({ maxItems: capacity })) },
      })
      return identity => cache.getOrSet({ key: identity, factory: () => mint(identity), ttl: TTL_MS })
    },
  },
}
