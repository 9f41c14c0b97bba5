import {
  VKitClient,
  VKitError,
  VKitRateLimitError,
  type ClientStats,
  type Clock,
  type Scope,
  type SessionToken,
  type TokenSource,
  type VKitClientOptions,
  type VKitErrorCode,
  type VKitEvent,
} from '@video-io/videokit-nodejs'
import { createFetchTokenHandler, createTokenHandler } from '@video-io/videokit-nodejs/handlers'
import { createRedisStore, type RedisClient, type RedisStore } from '@video-io/videokit-nodejs/redis'
import { FakeClock, GatewayEmulator, type GatewayFault } from '@video-io/videokit-nodejs/testing'

// Without @types/node, process is not declared.
declare const process: { env: Record<string, string | undefined> }

const identity: string = process.env['CONSUMER'] ?? ''
const scope: Scope = 'videos.read'
const anyScope: Scope = 'videos.of.tomorrow'

export const options: VKitClientOptions = { onEvent: (event: VKitEvent) => void event.type, cache: { maxEntries: 10 } }
export const clock: Clock = new FakeClock()
export const fault: GatewayFault = { status: 503 }
export const emulator: Promise<GatewayEmulator> = Promise.resolve(new GatewayEmulator())

export const handlers = (vkit: TokenSource): object[] => [
  createTokenHandler(vkit, { authenticate: req => (req.headers['cookie'] === undefined ? null : identity) }),
  createFetchTokenHandler(vkit, { authenticate: req => req.headers.get('x-user') }),
  workerHandler(vkit),
]

interface Env {
  readonly user: string
}
type WorkerFetch = (request: Request, env: Env, ctx: object) => Promise<Response>
const workerHandler = (vkit: TokenSource): WorkerFetch =>
  createFetchTokenHandler(vkit, { authenticate: (_request: Request, env: Env) => env.user })

const token: SessionToken = { sessionToken: 'token', expiresAt: '2030-01-01T00:00:00Z', identity, scopes: [] }
class OwnSource implements TokenSource {
  async getSessionToken(user: string): Promise<SessionToken> {
    return { ...token, identity: user }
  }
}
export const ownSources: TokenSource[] = [
  { getSessionToken: async () => token },
  { getSessionToken: async user => ({ ...token, identity: user.trim() }) },
  new OwnSource(),
]
export const ownHandlers = [...ownSources.map(handlers), handlers({ getSessionToken: async () => token })]
// @ts-expect-error -- not a promise
export const syncSource: TokenSource = { getSessionToken: () => token }

export const redis = (client: RedisClient): RedisStore => createRedisStore(client)
export const redisOptions = (client: RedisClient): VKitClientOptions => ({ cache: { store: redis(client) } })
// @ts-expect-error -- not a client
export const noClient = (): RedisStore => createRedisStore({ host: 'localhost' })

// Declarations that could not be read would be `any`, to which everything can be assigned.
// @ts-expect-error -- `authenticate` is missing
export const incomplete = (vkit: VKitClient): object => createTokenHandler(vkit, {})
// @ts-expect-error -- not a clock
export const noClock: FakeClock = {}
// @ts-expect-error -- not an emulator
export const noEmulator: GatewayEmulator = {}

export function explain(error: unknown): VKitErrorCode | number | undefined {
  // @ts-expect-error -- not narrowed to an error
  void error.code
  if (error instanceof VKitRateLimitError) {
    const code: 'VKIT_RATE_LIMITED' = error.code
    return error.retryAfterMs ?? code
  }
  if (VKitError.is(error)) return VKitError.from(error.toJSON()).code
  return undefined
}

async function main(): Promise<void> {
  const vkit = new VKitClient()
  const token: SessionToken = await vkit.getSessionToken(identity)
  if (token.identity !== identity) throw new Error('the token of another user')
  await vkit.getSessionToken(identity, [scope, anyScope])
  await vkit.getSessionToken(identity, { scopes: [scope], signal: new AbortController().signal })
  const stats: ClientStats = vkit.stats()
  if (stats.mints !== 3) throw new Error('three mints were expected')

  // @ts-expect-error -- no such method
  void (() => vkit.getToken())
  // @ts-expect-error -- an identity is a string
  vkit.getSessionToken(1).catch(() => undefined)
  // @ts-expect-error -- tokens are read-only
  void (() => (token.identity = 'other'))
  // @ts-expect-error -- no such option
  void (() => new VKitClient({ secret: 'x' }))

  if (explain(await vkit.getSessionToken('').catch((error: unknown) => error)) !== 'VKIT_INVALID_ARGUMENT') {
    throw new Error('not the error that was expected')
  }
  await vkit.close()
}

void main()
