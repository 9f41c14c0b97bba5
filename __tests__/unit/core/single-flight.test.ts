import { describe, expect, it } from '@jest/globals'
import { SingleFlight } from '../../../lib/core/single-flight.js'
import { reasonOf } from '../../support/failure.js'

describe('SingleFlight', () => {
  it('runs one task per key for concurrent calls, and another for a later call', async () => {
    const flights = new SingleFlight<number>()
    let runs = 0
    const task = (): Promise<number> => Promise.resolve(++runs)
    expect(await Promise.all([flights.run('a', task), flights.run('a', task), flights.run('b', task)])).toEqual([
      1, 1, 2,
    ])
    expect(await flights.run('a', task)).toBe(3)
    expect(flights.get('a')).toBeUndefined()
  })

  it('shares a failure with concurrent calls, but not with a later call', async () => {
    const flights = new SingleFlight<string>()
    const failing = flights.run('a', () => Promise.reject(new Error('down')))
    const joined = flights.run('a', () => Promise.resolve('never run'))
    expect(await reasonOf(joined)).toBe(await reasonOf(failing))
    expect(await flights.run('a', () => Promise.resolve('up'))).toBe('up')
  })

  it('rejects if the task throws synchronously', async () => {
    const flights = new SingleFlight<string>()
    const error = new Error('synchronous')
    const thrown = flights.run('a', () => {
      throw error
    })
    expect(await reasonOf(thrown)).toBe(error)
    expect(await flights.run('a', () => Promise.resolve('next'))).toBe('next')
  })

  it('keeps the newer flight when a forgotten one ends', async () => {
    const flights = new SingleFlight<string>()
    let finish: () => void = () => undefined
    const older = flights.run('a', async () => {
      await new Promise<void>(resolve => (finish = resolve))
      return 'older'
    })
    await Promise.resolve()
    flights.forget('a')
    const newer = flights.run('a', () => new Promise(() => undefined))
    finish()
    expect(await older).toBe('older')
    expect(flights.get('a')).toBe(newer)
  })

  it('starts a new task for each key after clear, and callers that wait still get the outcome', async () => {
    const flights = new SingleFlight<string>()
    const older = ['a', 'b'].map(key => flights.run(key, () => Promise.resolve('older')))
    flights.clear()
    const newer = ['a', 'b'].map(key => flights.run(key, () => Promise.resolve('newer')))
    expect(await Promise.all([...older, ...newer])).toEqual(['older', 'older', 'newer', 'newer'])
  })

  it('accepts __proto__ as a key', async () => {
    const flights = new SingleFlight<string>()
    expect(flights.get('__proto__')).toBeUndefined()
    expect(await flights.run('__proto__', () => Promise.resolve('a'))).toBe('a')
  })
})
