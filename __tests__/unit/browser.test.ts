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

/** Returns what `make` throws with the globals of a browser. Only `make` runs with them, because Jest needs `process`. */
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

describe('VKitClient with browser globals', () => {
  it('throws VKIT_CONFIG in a browser', () => {
    const failure = failureInBrowser(() => new VKitClient({ appSecret: 'secret' }))
    expect(failure).toBeInstanceOf(VKitConfigError)
    expect(failure).toMatchObject({ code: 'VKIT_CONFIG', message: expect.stringContaining('In a browser') as unknown })
  })

  it('creates a client in Node when jsdom defines a window', () => {
    setGlobal('window', {})
    expect(new VKitClient({ appSecret: 'secret' })).toBeInstanceOf(VKitClient)
  })
})

describe('the browser entry point', () => {
  it('exports the same names as the Node entry point', () => {
    expect(Object.keys(forBrowsers).sort()).toEqual(Object.keys(forNode).sort())
  })

  it('exports the same error classes, for code that server and browser share', () => {
    expect(forBrowsers.VKitError).toBe(forNode.VKitError)
  })

  it('throws VKIT_CONFIG instead of creating a client', () => {
    expect(() => new forBrowsers.VKitClient()).toThrow(VKitConfigError)
  })
})
