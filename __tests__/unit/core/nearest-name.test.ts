import { describe, expect, it } from '@jest/globals'
import { nearestName } from '../../../lib/core/nearest-name.js'

const KNOWN = ['appSecret', 'baseUrl', 'cache', 'timeoutMs', 'maxRetries', 'lifetimeMs', 'delayMs', 'status']

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
  ])('takes %s for %s', (given, meant) => {
    expect(nearestName(given, KNOWN)).toBe(meant)
  })

  it.each(['code', 'ttl', 'x', '', '_', '🙂'])('has no suggestion for %j', given => {
    expect(nearestName(given, KNOWN)).toBeUndefined()
  })

  it('counts two neighboring letters that changed places as one difference', () => {
    expect(nearestName('abc', ['acb'])).toBe('acb')
    expect(nearestName('abc', ['cba'])).toBeUndefined()
  })

  it('prefers the nearest name, and among equals the first', () => {
    expect(nearestName('timeouts', ['timeout', 'timeouts'])).toBe('timeouts')
    expect(nearestName('timeoutX', ['timeoutA', 'timeoutB'])).toBe('timeoutA')
  })

  it('compares names of any iterable, and nothing with no names', () => {
    expect(nearestName('stat', new Set(['state']))).toBe('state')
    expect(nearestName('status', [])).toBeUndefined()
  })

  it('compares a text of a million letters with no name', () => {
    expect(nearestName('x'.repeat(1_000_000), KNOWN)).toBeUndefined()
  })
})
