import { describe, expect, it, jest } from '@jest/globals'

jest.unstable_mockModule(
  '../../../lib/core/request-context.js',
  () => import('../../../lib/core/request-context.edge.js'),
)
const { SingleFlight } = await import('../../../lib/core/single-flight.js')

describe('SingleFlight at the edge', () => {
  it('runs a task for each caller, because one whose request has ended never settles', async () => {
    const flights = new SingleFlight<string>()
    void flights.run('a', () => new Promise(() => undefined))
    expect(await flights.run('a', () => Promise.resolve('result'))).toBe('result')
    expect(flights.get('a')).toBeUndefined()
  })

  it('rejects if the task throws synchronously', async () => {
    const error = new Error('synchronous')
    const thrown = new SingleFlight<string>().run('a', () => {
      throw error
    })
    await expect(thrown).rejects.toBe(error)
  })
})
