import { describe, expect, it } from '@jest/globals'
import { execFileSync } from 'node:child_process'
import { shellLines } from '../../../../lib/cli/emulator/shell-lines.js'
import { itWith, posix } from '../../../support/needs.js'

const VARIABLES = { VKIT_BASE_URL: 'http://127.0.0.1:8787', VKIT_APP_SECRET: 'eyJh.eyJ-.x_y' }

describe('the lines that set variables', () => {
  itWith(posix, 'set them in a POSIX shell', async () => {
    const script = [...shellLines(VARIABLES, 'linux', {}), 'printf "%s " "$VKIT_BASE_URL" "$VKIT_APP_SECRET"'].join(
      '\n',
    )
    expect(execFileSync('sh', ['-c', script], { encoding: 'utf8' })).toBe(`${Object.values(VARIABLES).join(' ')} `)
    await Promise.resolve()
  })

  it('are for PowerShell and for cmd on Windows', () => {
    expect(shellLines(VARIABLES, 'win32', {})).toEqual([
      '# PowerShell',
      "$env:VKIT_BASE_URL = 'http://127.0.0.1:8787'",
      "$env:VKIT_APP_SECRET = 'eyJh.eyJ-.x_y'",
      '',
      'rem cmd',
      'set "VKIT_BASE_URL=http://127.0.0.1:8787"',
      'set "VKIT_APP_SECRET=eyJh.eyJ-.x_y"',
    ])
  })

  it('are those of a POSIX shell in Git Bash on Windows', () => {
    const environment = { SHELL: '/usr/bin/bash', PROMPT: '$P$G' }
    expect(shellLines(VARIABLES, 'win32', environment)).toEqual(shellLines(VARIABLES, 'linux', {}))
  })
})
