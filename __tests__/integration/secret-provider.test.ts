import { describe, expect, it, jest } from '@jest/globals'
import { AsyncLocalStorage } from 'node:async_hooks'
import { inspect } from 'node:util'
import { FakeClock } from '../../lib/testing/index.js'
import { failureOf } from '../support/failure.js'
import { makeClient, recordEvents, startGateway } from '../support/gateway.js'

describe('a secret provider', () => {
  it('is called for each mint, and not for each call', async () => {
    const gateway = await startGateway()
    const provider = jest.fn(() => Promise.resolve(gateway.appSecret))
    const client = makeClient(gateway, { appSecret: provider })
    expect(provider).not.toHaveBeenCalled()
    for (let i = 0; i < 3; i++) await client.getSessionToken('a')
    expect(provider).toHaveBeenCalledTimes(1)
    await client.getSessionToken('b')
    expect(provider).toHaveBeenCalledTimes(2)
  })

  it('is called once for mints that need the secret at the same time', async () => {
    const gateway = await startGateway()
    const provider = jest.fn(() => Promise.resolve(gateway.appSecret))
    const client = makeClient(gateway, { appSecret: provider })
    await Promise.all(Array.from({ length: 20 }, (_, i) => client.getSessionToken(`user-${i}`)))
    expect(provider).toHaveBeenCalledTimes(1)
    expect(gateway.mints).toBe(20)
  })

  it('is called again after a 401, and the mint is sent once more if the secret has changed', async () => {
    const gateway = await startGateway()
    const secrets = ['an-old-secret', gateway.appSecret]
    const recorded = recordEvents()
    const client = makeClient(gateway, { appSecret: () => secrets.shift() ?? '', onEvent: recorded.onEvent })
    expect((await client.getSessionToken('user')).identity).toBe('user')
    expect(gateway.requests.map(request => request.status)).toEqual([401, 200])
    expect(recorded.types()).toContain('secret-rotation')
  })

  it('that returns a new secret leaves the tokens of the old one in the cache', async () => {
    const gateway = await startGateway()
    const client = makeClient(gateway, { appSecret: () => gateway.appSecret })
    const old = await client.getSessionToken('a')
    gateway.appSecret = 'a-new-secret-of-this-app'
    await client.getSessionToken('b')
    expect(await client.getSessionToken('a')).toBe(old)
    expect(gateway.requests.map(({ status }) => status)).toEqual([200, 200])
  })

  it('provides the new secret for every call that failed with the old one', async () => {
    const gateway = await startGateway()
    const secrets = ['an-old-secret']
    const provider = jest.fn(() => secrets.shift() ?? gateway.appSecret)
    const client = makeClient(gateway, { appSecret: provider })
    await Promise.all(Array.from({ length: 10 }, (_, i) => client.getSessionToken(`user-${i}`)))
    expect(gateway.requests.map(request => request.status).filter(status => status === 401)).toHaveLength(10)
    expect(gateway.mints).toBe(10)
  })

  it('that returns the same secret after a 401 causes no second request', async () => {
    const gateway = await startGateway()
    const provider = jest.fn(() => 'a-refused-secret')
    const error = await failureOf(makeClient(gateway, { appSecret: provider }).getSessionToken('user'))
    expect(error).toMatchObject({ code: 'VKIT_UNAUTHENTICATED', attempts: 1 })
    expect(gateway.requests).toHaveLength(1)
    expect(provider).toHaveBeenCalledTimes(2)
  })

  it('that fails after a 401 causes VKIT_CONFIG, with the attempt that was made', async () => {
    const gateway = await startGateway()
    const results = ['an-old-secret']
    const provider = (): string => {
      const secret = results.shift()
      if (secret === undefined) throw new Error('the vault is sealed')
      return secret
    }
    const error = await failureOf(makeClient(gateway, { appSecret: provider }).getSessionToken('user'))
    expect(error).toMatchObject({ code: 'VKIT_CONFIG', attempts: 1 })
    expect(gateway.requests).toHaveLength(1)
  })

  it('whose new secret is also refused causes no third request', async () => {
    const gateway = await startGateway()
    const provider = jest.fn(() => `refused-secret-${provider.mock.calls.length}`)
    const error = await failureOf(makeClient(gateway, { appSecret: provider }).getSessionToken('user'))
    expect(error).toMatchObject({ code: 'VKIT_UNAUTHENTICATED', attempts: 2 })
    expect(gateway.requests).toHaveLength(2)
    expect(provider).toHaveBeenCalledTimes(2)
  })

  it('is not needed for a string, which is not sent again after a 401', async () => {
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
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- other code may do this
    ['rejects with a value that is not an error', () => Promise.reject(hidden)],
    ['returns undefined', () => undefined],
    ['returns an object', () => ({ secret: hidden })],
    ['returns an empty string', () => ''],
    ['returns the secret with a line break', () => `${hidden}\n`],
  ])('that %s causes VKIT_CONFIG, without a request and without the value in the error', async (_, provider) => {
    const gateway = await startGateway()
    const client = makeClient(gateway, { appSecret: provider as () => string })
    const error = await failureOf(client.getSessionToken('user'))
    expect(error).toMatchObject({ code: 'VKIT_CONFIG', retryable: false, attempts: 0 })
    expect(gateway.requests).toHaveLength(0)
    expect(`${inspect(error, { showHidden: true, depth: null })} ${JSON.stringify(error)}`).not.toContain(hidden)
  })

  it('that fails once is called again by the next call', async () => {
    const gateway = await startGateway()
    const results = [() => Promise.reject(new Error('vault is sealed')), () => Promise.resolve(gateway.appSecret)]
    const client = makeClient(gateway, { appSecret: () => results.shift()?.() ?? '' })
    expect((await failureOf(client.getSessionToken('user'))).code).toBe('VKIT_CONFIG')
    expect((await client.getSessionToken('user')).identity).toBe('user')
  })

  it('that never settles ends with the deadline, and the next call calls it again', async () => {
    const clock = new FakeClock()
    const gateway = await startGateway({ clock })
    const results = [() => new Promise<string>(() => undefined), () => Promise.resolve(gateway.appSecret)]
    const client = makeClient(gateway, { appSecret: () => results.shift()?.() ?? '', clock })
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
      ['and throws if there is none', () => tenants.getStore()!.secret], // eslint-disable-line @typescript-eslint/no-non-null-assertion
      ['and returns undefined if there is none', () => tenants.getStore()?.secret],
    ])('%s, never mints a token for one tenant with the secret of another', async (_, provider) => {
      const gateway = await startGateway()
      for (const cache of [false, {}] as const) {
        const client = makeClient(gateway, { appSecret: provider as () => string, cache })
        const calls = ['of tenant A', 'of tenant B'].map(secret =>
          tenants.run({ secret }, () => failureOf(client.getSessionToken('1'))),
        )
        for (const error of await Promise.all(calls)) {
          expect(error).toMatchObject({ code: 'VKIT_CONFIG', retryable: false, attempts: 0 })
          expect(error.message).toMatch(/runs in the context in which the client was created/)
        }
      }
      expect(gateway.requests).toHaveLength(0)
    })

    it('runs in the context in which the client was created, whichever request calls', async () => {
      const gateway = await startGateway()
      const provider = (): string => tenants.getStore()?.secret ?? 'none'
      const client = tenants.run({ secret: gateway.appSecret }, () => makeClient(gateway, { appSecret: provider }))
      const token = await tenants.run({ secret: 'another' }, () => client.getSessionToken('1'))
      expect(token.identity).toBe('1')
      expect(gateway.requests.map(({ status }) => status)).toEqual([200])
    })
  })

  it('that never settles does not keep a call pending after close', async () => {
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
