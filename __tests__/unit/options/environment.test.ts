import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { environment as environmentAtEdge } from '../../../lib/options/environment.edge.js'
import { environment } from '../../../lib/options/environment.js'

afterEach(() => {
  jest.restoreAllMocks()
})

describe('the environment', () => {
  it('is that of the process', () => {
    expect(environment()).toBe(process.env)
  })

  it('at the edge, is that of the process where the runtime has one', () => {
    expect(environmentAtEdge()).toBe(process.env)
  })

  it.each([
    ['no process', undefined],
    ['a process without an environment', {}],
  ])('at the edge, is empty with %s', (_, found) => {
    jest.replaceProperty(globalThis, 'process', found as NodeJS.Process)
    expect(environmentAtEdge()).toEqual({})
  })
})
