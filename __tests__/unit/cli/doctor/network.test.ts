import { describe, expect, it } from '@jest/globals'
import { checkClock } from '../../../../lib/cli/doctor/network.js'

describe('the clock check', () => {
  const noon = Date.parse('2030-01-01T12:00:00Z')
  const date = new Date(noon).toUTCString()

  it.each([
    [noon + 500, noon + 700, 'ok'],
    [noon - 3_000, noon + 3_000, 'ok'],
    [noon + 60_000, noon + 60_100, 'warning'],
    [noon - 60_100, noon - 60_000, 'warning'],
    [noon + 3_600_000, noon + 3_600_100, 'failure'],
  ])('for a request sent at %i with a response at %i reports: %s', (sentAt, receivedAt, severity) => {
    expect(checkClock(date, sentAt, receivedAt).severity).toBe(severity)
  })

  it('reports only a note without a Date', () => {
    expect(checkClock(undefined, noon, noon).severity).toBe('note')
  })
})
