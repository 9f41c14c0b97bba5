import { describe, expect, it } from '@jest/globals'
import { checkExposure, checkProxy } from '../../../../lib/cli/doctor/settings.js'

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

describe('the proxy check', () => {
  const environment = { HTTPS_PROXY: 'http://user:pa55word@proxy:3128' }

  it('warns about a proxy that is not used', () => {
    const finding = checkProxy(environment)
    expect(finding).toMatchObject({ severity: 'warning', found: expect.stringContaining('HTTPS_PROXY') as unknown })
    expect(finding.advice).toContain('NODE_USE_ENV_PROXY=1')
  })

  it('reports a proxy that Node uses, without its password', () => {
    const finding = checkProxy(environment, environment)
    expect(finding.severity).toBe('ok')
    expect(JSON.stringify(finding)).not.toContain('pa55word')
  })
})
