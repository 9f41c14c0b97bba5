import { describe, expect, it } from '@jest/globals'
import { spawnSync } from 'node:child_process'

describe('docs/benchmarks.md', () => {
  it('is, with its plot, what the numbers of the last saved run say', () => {
    const { status, stderr } = spawnSync(process.execPath, ['bench/report/report.mjs', '--check'], { encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  })
})
