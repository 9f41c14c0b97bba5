import { describe, expect, it, jest } from '@jest/globals'
import { systemClock as clock } from '../../lib/core/clock.js'
import { Deadline } from '../../lib/core/deadline.js'
import { Events, type VKitEvent } from '../../lib/core/events.js'
import { MintPriority } from '../../lib/gateway/mint-priority.js'
import { GotTransport } from '../../lib/gateway/got-transport.js'
import { loadGot } from '../../lib/gateway/load-got.js'
import { TokenMinter } from '../../lib/gateway/token-minter.js'
import { SecretSource } from '../../lib/secret/secret-source.js'
import { failureOf } from '../support/failure.js'
import { afterThisTest, startGateway } from '../support/gateway.js'
import { seededRandom } from '../support/random.js'

async function setUp(load: typeof loadGot) {
  const gateway = await startGateway()
  const recorded: VKitEvent[] = []
  const events = new Events(event => void recorded.push(event))
  const common = {
    clock,
    events,
    agents: {},
    proxyEnv: () => undefined,
    timeoutMs: 5_000,
    maxConnections: 50,
    random: seededRandom(),
  }
  const endpoint = (): URL => new URL('/v1/sessions', gateway.url)
  const transport = new GotTransport({ ...common, endpoint, loadGot: load })
  afterThisTest(async () => transport.close())
  const secret = new SecretSource({ rotates: false, read: async () => gateway.appSecret })
  const minter = new TokenMinter({ ...common, secret, transport })
  const mint = (identity = 'user'): ReturnType<TokenMinter['mint']> => {
    const deadline = new Deadline(clock, 15_000, () => new Error('late'))
    return minter
      .mint(
        { identity, scopes: [] },
        { deadline, priority: new MintPriority('call'), limits: { timeoutMs: 5_000, maxRetries: 0 } },
      )
      .finally(() => deadline.clear())
  }
  return { gateway, minter, mint, recorded }
}

describe('when got cannot be loaded', () => {
  const tooManyFiles = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' })

  it('the call fails with a retryable error, and the next call loads it', async () => {
    const load = jest.fn(loadGot).mockRejectedValueOnce(tooManyFiles)
    const { gateway, mint } = await setUp(load)
    expect(await failureOf(mint())).toMatchObject({
      name: 'VKitConnectionError',
      code: 'VKIT_CONNECTION',
      retryable: true,
      message: 'The HTTP client (got) could not be loaded (EMFILE).',
      cause: { code: 'EMFILE' },
    })
    expect((await mint()).token.identity).toBe('user')
    expect([load.mock.calls.length, gateway.requests.length]).toEqual([2, 1])
  })

  it('the failure is not counted against the gateway or the user', async () => {
    const { minter, mint, recorded } = await setUp(() => Promise.reject(tooManyFiles))
    for (let i = 0; i < 40; i++) await failureOf(mint(`user ${i}`))
    expect(await failureOf(mint('user 0'))).toMatchObject({ code: 'VKIT_CONNECTION', attempts: 0 })
    expect(recorded).toEqual([])
    expect(minter.stats).toMatchObject({ circuit: 'closed', failingKeys: 0 })
  })
})
