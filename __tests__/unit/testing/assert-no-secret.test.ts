import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { inspect } from 'node:util'
import { VKitClient, VKitConfigError } from '../../../lib/index.js'
import { assertNoSecret } from '../../../lib/testing/index.js'

const SECRET = 'sk+THE/APP SECRET?="ü"'
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYXBwIn0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg'
const bytes = Buffer.from(SECRET)
const hex = bytes.toString('hex')

class WithGetter {
  get hidden(): string {
    return SECRET
  }
}
class WithThrowingGetter {
  get hidden(): string {
    throw new Error(SECRET)
  }
}
class Subclass extends WithGetter {}

function nest(depth: number, innermost: unknown): unknown {
  let value = innermost
  for (let i = 0; i < depth; i++) value = [value]
  return value
}

function withCycle(): object {
  const value: Record<string, unknown> = { deep: { secret: SECRET } }
  value['self'] = value
  return value
}

describe('assertNoSecret finds a secret', () => {
  it.each<[string, () => unknown]>([
    ['that is the value', () => SECRET],
    ['in a message', () => new Error(`refused: ${SECRET}`)],
    ['in a stack', () => Object.assign(new Error(), { stack: SECRET })],
    ['in an own property', () => ({ a: { b: [SECRET] } })],
    ['in a property that is not enumerable', () => Object.defineProperty({}, 'a', { value: SECRET })],
    ['under a symbol', () => ({ [Symbol('a')]: SECRET })],
    ['under a symbol that is not enumerable', () => Object.defineProperty({}, Symbol('a'), { value: { SECRET } })],
    ['as the description of a symbol', () => Symbol(SECRET)],
    ['as the description of a symbol that is a key', () => ({ [Symbol(SECRET)]: 1 })],
    ['as a key', () => ({ [SECRET]: 1 })],
    ['in an object without a prototype', () => Object.assign(Object.create(null) as object, { a: SECRET })],
    ['behind a getter', () => Object.defineProperty({}, 'a', { get: () => SECRET })],
    ['behind a getter of a class', () => new WithGetter()],
    ['behind a getter of a base class', () => new Subclass()],
    ['in what a getter throws', () => new WithThrowingGetter()],
    ['in a property of a prototype', () => Object.create({ constructor: undefined, SECRET }) as object],
    ['in a static property', () => Object.assign(class Named extends WithGetter {}, { secret: SECRET })],
    ['in a property of a function', () => Object.assign(() => undefined, { secret: SECRET })],
    ['in a cause', () => new Error('a', { cause: new Error('b', { cause: { headers: { SECRET } } }) })],
    ['in an AggregateError', () => new AggregateError([new Error(SECRET)])],
    ['in a key of a Map', () => new Map([[{ a: SECRET }, 1]])],
    ['in a value of a Map', () => new Map([['a', new Map([['b', SECRET]])]])],
    ['in a Set', () => new Set([new Set([SECRET])])],
    ['in a WeakMap', () => new WeakMap([[Reflect, SECRET]])],
    ['in a Buffer', () => ({ a: Buffer.from(`…${SECRET}…`) })],
    ['in two-byte text in memory', () => Buffer.from(`.${SECRET}`, 'utf16le').subarray(1)],
    ['in an ArrayBuffer', () => new Uint8Array(bytes).buffer],
    ['in a DataView', () => new DataView(new Uint8Array(bytes).buffer)],
    ['in two-byte numbers', () => Uint16Array.from(SECRET, each => each.charCodeAt(0))],
    ['in an array of bytes', () => JSON.parse(JSON.stringify(bytes)) as unknown],
    ['in a property of a Buffer', () => Object.assign(Buffer.alloc(4), { SECRET })],
    ['in toJSON', () => ({ nested: { toJSON: () => ({ a: SECRET }) } })],
    ['in toString', () => ({ nested: { toString: () => SECRET } })],
    ['in a custom inspect', () => ({ nested: { [inspect.custom]: () => SECRET } })],
    ['behind a custom inspect that hides it', () => ({ [inspect.custom]: () => 'nothing', a: { SECRET } })],
    ['in Headers', () => ({ headers: new Headers({ authorization: `Bearer ${encodeURIComponent(SECRET)}` }) })],
    ['in a URL', () => new URL(`https://example.com/?a=${encodeURIComponent(SECRET)}`)],
    ['in the value of a promise', () => Promise.resolve({ a: SECRET })],
    ['in the target of a proxy', () => new Proxy({ SECRET }, { get: () => 1, ownKeys: () => [] })],
    ['in an object that contains itself', withCycle],
    ['20,000 levels deep', () => nest(20_000, SECRET)],
    ['after 10,000 other items', () => [...new Array<string>(10_000).fill('a'), { SECRET }]],
    ['after 100,000 other characters', () => `${'a'.repeat(100_000)}${SECRET}`],
  ])('%s', (_, plant) => {
    expect(() => assertNoSecret(plant(), SECRET)).toThrow('The secret was found')
    expect(() => assertNoSecret(plant(), 'another secret of ours')).not.toThrow()
  })

  it.each<[string, string]>([
    ['base64', bytes.toString('base64')],
    ['base64', Buffer.from(`u:${SECRET}`).toString('base64')],
    ['base64', Buffer.from(`user:${SECRET}.`).toString('base64')],
    ['base64', Buffer.from(`user.:${SECRET}..`).toString('base64url')],
    ['hex', hex],
    ['hex', hex.toUpperCase()],
    ['hex', inspect(bytes)],
    ['percent-encoded', encodeURIComponent(SECRET)],
    [
      'percent-encoded',
      encodeURIComponent(SECRET).toLowerCase().replace('the', 'THE').replace('app', 'APP').replace('secret', 'SECRET'),
    ],
    ['percent-encoded', hex.replace(/../g, pair => `%${pair}`)],
    ['a list of bytes', JSON.stringify(bytes)],
    ['plain', JSON.stringify(SECRET)],
  ])('written in %s: %s', (name, text) => {
    expect(() => assertNoSecret({ a: text }, SECRET)).toThrow(`value.a (${name})`)
  })

  it('of which only a half, or the signature of a JWT, is left', () => {
    expect(() => assertNoSecret('begins with sk_live_0123456789a…', 'sk_live_0123456789abcdefghijklmn')).toThrow(
      'part of it',
    )
    expect(() => assertNoSecret(JWT.slice(-40), JWT)).toThrow('part of it')
    expect(() => assertNoSecret(JWT.slice(0, 40), JWT)).not.toThrow()
  })

  it('anywhere in a value of any shape', () => {
    fc.assert(
      fc.property(
        fc.object({ maxDepth: 4, withMap: true, withSet: true, withTypedArray: true }),
        fc.nat(),
        (host, seed) => {
          const places = [host, ...Object.values(host)].filter(each => typeof each === 'object' && each !== null)
          const place = places[seed % places.length] ?? host
          assertNoSecret(host, SECRET)
          Object.defineProperty(place, 'planted', { value: `Bearer ${SECRET}`, configurable: true })
          expect(() => assertNoSecret(host, SECRET)).toThrow('planted')
        },
      ),
    )
  })
})

describe('assertNoSecret', () => {
  it('reports where the secret is, but not the secret', () => {
    const value = { headers: new Map([[SECRET, { authorization: `Bearer ${SECRET}` }]]) }
    const find = (): unknown => {
      try {
        return assertNoSecret(value, SECRET)
      } catch (error) {
        return error
      }
    }
    const error = find() as Error
    expect(error.message).toBe(
      'The secret was found:\n- value.headers.get(…).authorization (plain)\n- a key of value.headers (plain)',
    )
    expect(() => assertNoSecret(error, SECRET)).not.toThrow()
  })

  it('accepts the client and its errors', async () => {
    const appSecret = 'THE-APP-SECRET-OF-THIS-TEST'
    await using client = new VKitClient({ appSecret })
    assertNoSecret([client, new VKitConfigError('no'), process.versions], appSecret)
  })

  it.each([undefined, '', 'abc', 42])('throws a TypeError for %p, which is not a usable secret', secret => {
    expect(() => assertNoSecret({}, secret as string)).toThrow(TypeError)
  })
})
