import { describe, expect, it } from '@jest/globals'
import { spawnSync } from 'node:child_process'

describe('docs/benchmarks.md', () => {
  it('matches the numbers of the last saved run, as does its plot', () => {
    const { status, stderr } = spawnSync(process.execPath, ['bench/report/report.mjs', '--check'], { encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })
})

describe('npm run gates', () => {
  const run = (...args: string[]) => spawnSync(process.execPath, ['bench/gates.mjs', ...args], { encoding: 'utf8' })

  it('passes for a number within its bound', () => {
    expect(run('packages')).toMatchObject({ status: 0, stderr: '', stdout: expect.stringContaining('✓ packages') })
  })

  it('fails for a number over its bound, and says what grew and what to do', () => {
    const { status, stderr } = run('packages', '--scale', '0.5')
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringMatching(
        /✗ packages: \d+ packages that an install brings, and the bound is 0\.5\. .*devDependencies.*raise the bound/,
      ),
    })
  })

  it('fails for a bound that is not a number', () => {
    expect(run('packages', '--scale', 'x').status).toBe(1)
  })
})
