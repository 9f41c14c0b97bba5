import { beforeEach, describe, expect, it, jest } from '@jest/globals'
import type { VKitEvent, VKitEventListener, VKitEventType } from '../../../lib/core/events.js'
import { FakeClock } from '../../../lib/testing/index.js'

const lines: string[] = []
jest.unstable_mockModule('../../../lib/core/log-line.js', () => ({
  logName: () => 'videokit[1]',
  writeLine: (line: string) => lines.push(line),
}))
const { withDebugLog } = await import('../../../lib/options/debug.js')

/** A type that is missing here is an error of the compiler. */
const EVERY_TYPE: Record<VKitEventType, true> = {
  hit: true,
  miss: true,
  coalesced: true,
  refresh: true,
  mint: true,
  retry: true,
  resend: true,
  failure: true,
  'served-while-failing': true,
  'short-lived': true,
  'unreadable-expiry': true,
  'expiry-mismatch': true,
  'clock-skew': true,
  eviction: true,
  invalidation: true,
  'invalidation-sent': true,
  'invalidation-received': true,
  'secret-rotation': true,
  'key-backoff': true,
  'secret-backoff': true,
  overload: true,
  'circuit-open': true,
  'circuit-close': true,
  'store-failure': true,
  'store-pause': true,
  'store-resume': true,
  'store-hit': true,
  'lease-taken': true,
  'lease-wait': true,
  'lease-timeout': true,
  'lease-pause': true,
  'subscription-start': true,
  'subscription-loss': true,
}
const TYPES = Object.keys(EVERY_TYPE) as VKitEventType[]

beforeEach(() => {
  lines.length = 0
})

/** The types that are written to the log with this setting. */
function typesOf(setting: string): string[] {
  const listener = withDebugLog(setting, undefined, new FakeClock())
  for (const type of TYPES) listener?.({ type } as VKitEvent)
  return lines.map(line => line.split(' ').at(-1) ?? '')
}

describe('withDebugLog', () => {
  it.each([undefined, '', '0', 'false', 'FALSE', ' , '])(
    'without events, is the listener of the client: %j',
    setting => {
      const onEvent = (): void => undefined
      expect(withDebugLog(setting, onEvent, new FakeClock())).toBe(onEvent)
      expect(withDebugLog(setting, undefined, new FakeClock())).toBeUndefined()
      expect(lines).toEqual([])
    },
  )

  it.each(['1', 'true', '*', 'True', 'mint,1', '0,*'])('writes every event with %s', setting => {
    expect(typesOf(setting)).toEqual(TYPES)
  })

  it.each(TYPES)('writes only the events of a list: %s', type => {
    expect(typesOf(type)).toEqual([type])
    lines.length = 0
    expect(typesOf(` ${type.toUpperCase()} ,0`)).toEqual([type])
  })

  it('writes the time, the process and the members of an event', () => {
    const listener = withDebugLog('failure', undefined, new FakeClock('2030-01-01T00:00:00Z'))
    listener?.({ type: 'failure', code: 'VKIT_TLS', retryable: false, attempts: 1, background: false })
    expect(lines).toEqual([
      '2030-01-01T00:00:00.000Z videokit[1] failure code=VKIT_TLS retryable=false attempts=1 background=false',
    ])
  })

  const HELP = 'Use 1 for all events, or a list such as mint,retry,failure.'
  it.each([
    ['mnt', `: mnt (did you mean mint?). ${HELP}`],
    ['mnt,hit,something-else', `: mnt (did you mean mint?), something-else. ${HELP}`],
    [`${'x'.repeat(32)},a b,a.b,constructor`, `: ${'x'.repeat(32)}, constructor. ${HELP}`],
    ['x'.repeat(33), `. ${HELP}`],
    ['sk-secret!', `. ${HELP}`],
    ['!sk-secret', `. ${HELP}`],
  ])('warns once of unknown events, and shows no text that may be a secret: %s', (setting, warning) => {
    withDebugLog(setting, undefined, new FakeClock())
    expect(lines).toEqual([`videokit: VKIT_DEBUG contains unknown events${warning}`])
  })

  it('calls the listener, and returns its promise, even if the clock returns no time', async () => {
    const clock = Object.assign(new FakeClock(), { now: () => NaN })
    const failed = Promise.reject(new Error('a rejection'))
    const onEvent = jest.fn(() => failed) as VKitEventListener & jest.Mock
    expect(withDebugLog('1', onEvent, clock)?.({ type: 'hit' })).toBe(failed)
    await expect(failed).rejects.toThrow('a rejection')
    expect(onEvent.mock.calls).toEqual([[{ type: 'hit' }]])
  })
})
