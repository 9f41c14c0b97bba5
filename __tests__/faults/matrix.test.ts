import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { assertNoSecret } from '../../lib/testing/index.js'
import { SECRET, type Row } from './harness/row.js'
import { RowRunner, type FinishedRow } from './harness/run-row.js'
import { rows } from './rows/index.js'

const LONGEST_MS = 120_000

describe('the fault matrix', () => {
  let runner: RowRunner
  const finished = new Map<Row['n'], Promise<FinishedRow>>()

  beforeAll(async () => {
    runner = await RowRunner.prepare()
    for (const row of rows) {
      const running = runner.run(row)
      running.catch(() => undefined) // The row's own test reports it.
      finished.set(row.n, running)
    }
  }, LONGEST_MS)

  afterAll(async () => {
    await Promise.allSettled(finished.values())
    await runner.dispose()
  }, LONGEST_MS)

  it('has rows 1 to 75 and 42b, each once', () => {
    const numbers: Row['n'][] = Array.from({ length: 75 }, (_, index) => index + 1)
    expect(rows.map(({ n }) => n)).toEqual(numbers.toSpliced(42, 0, '42b'))
  })

  it.each(rows)(
    '$n $fault: $outcome',
    async ({ n }) => {
      const result = await finished.get(n)
      expect(result?.failure).toBeUndefined()
      expect(result?.noise).toEqual([])
      expect(result?.exitCode).toBe(0)
      expect(result?.lingeredMs).toBeLessThan(200)
      assertNoSecret(result?.output, SECRET)
    },
    LONGEST_MS,
  )
})
