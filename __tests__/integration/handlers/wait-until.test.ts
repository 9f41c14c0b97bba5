import { describe, expect, it } from '@jest/globals'
import { createFetchTokenHandler, createTokenHandler, type TokenSource } from '../../../lib/handlers/index.js'
import type { GetSessionTokenOptions, Scope } from '../../../lib/index.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { makeClient, startGateway } from '../../support/gateway.js'

const TOKEN = { sessionToken: 'T0KEN', expiresAt: '2030-01-01T00:00:00Z', identity: 'user', scopes: [] }
const authenticate = (): string => 'user'
const post = (): Request => new Request('http://localhost/token', { method: 'POST' })

/** What a platform passes: like that of a worker, its method rejects another `this`. */
class Context {
  readonly work: Promise<unknown>[] = []

  waitUntil(work: Promise<unknown>): void {
    if (!(this instanceof Context)) throw new TypeError('Illegal invocation')
    this.work.push(work)
  }
}

/** A source that reports one piece of work for each call. */
function workingSource(): { source: TokenSource; options: (GetSessionTokenOptions | readonly Scope[] | undefined)[] } {
  const options: (GetSessionTokenOptions | readonly Scope[] | undefined)[] = []
  const source: TokenSource = {
    getSessionToken: async (_, given) => {
      options.push(given)
      if (given && 'waitUntil' in given) given.waitUntil?.(Promise.resolve())
      return TOKEN
    },
  }
  return { source, options }
}

describe('the work of a token handler', () => {
  it.each<[string, (context: Context) => unknown[]]>([
    ['the third argument, as in a worker', context => [{ SECRET: 's' }, context]],
    ['the second argument, as on Netlify', context => [context]],
    ['the last of several', context => [new Context(), context, 'more', null, undefined]],
  ])('goes to the context that is %s', async (_, argsOf) => {
    const context = new Context()
    const { source } = workingSource()
    expect((await createFetchTokenHandler(source, { authenticate })(post(), ...argsOf(context))).status).toBe(200)
    expect(context.work).toHaveLength(1)
  })

  it('goes to the option, if it is set', async () => {
    const [context, own] = [new Context(), new Context()]
    const { source } = workingSource()
    const waitUntil = own.waitUntil.bind(own)
    await createFetchTokenHandler(source, { authenticate, waitUntil })(post(), {}, context)
    const nothing = (): void => undefined
    const methods = { setHeader: nothing, end: nothing, once: nothing, removeListener: nothing }
    const handler = createTokenHandler(source, { authenticate, waitUntil })
    const res = { statusCode: 0, headersSent: false, destroyed: false, ...methods }
    await handler({ method: 'POST', headers: {} }, res)
    expect([own.work.length, context.work.length]).toEqual([2, 0])
  })

  it('is not mentioned to a source if nothing can receive it', async () => {
    const { source, options } = workingSource()
    await createFetchTokenHandler(source, { authenticate })(post(), { waitUntil: 'no function' }, 7)
    expect(options.map(given => Object.keys(given ?? {}))).toEqual([['scopes', 'signal']])
  })

  it('is a refresh that the response does not wait for, and nothing for a fresh token', async () => {
    const gateway = await startGateway()
    const clock = new FakeClock(Date.now())
    const handler = createFetchTokenHandler(makeClient(gateway, { clock }), { authenticate })
    const contexts = [new Context(), new Context(), new Context()]
    const [first, fresh, stale] = contexts as [Context, Context, Context]
    await handler(post(), {}, first)
    await Promise.all(first.work)
    await handler(post(), {}, fresh)
    await clock.advance(2_000_000)
    const mints = gateway.requests.length
    await handler(post(), {}, stale)
    await Promise.all(stale.work)
    expect(contexts.map(({ work }) => work.length)).toEqual([1, 0, 1])
    expect([mints, gateway.requests.length]).toEqual([1, 2])
  })
})
