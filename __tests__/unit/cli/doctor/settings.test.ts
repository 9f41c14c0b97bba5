import { describe, expect, it } from '@jest/globals'
import { checkExposure } from '../../../../lib/cli/doctor/settings.js'

describe('the exposure check', () => {
  const off = { reportOnUncaughtException: false, reportOnFatalError: false, reportOnSignal: false }

  it.each(['reportOnUncaughtException', 'reportOnFatalError', 'reportOnSignal'])('warns about %s', setting => {
    const [finding] = checkExposure({}, { ...off, [setting]: true })
    expect(finding).toMatchObject({ severity: 'warning', found: expect.stringContaining('VKIT_APP_SECRET') as unknown })
    expect(finding?.advice).toContain('--report-exclude-env')
  })

  it('accepts report files without the environment, and no report files', () => {
    expect(checkExposure({}, { ...off, reportOnSignal: true, excludeEnv: true })).toMatchObject([{ severity: 'ok' }])
    expect(checkExposure({}, off)).toMatchObject([{ severity: 'ok' }])
  })
})
