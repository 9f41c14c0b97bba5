import { describe, expect, it, jest } from '@jest/globals'
import { VKitConnectionError } from '../../../lib/core/errors.js'
import { sanitizeCause } from '../../../lib/core/sanitize-cause.js'
import { copyError } from '../../../lib/core/vkit-error.js'

describe('an error', () => {
  it('is copied together with its cause, so that callers who share a failure share no object', () => {
    const cause = sanitizeCause(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))
    const error = new VKitConnectionError('down', { attempts: 3, cause })
    const [one, two] = [copyError(error), copyError(error)]
    expect(one).toMatchObject({ code: 'VKIT_CONNECTION', attempts: 3, cause: { code: 'ECONNREFUSED' } })
    expect(one).not.toBe(two)
    expect(one.cause).not.toBe(two.cause)
  })

  it('is copied by its own class, even if a spy has replaced the constructor in its prototype', () => {
    const error = new VKitConnectionError('down')
    Object.defineProperty(error, 'constructor', { value: jest.fn() })
    expect(Object.getPrototypeOf(copyError(error))).toBe(VKitConnectionError.prototype)
  })

  it('reads no detail from a polluted prototype', () => {
    Object.defineProperty(Object.prototype, 'requestId', { value: 'planted', configurable: true })
    try {
      expect(Object.hasOwn(new VKitConnectionError('down', {}), 'requestId')).toBe(false)
    } finally {
      Reflect.deleteProperty(Object.prototype, 'requestId')
    }
  })
})
