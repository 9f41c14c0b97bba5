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

/** A source whose pulls the test settles. */
function pending() {
  let pulled = 0
  let resolvePull: (step: object) => void = () => undefined
  const next = (): Promise<object> => {
    pulled++
    return new Promise(resolve => (resolvePull = resolve))
  }
  return {
    identities: { [Symbol.asyncIterator]: () => ({ next }) } as AsyncIterable<string>,
    pulled: () => pulled,
    settle: async (step: object) => {
      resolvePull(step)
      await nextTurn()
    },
  }
}

const nextTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

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
    const { identities, pulled, settle } = pending()
    const { source, received, changes } = setUp(identities)
    source.pull()
    source.pull()
    expect([pulled(), source.isPulling]).toEqual([1, true])
    await settle({ done: false, value: 'user-0' })
    expect([received, source.isPulling, changes()]).toEqual([['user-0'], false, 1])
  })

  it.each([
    ['an identity', { done: false, value: 'user-0' }, true],
    ['the end', { done: true, value: undefined }, false],
  ])('ignores %s that comes after it was stopped, and reads no more', async (_, step, isCutShort) => {
    const { identities, pulled, settle } = pending()
    const { source, received } = setUp(identities)
    source.pull()
    expect([source.isExhausted, source.isCutShort]).toEqual([false, false])
    source.stop()
    await settle(step)
    source.pull()
    expect([received, pulled()]).toEqual([[], 1])
    expect([source.isExhausted, source.isCutShort]).toEqual([true, isCutShort])
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
    await nextTurn()
    expect([source.isExhausted, source.failure?.reason]).toEqual([true, new Error('boom')])
  })

  it.each([
    ['immediately', (): unknown => undefined],
    ['later', (): unknown => Promise.resolve(undefined)],
  ])('fails with a TypeError if it returns undefined %s, instead of being pulled forever', async (_, next) => {
    const { source } = setUp(sourceOf({ next }))
    source.pull()
    await nextTurn()
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

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('cannot close')
      },
    ],
    ['rejects', () => Promise.reject(new Error('cannot close'))],
  ])('rejects with the error with which closing %s', async (_, close) => {
    const { source } = setUp(sourceOf({ next: () => ({ done: false, value: 'a' }), return: close }))
    expect(await reasonOf(source.close())).toEqual(new Error('cannot close'))
  })

  it('need not be able to close', async () => {
    const { source } = setUp(sourceOf({ next: () => ({ done: false, value: 'a' }) }))
    await expect(source.close()).resolves.toBeUndefined()
  })

  it.each<[string, () => Promise<never>]>([
    ['settles', () => new Promise(() => undefined)],
    ['closes', () => Promise.reject(new Error('cannot close'))],
  ])('closes without waiting for a pull that never %s', async (_, close) => {
    const { source } = setUp(sourceOf({ next: () => new Promise(() => undefined), return: close }))
    source.pull()
    await expect(source.close()).resolves.toBeUndefined()
    await nextTurn()
  })
})
