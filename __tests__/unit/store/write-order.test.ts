import { describe, expect, it } from '@jest/globals'
import { WriteOrder } from '../../../lib/store/write-order.js'

/** A store of one value that applies a change only when `apply` is called. */
class LateStore {
  value: string | undefined
  readonly #waiting: (() => void)[] = []

  change(value: string | undefined) {
    return async (): Promise<{ settled: Promise<void> }> => {
      const settled = new Promise<void>(resolve => {
        this.#waiting.push(() => {
          this.value = value
          resolve()
        })
      })
      return Promise.resolve({ settled })
    }
  }

  async apply(index: number): Promise<void> {
    this.#waiting[index]?.()
    await new Promise(resolve => setImmediate(resolve))
  }

  get changes(): number {
    return this.#waiting.length
  }
}

describe('WriteOrder', () => {
  it('repeats a removal if an earlier write is applied after it', async () => {
    const [order, store] = [new WriteOrder(), new LateStore()]
    await order.run('key', store.change('old'))
    await order.run('key', store.change(undefined))
    await store.apply(1)
    await store.apply(0)
    expect(store.value).toBe('old')
    expect(store.changes).toBe(3)
    await store.apply(2)
    expect(store.value).toBeUndefined()
    expect(store.changes).toBe(3)
  })

  it('repeats the last one of three changes if the second is applied after it', async () => {
    const [order, store] = [new WriteOrder(), new LateStore()]
    for (const value of ['one', 'two']) await order.run('key', store.change(value))
    // The second is repeated, and the repetition is applied at once.
    await store.apply(0)
    await store.apply(2)
    await order.run('key', store.change(undefined))
    await store.apply(3)
    await store.apply(1)
    expect([store.value, store.changes]).toEqual(['two', 5])
    await store.apply(4)
    expect([store.value, store.changes]).toEqual([undefined, 5])
  })

  it('repeats a removal, however many changes of other keys are pending', async () => {
    const [order, store] = [new WriteOrder(), new LateStore()]
    await order.run('key', store.change('old'))
    for (let key = 0; key < 1_001; key++) await order.run(`key ${key}`, store.change('other'))
    await order.run('key', store.change(undefined))
    await store.apply(0)
    expect(store.changes).toBe(1_004)
  })

  it('has settled when the repeated removal has', async () => {
    const [order, store] = [new WriteOrder(), new LateStore()]
    let isSettled = false
    const { settled } = await order.run('key', store.change('old'))
    void settled.then(() => (isSettled = true))
    await order.run('key', store.change(undefined))
    await store.apply(1)
    await store.apply(0)
    expect(isSettled).toBe(false)
    await store.apply(2)
    expect(isSettled).toBe(true)
  })

  it('does not repeat changes that were applied in order', async () => {
    const [order, store] = [new WriteOrder(), new LateStore()]
    await order.run('key', store.change('old'))
    await store.apply(0)
    await order.run('key', store.change('new'))
    await store.apply(1)
    expect([store.value, store.changes]).toEqual(['new', 2])
  })

  it('orders each key separately', async () => {
    const [order, store] = [new WriteOrder(), new LateStore()]
    await order.run('one', store.change('one'))
    await order.run('two', store.change('two'))
    await store.apply(1)
    await store.apply(0)
    expect(store.changes).toBe(2)
  })

  it('treats a failed change as ended', async () => {
    const [order, store] = [new WriteOrder(), new LateStore()]
    await order.run('key', () => Promise.reject(new Error('no secret')))
    await order.run('key', () => Promise.resolve({ settled: Promise.reject(new Error('no store')) }))
    await order.run('key', store.change('new'))
    await store.apply(0)
    expect([store.value, store.changes]).toEqual(['new', 1])
  })
})
