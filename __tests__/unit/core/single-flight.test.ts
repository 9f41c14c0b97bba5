import { describe, expect, it } from '@jest/globals'
import { SingleFlight } from '../../../lib/core/single-flight.js'
import { reasonOf } from '../../support/failure.js'

describe('SingleFlight', () => {
  it('runs one task per key for those who come meanwhile, and another for those who come later', async () => {
    const flights = new SingleFlight<number>()
    let runs = 0
    const task = (): Promise<number> => Promise.resolve(++runs)
    expect(await Promise.all([flights.run('a', task), flights.run('a', task), flights.run('b', task)])).toEqual([
      1, 1, 2,
    ])
    expect(await flights.run('a', task)).toBe(3)
    expect(flights.get('a')).toBeUndefined()
  })

  it('shares a failure, then forgets it', async () => {
    const flights = new SingleFlight<string>()
    const failing = flights.run('a', () => Promise.reject(new Error('down')))
    const joined = flights.run('a', () => Promise.resolve('never run'))
    expect(await reasonOf(joined)).toBe(await reasonOf(failing))
    expect(await flights.run('a', () => Promise.resolve('up'))).toBe('up')
  })

  it('takes a task that throws at once for one that rejects', async () => {
    const flights = new SingleFlight<string>()
    const error = new Error('at once')
    const thrown = flights.run('a', () => {
      throw error
    })
    expect(await reasonOf(thrown)).toBe(error)
    expect(await flights.run('a', () => Promise.resolve('next'))).toBe('next')
  })

  it('tells a forgotten flight that it is no longer current, and lets it not end the newer one', async () => {
    const flights = new SingleFlight<string>()
    let land: () => void = () => undefined
    let wasCurrent: boolean | undefined
    const older = flights.run('a', async isCurrent => {
      await new Promise<void>(resolve => (land = resolve))
      wasCurrent = isCurrent()
      return 'older'
    })
    await Promise.resolve()
    flights.forget('a')
    const newer = flights.run('a', () => new Promise(() => undefined))
    land()
    expect(await older).toBe('older')
    expect(wasCurrent).toBe(false)
    expect(flights.get('a')).toBe(newer)
  })

  it('has keys as they are: __proto__ is one like any other', async () => {
    const flights = new SingleFlight<string>()
    expect(flights.get('__proto__')).toBeUndefined()
    expect(await flights.run('__proto__', () => Promise.resolve('a'))).toBe('a')
  })
})
