import { describe, expect, it } from '@jest/globals'
import { formatEvent } from '../../../lib/core/event-log.js'
import type { VKitEvent } from '../../../lib/core/events.js'

const NOON = Date.parse('2030-01-01T12:00:00Z')
const format = (event: object): string => formatEvent(event as VKitEvent, NOON)

describe('the line of an event', () => {
  it('has the time, the process, the type and all members', () => {
    expect(format({ type: 'mint', durationMs: 84.26, attempts: 1, status: 201, requestId: 'req_1-a.b:c' })).toBe(
      `2030-01-01T12:00:00.000Z videokit[${process.pid}] mint durationMs=84.3 attempts=1 status=201 requestId=req_1-a.b:c`,
    )
    expect(format({ type: 'failure', code: 'VKIT_TLS', background: false })).toMatch(
      / failure code=VKIT_TLS background=false$/,
    )
    expect(format({ type: 'hit', status: undefined })).toMatch(/ hit$/)
  })

  it.each([
    'eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYXBwIiwiaWF0IjoxfQ.Zm9vYmFyYmF6Zm9vYmFyYmF6',
    'two words',
    'line\nbreak',
    '\u001b[31m',
    '\u009b31m',
    '\u202e',
    'someone@example.com',
    '',
    { a: 1 },
    null,
  ])('redacts what is not a short word: %j', value => {
    expect(format({ type: 'mint', value })).toMatch(/ mint value=\[redacted\]$/)
  })
})
