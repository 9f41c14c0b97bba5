import { describe, expect, it, jest } from '@jest/globals'
import { AsyncLocalStorage } from 'node:async_hooks'
import { inspect } from 'node:util'
import { FakeClock } from '../../lib/testing/index.js'
import { failureOf } from '../support/failure.js'
import { makeClient, recordEvents, startGateway } from '../support/gateway.js'

describe('a secret provider', () => {
  it('is asked per mint, and not per call', async () => {
    const gateway = await startGateway()
    const provider = jest.fn(() => Promise.resolve(gateway.appSecret))
    const client = makeClient(gateway, { appSecret: provider })
    expect(provider).not.toHaveBeenCalled()
    for (let i = 0; i < 3; i++) await client.getSessionToken('a')
    expect(provider).toHaveBeenCalledTimes(1)
    await client.getSessionToken('b')
    expect(provider).toHaveBeenCalledTimes(2)
  })

  it('is asked once by mints that need it at the same time', async () => {
    const gateway = await startGateway()
    const provider = jest.fn(() => Promise.resolve(gateway.appSecret))
    const client = makeClient(gateway, { appSecret: provider })
    await Promise.all(Array.from({ length: 20 }, (_, i) => client.getSessionToken(`user-${i}`)))
    expect(provider).toHaveBeenCalledTimes(1)
    expect(gateway.mints).toBe(20)
  })

  it('is asked again after a 401, and the mint is sent once more where the secret has changed', async () => {
    const gateway = await startGateway()
    const secrets = ['an-old-secret', gateway.appSecret]
    const recorded = recordEvents()
    const client = makeClient(gateway, { appSecret: () => secrets.shift() ?? '', onEvent: recorded.onEvent })
    expect((await client.getSessionToken('user')).identity).toBe('user')
    expect(gateway.requests.map(request => request.status)).toEqual([401, 200])
    expect(recorded.types()).toContain('secret-rotation')
  })

  it('leaves what was minted with the old secret in the cache', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway, { appSecret: () => gateway.appSecret })
    const old = await client.getSessionToken('a')
    gateway.appSecret = 'a-new-secret-of-this-app'
    await client.getSessionToken('b')
    expect(await client.getSessionToken('a')).toBe(old)
    expect(gateway.requests.map(({ status }) => status)).toEqual([200, 200])
  })

  it('is asked once for all whom the old secret failed', async () => {
    const gateway = await startGateway()
    const secrets = ['an-old-secret']
    const provider = jest.fn(() => secrets.shift() ?? gateway.appSecret)
    const client = makeClient(gateway, { appSecret: provider })
    await Promise.all(Array.from({ length: 10 }, (_, i) => client.getSessionToken(`user-${i}`)))
    expect(gateway.requests.map(request => request.status).filter(status => status === 401)).toHaveLength(10)
    expect(gateway.mints).toBe(10)
  })

  it('that gives the same secret after a 401 causes no second request', async () => {
    const gateway = await startGateway()
    const provider = jest.fn(() => 'a-refused-secret')
    const error = await failureOf(makeClient(gateway, { appSecret: provider }).getSessionToken('user'))
    expect(error).toMatchObject({ code: 'VKIT_UNAUTHENTICATED', attempts: 1 })
    expect(gateway.requests).toHaveLength(1)
    expect(provider).toHaveBeenCalledTimes(2)
  })

  it('that fails after a 401 tells why, and of the attempt that was made', async () => {
    const gateway = await startGateway()
    const answers = ['an-old-secret']
    const provider = (): string => {
      const secret = answers.shift()
      if (secret === undefined) throw new Error('the vault is sealed')
      return secret
    }
    const error = await failureOf(makeClient(gateway, { appSecret: provider }).getSessionToken('user'))
    expect(error).toMatchObject({ code: 'VKIT_CONFIG', attempts: 1 })
    expect(gateway.requests).toHaveLength(1)
  })

  it('whose new secret is refused too causes no third request', async () => {
    const gateway = await startGateway()
    const provider = jest.fn(() => `refused-secret-${provider.mock.calls.length}`)
    const error = await failureOf(makeClient(gateway, { appSecret: provider }).getSessionToken('user'))
    expect(error).toMatchObject({ code: 'VKIT_UNAUTHENTICATED', attempts: 2 })
    expect(gateway.requests).toHaveLength(2)
    expect(provider).toHaveBeenCalledTimes(2)
  })

  it('is not asked again where the secret is a string: it cannot have changed', async () => {
    const gateway = await startGateway()
    const error = await failureOf(makeClient(gateway, { appSecret: 'a-refused-secret' }).getSessionToken('user'))
    expect(error.code).toBe('VKIT_UNAUTHENTICATED')
    expect(gateway.requests).toHaveLength(1)
  })

  const hidden = 'the-secret-itself'
  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw Object.assign(new Error(`cannot read ${hidden}`), { secret: hidden })
      },
    ],
    ['rejects', () => Promise.reject(new Error(`cannot read ${hidden}`))],
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- what others' code may well do
    ['rejects with no error', () => Promise.reject(hidden)],
    ['gives nothing', () => undefined],
    ['gives an object', () => ({ secret: hidden })],
    ['gives an empty string', () => ''],
    ['gives a line break with it', () => `${hidden}\n`],
  ])('that %s is VKIT_CONFIG, without a request and without the value', async (_, provider) => {
    const gateway = await startGateway()
    const client = makeClient(gateway, { appSecret: provider as () => string })
    const error = await failureOf(client.getSessionToken('user'))
    expect(error).toMatchObject({ code: 'VKIT_CONFIG', retryable: false, attempts: 0 })
    expect(gateway.requests).toHaveLength(0)
    expect(`${inspect(error, { showHidden: true, depth: null })} ${JSON.stringify(error)}`).not.toContain(hidden)
  })

  it('that fails once is asked again by the next call', async () => {
    const gateway = await startGateway()
    const answers = [() => Promise.reject(new Error('vault is sealed')), () => Promise.resolve(gateway.appSecret)]
    const client = makeClient(gateway, { appSecret: () => answers.shift()?.() ?? '' })
    expect((await failureOf(client.getSessionToken('user'))).code).toBe('VKIT_CONFIG')
    expect((await client.getSessionToken('user')).identity).toBe('user')
  })

  it('that never answers ends with the deadline, and the next call asks again', async () => {
    const clock = new FakeClock()
    const gateway = await startGateway({ clock })
    const answers = [() => new Promise<string>(() => undefined), () => Promise.resolve(gateway.appSecret)]
    const client = makeClient(gateway, { appSecret: () => answers.shift()?.() ?? '', clock })
    const calls = ['user', 'user', 'other'].map(identity => failureOf(client.getSessionToken(identity)))
    await clock.advance(15_000)
    for (const error of await Promise.all(calls)) {
      expect(error).toMatchObject({ code: 'VKIT_TIMEOUT', retryable: false, attempts: 0 })
    }
    expect(gateway.requests).toHaveLength(0)
    expect((await client.getSessionToken('user')).identity).toBe('user')
  })

  describe('that looks up the current request', () => {
    const tenants = new AsyncLocalStorage<{ secret: string }>()

    it.each<[string, () => unknown]>([
      ['and throws where there is none', () => tenants.getStore()!.secret], // eslint-disable-line @typescript-eslint/no-non-null-assertion
      ['and gives undefined where there is none', () => tenants.getStore()?.secret],
    ])('%s, gives no tenant a token with the secret of another', async (_, provider) => {
      const gateway = await startGateway()
      for (const cache of [false, {}] as const) {
        const client = makeClient(gateway, { appSecret: provider as () => string, cache })
        const calls = ['of tenant A', 'of tenant B'].map(secret =>
          tenants.run({ secret }, () => failureOf(client.getSessionToken('1'))),
        )
        for (const error of await Promise.all(calls)) {
          expect(error).toMatchObject({ code: 'VKIT_CONFIG', retryable: false, attempts: 0 })
          expect(error.message).toMatch(/runs in the context in which the client was made/)
        }
      }
      expect(gateway.requests).toHaveLength(0)
    })

    it('sees the context in which the client was made, whichever request calls', async () => {
      const gateway = await startGateway()
      const provider = (): string => tenants.getStore()?.secret ?? 'none'
      const client = tenants.run({ secret: gateway.appSecret }, () => makeClient(gateway, { appSecret: provider }))
      const token = await tenants.run({ secret: 'another' }, () => client.getSessionToken('1'))
      expect(token.identity).toBe('1')
      expect(gateway.requests.map(({ status }) => status)).toEqual([200])
    })
  })

  it('that never answers does not outlive close', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway, {
      appSecret: () => new Promise<string>(() => undefined),
      clock: new FakeClock(),
    })
    const call = failureOf(client.getSessionToken('user'))
    await new Promise(resolve => setImmediate(resolve))
    await client.close()
    expect(await call).toMatchObject({ code: 'VKIT_CLOSED' })
  })
})
