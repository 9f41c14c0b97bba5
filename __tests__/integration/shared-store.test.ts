import { KeyvPostgres } from '@keyv/postgres'
import KeyvRedis from '@keyv/redis'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import Keyv from 'keyv'
import type { TokenStore, VKitClient, VKitClientOptions } from '../../lib/index.js'
import { FakeClock } from '../../lib/testing/index.js'
import { failureOf } from '../support/failure.js'
import { makeClient, recordEvents, startGateway } from '../support/gateway.js'
import { describeWith, type Need } from '../support/needs.js'
import { RecordingStore } from '../support/recording-store.js'
import { postgresOnPath, redisOnPath, startPGlite, startPostgres, startRedis, type Server } from '../support/servers.js'
import { untilTrue } from '../support/until.js'

interface Kind {
  readonly name: string
  readonly need: Need
  readonly open: () => Promise<OpenStore>
}

interface OpenStore {
  readonly store: TokenStore
  readonly end?: () => Promise<void>
}

const fromNpm: Need = { what: 'npm ci', isMet: true }

const kinds: Kind[] = [
  { name: 'a Map', need: fromNpm, open: async () => ({ store: new Map<string, string>() }) },
  { name: 'Keyv in memory', need: fromNpm, open: async () => ({ store: new Keyv() }) },
  { name: 'PGlite through Keyv', need: fromNpm, open: async () => openPostgres(await startPGlite()) },
  { name: 'Postgres through Keyv', need: postgresOnPath, open: async () => openPostgres(await startPostgres()) },
  {
    name: 'Redis through Keyv',
    need: redisOnPath,
    open: async () => {
      const server = await startRedis()
      return openKeyv(server, new Keyv(new KeyvRedis(server.url)))
    },
  },
]

function openPostgres(server: Server): OpenStore {
  return openKeyv(server, new Keyv(new KeyvPostgres({ uri: server.url })))
}

function openKeyv(server: Server, keyv: Keyv): OpenStore {
  return { store: keyv, end: async () => (await keyv.disconnect(), server.stop()) }
}

for (const { name, need, open } of kinds) describeWith(need, `a shared store that is ${name}`, () => testStore(open))

