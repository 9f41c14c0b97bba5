import { describe, expect, it } from '@jest/globals'
import { spawnSync } from 'node:child_process'

describe('docs/benchmarks.md', () => {
  it('matches the numbers of the last saved run, as does its plot', () => {
    const { status, stderr } = spawnSync(process.execPath, ['bench/report/report.mjs', '--check'], { encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })
})
