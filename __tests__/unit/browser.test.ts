import { afterEach, describe, expect, it } from '@jest/globals'
import * as forBrowsers from '../../lib/browser.js'
import * as forNode from '../../lib/index.js'

const { VKitClient, VKitConfigError } = forNode

const replaced: (() => void)[] = []
function setGlobal(name: 'process' | 'window', value: unknown): void {
  const before = Object.getOwnPropertyDescriptor(globalThis, name)
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
  replaced.push(() => {
    if (before) Object.defineProperty(globalThis, name, before)
    else Reflect.deleteProperty(globalThis, name)
  })
}

/** What `make` throws where the globals are those of a browser; nothing else may run there, for Jest needs `process`. */
function failureInBrowser(make: () => unknown): unknown {
  setGlobal('window', {})
  setGlobal('process', undefined)
  try {
    return make()
  } catch (error) {
    return error
  } finally {
    for (const restore of replaced.splice(0)) restore()
  }
}

afterEach(() => {
  for (const restore of replaced.splice(0)) restore()
})

describe('in a browser', () => {
  it('the client is refused', () => {
    const failure = failureInBrowser(() => new VKitClient({ appSecret: 'secret' }))
    expect(failure).toBeInstanceOf(VKitConfigError)
    expect(failure).toMatchObject({ code: 'VKIT_CONFIG', message: expect.stringContaining('In a browser') as unknown })
  })

  it('the client is made where jsdom has put a window into Node', () => {
    setGlobal('window', {})
    expect(new VKitClient({ appSecret: 'secret' })).toBeInstanceOf(VKitClient)
  })
})

describe('what bundlers for browsers take', () => {
  it('has the names of the real entry point', () => {
    expect(Object.keys(forBrowsers).sort()).toEqual(Object.keys(forNode).sort())
  })

  it('has the real errors, for code that server and page share', () => {
    expect(forBrowsers.VKitError).toBe(forNode.VKitError)
  })

  it('throws VKIT_CONFIG instead of making a client', () => {
    expect(() => new forBrowsers.VKitClient()).toThrow(VKitConfigError)
  })
})