function testStore(open: Kind['open']): void {
  let real: TokenStore
  let end: OpenStore['end']
  beforeAll(async () => {
    ;({ store: real, end } = await open())
    // Keyv returns undefined if it cannot reach the store, which would look like a lost token.
    await real.set('ready', 'yes', 60_000)
    expect(await real.get('ready')).toBe('yes')
  }, 60_000)
  afterAll(() => end?.(), 60_000)

  let identities = 0
  /** Clients that share one store and one clock. The clock never advances by itself, so a slow store never times out. */
  async function setUp() {
    const clock = new FakeClock(Date.now())
    const gateway = await startGateway({ clock })
    const store = new RecordingStore(real)
    const process = (options?: VKitClientOptions): VKitClient & { recorded: ReturnType<typeof recordEvents> } => {
      const recorded = recordEvents()
      const client = makeClient(gateway, { clock, cache: { store }, onEvent: recorded.onEvent, ...options })
      return Object.assign(client, { recorded })
    }
    return { clock, gateway, store, process, user: `END_USER_${++identities}_of_a_customer` }
  }

  /** One process has minted a token, and the store contains it. */
  async function setUpWarm(options?: VKitClientOptions) {
    const all = await setUp()
    const first = all.process(options)
    const token = await first.getSessionToken(all.user)
    await written(all.store)
    return { ...all, first, token }
  }

  async function written(store: RecordingStore<TokenStore>): Promise<void> {
    await untilTrue(() => store.writes.length > 0)
    await store.idle()
  }

  it('saves a second process the mint', async () => {
    const { gateway, process, user, token } = await setUpWarm()
    const second = process()
    expect(await second.getSessionToken(user)).toEqual(token)
    expect(gateway.mints).toBe(1)
    expect(second.recorded.types()).toEqual(['miss', 'store-hit'])
    expect(second.stats()).toMatchObject({ mints: 0, entries: 1 })
  })

  it('separates identities, scopes and gateways', async () => {
    const { gateway, process, user } = await setUpWarm()
    await process().getSessionToken(`${user}x`)
    await process().getSessionToken(user, ['videos.read'])
    expect(gateway.mints).toBe(3)
    await process({ baseUrl: gateway.url.replace('127.0.0.1', 'localhost') }).getSessionToken(user)
    expect(gateway.mints).toBe(4)
  })

  it('returns nothing to a process with another secret', async () => {
    const { gateway, store, process, user } = await setUpWarm()
    const old = store.writes[0]?.key
    gateway.appSecret = gateway.appSecret.replace(/.$/, last => (last === 'A' ? 'B' : 'A'))
    const rotated = process({ appSecret: gateway.appSecret })
    await rotated.getSessionToken(user)
    await untilTrue(() => store.writes.length > 1)
    expect(gateway.mints).toBe(2)
    expect(rotated.recorded.types()).toEqual(['miss', 'mint'])
    const prefixes = [old, store.writes[1]?.key].map(key => key?.split(':').slice(0, 3).join(':'))
    expect(prefixes[0]).not.toBe(prefixes[1])
  })

  it('uses the secret of a provider, and stores a token minted after a 401 under the new secret', async () => {
    const { gateway, store, process, user } = await setUp()
    const [old, fresh] = [gateway.appSecret, `${gateway.appSecret}x`]
    gateway.appSecret = fresh
    const secrets = [old, old, fresh]
    const rotating = process({ appSecret: () => secrets.shift() ?? fresh })
    const token = await rotating.getSessionToken(user)
    await written(store)
    expect(rotating.recorded.types()).toContain('secret-rotation')
    expect(await process({ appSecret: fresh }).getSessionToken(user)).toEqual(token)
    expect(gateway.mints).toBe(1)
  })

  it('is not written to after a 401', async () => {
    const { gateway, store, process, user } = await setUp()
    gateway.fail({ status: 401 })
    await failureOf(process().getSessionToken(user))
    gateway.recover()
    await store.idle()
    expect(store.writes).toEqual([])
    await process().getSessionToken(user)
    expect(gateway.mints).toBe(1)
  })

  it('loses the token on invalidate', async () => {
    const { gateway, process, user, first, token } = await setUpWarm()
    await first.invalidate(user)
    expect(await process().getSessionToken(user)).not.toEqual(token)
    expect(gateway.mints).toBe(2)
  })

  it('loses the token on invalidate from a process that never had it', async () => {
    const { process, user, token } = await setUpWarm()
    await process().invalidate(user)
    expect(await process().getSessionToken(user)).not.toEqual(token)
  })

  it('loses only the given token on invalidate with a token', async () => {
    const { process, user, token } = await setUpWarm()
    await process().invalidate(user, { token: 'another' })
    expect(await process().getSessionToken(user)).toEqual(token)
    await process().invalidate(user, { token: token.sessionToken })
    expect(await process().getSessionToken(user)).not.toEqual(token)
  })

  it("is updated by 'reload', and not by 'no-store'", async () => {
    const { store, process, user, first, token } = await setUpWarm()
    const own = await first.getSessionToken(user, { cache: 'no-store' })
    expect(store.keys).toHaveLength(2)
    const reloaded = await first.getSessionToken(user, { cache: 'reload' })
    await untilTrue(() => store.writes.length > 1)
    await store.idle()
    expect(new Set([token, own, reloaded].map(each => each.sessionToken)).size).toBe(3)
    expect(await process().getSessionToken(user)).toEqual(reloaded)
  })

  it('loses the token of a user whom the gateway refuses', async () => {
    const { clock, gateway, store, process, user, first } = await setUpWarm()
    clock.setWall(clock.now() + 0.6 * 3_600_000)
    gateway.fail({ status: 403 })
    await first.getSessionToken(user)
    await untilTrue(() => first.recorded.types().includes('eviction'))
    await untilTrue(() => store.keys.length >= 4)
    await store.idle()
    expect(await failureOf(process().getSessionToken(user))).toMatchObject({ code: 'VKIT_FORBIDDEN' })
  })

  it('serves a process that starts during an outage', async () => {
    const { gateway, process, user, token } = await setUpWarm()
    gateway.fail({ status: 503 })
    expect(await process().getSessionToken(user)).toEqual(token)
  })

  it('never receives a token, an identity or the secret in plain text, and always receives a valid TTL', async () => {
    const { gateway, store, user, token } = await setUpWarm()
    const seen = JSON.stringify([store.keys, store.writes])
    const encodings = (text: string): string[] =>
      (['utf8', 'base64', 'base64url', 'hex'] as const).map(encoding =>
        Buffer.from(text).toString(encoding).replace(/=+$/, ''),
      )
    for (const text of [token.sessionToken, user, gateway.appSecret].flatMap(encodings))
      expect(seen).not.toContain(text)
    for (const { ttlMs } of store.writes) expect(Number.isSafeInteger(ttlMs) && ttlMs > 0).toBe(true)
    expect(store.writes[0]?.key).toMatch(/^vkit:1:[\w-]{12}:[\w-]{43}$/)
  })

  describe('with a record that is', () => {
    const flip = (text: string, at: number): string =>
      text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
    const alterations: [string, string, (record: string, another: string) => string][] = [
      ['swapped with another user’s', 'corrupt', (_, another) => another],
      ['cut short', 'corrupt', record => record.slice(0, -10)],
      ['altered in one character', 'corrupt', record => flip(record, 100)],
      ['of another version', 'version', record => record.replace(/^1/, '2')],
      ['not from this package', 'corrupt', () => '{"sessionToken":"evil","identity":"user"}'],
    ]

    it.each(alterations)('%s: mints, reports the record, and replaces it', async (_, reason, alter) => {
      const { gateway, store, process, user, first } = await setUpWarm()
      await first.getSessionToken(`${user}-other`)
      await untilTrue(() => store.writes.length > 1)
      await store.idle()
      const [ours, theirs] = store.writes
      if (!ours || !theirs) throw new Error('expected two records')
      await real.set(ours.key, alter(ours.value, theirs.value), ours.ttlMs)

      const second = process()
      const token = await second.getSessionToken(user)
      expect(gateway.mints).toBe(3)
      expect(second.recorded.events).toContainEqual({ type: 'store-failure', operation: 'get', reason })
      await untilTrue(() => store.writes.length > 2)
      await store.idle()
      expect(await process().getSessionToken(user)).toEqual(token)
      expect(second.recorded.types()).not.toContain('store-pause')
    })

    it('replayed after its expiry: mints and reports the record', async () => {
      const { clock, gateway, store, process, user, token } = await setUpWarm()
      await clock.advance(3_600_001)
      const [{ key, value } = { key: '', value: '' }] = store.writes
      await real.set(key, value, 3_600_000)
      const second = process()
      expect(await second.getSessionToken(user)).not.toEqual(token)
      expect(gateway.mints).toBe(2)
      expect(second.recorded.events).toContainEqual({ type: 'store-failure', operation: 'get', reason: 'expired' })
    })
  })

  it('receives every token before close() resolves', async () => {
    const { store, process, user } = await setUp()
    const client = process()
    await client.getSessionToken(user)
    await client.close()
    expect(store.writes).toHaveLength(1)
  })
}

/** Lets the event loop run until `condition` is true. */
