import { describe, expect, it } from '@jest/globals'
import { nearestName } from '../../../lib/core/nearest-name.js'

const NAMES = ['appSecret', 'baseUrl', 'cache', 'timeoutMs', 'maxRetries', 'lifetimeMs', 'delayMs', 'status']

describe('nearestName', () => {
  it.each([
    ['app_secret', 'appSecret'],
    ['APP-SECRET', 'appSecret'],
    ['appsecret', 'appSecret'],
    ['baseURL', 'baseUrl'],
    ['lifetime', 'lifetimeMs'],
    ['delay', 'delayMs'],
    ['retries', 'maxRetries'],
    ['timeout_ms', 'timeoutMs'],
    ['stauts', 'status'],
    ['cahce', 'cache'],
  ])('for %s suggests %s', (given, expected) => {
    expect(nearestName(given, NAMES)).toBe(expected)
  })

  it.each(['code', 'ttl', 'x', '', '_', '🙂'])('has no suggestion for %j', given => {
    expect(nearestName(given, NAMES)).toBeUndefined()
  })

  it('counts two swapped neighboring letters as one difference', () => {
    expect(nearestName('abc', ['acb'])).toBe('acb')
    expect(nearestName('abc', ['cba'])).toBeUndefined()
  })

  it('prefers the nearest name, and the first one of equally near names', () => {
    expect(nearestName('timeouts', ['timeout', 'timeouts'])).toBe('timeouts')
    expect(nearestName('timeoutX', ['timeoutA', 'timeoutB'])).toBe('timeoutA')
  })

  it('accepts names of any iterable, and has no suggestion without names', () => {
    expect(nearestName('stat', new Set(['state']))).toBe('state')
    expect(nearestName('status', [])).toBeUndefined()
  })

  it('has no suggestion for a text of a million letters', () => {
    expect(nearestName('x'.repeat(1_000_000), NAMES)).toBeUndefined()
  })
})
