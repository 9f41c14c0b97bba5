import { describe, expect, it } from '@jest/globals'
import { IdentitySource } from '../../../lib/batch/identity-source.js'
import { reasonOf } from '../../support/failure.js'

function setUp(identities: Iterable<string> | AsyncIterable<string>) {
  const received: string[] = []
  let changes = 0
  const source = new IdentitySource(identities, {
    onIdentity: identity => received.push(identity),
    onChange: () => changes++,
  })
  return { source, received, changes: () => changes }
}

/** Creates a source from the iterator of a test. */
function sourceOf(iterator: object): Iterable<string> {
  return { [Symbol.iterator]: () => iterator as Iterator<string> }
}

describe('a source of identities', () => {
  it('delivers one identity per pull until it is exhausted', () => {
    const { source, received } = setUp(['a', 'b'])
    source.pull()
    expect(received).toEqual(['a'])
    for (let i = 0; i < 5; i++) source.pull()
    expect([received, source.isExhausted, source.failure]).toEqual([['a', 'b'], true, undefined])
  })

  it('has at most one pull in flight if it is asynchronous', async () => {
    let pulled = 0
    const settle: (() => void)[] = []
    const { source, received, changes } = setUp({
      [Symbol.asyncIterator]: () => ({
        next: () => {
          const value = `user-${pulled++}`
          return new Promise(resolve => settle.push(() => resolve({ done: false, value })))
        },
      }),
    })
    source.pull()
    source.pull()
    expect([pulled, source.isPulling]).toEqual([1, true])
    settle[0]?.()
    await new Promise(resolve => setImmediate(resolve))
    expect([received, source.isPulling, changes()]).toEqual([['user-0'], false, 1])
  })

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('boom')
      },
    ],
    ['rejects', () => Promise.reject(new Error('boom'))],
  ])('is exhausted and stores the reason if it %s', async (_, next) => {
    const { source } = setUp(sourceOf({ next }))
    source.pull()
    await new Promise(resolve => setImmediate(resolve))
    expect([source.isExhausted, source.failure?.reason]).toEqual([true, new Error('boom')])
  })

  it.each([
    ['immediately', (): unknown => undefined],
    ['later', (): unknown => Promise.resolve(undefined)],
  ])('fails with a TypeError if it returns undefined %s, instead of being pulled forever', async (_, next) => {
    const { source } = setUp(sourceOf({ next }))
    source.pull()
    await new Promise(resolve => setImmediate(resolve))
    expect(source.isExhausted).toBe(true)
    expect(source.failure?.reason).toBeInstanceOf(TypeError)
  })

  it('is closed unless it is exhausted', async () => {
    let closed = 0
    const iterator = {
      left: 1,
      next() {
        return this.left-- > 0 ? { done: false, value: 'a' } : { done: true, value: undefined }
      },
      return: () => ({ done: true, value: closed++ }),
    }
    const { source } = setUp(sourceOf(iterator))
    source.pull()
    await source.close()
    expect(closed).toBe(1)
    source.pull()
    await source.close()
    expect(closed).toBe(1)
  })

  it('rejects with the error that closing throws', async () => {
    const { source } = setUp(
      sourceOf({
        next: () => ({ done: false, value: 'a' }),
        return: () => {
          throw new Error('cannot close')
        },
      }),
    )
    expect(await reasonOf(source.close())).toEqual(new Error('cannot close'))
  })

  it('closes without waiting for a pull that never settles', async () => {
    const never = new Promise<never>(() => undefined)
    const { source } = setUp(sourceOf({ next: () => never, return: () => never }))
    source.pull()
    await expect(source.close()).resolves.toBeUndefined()
  })
})
