import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { assertNoSecret } from '../../lib/testing/index.js'
import { SECRET, type Row } from './harness/row.js'
import { RowRunner, type FinishedRow, type TransportName } from './harness/run-row.js'
import { rows } from './rows/index.js'

const LONGEST_MS = 120_000

const TRANSPORTS: readonly TransportName[] = ['got', 'fetch']

it('the fault matrix has rows 1 to 75 and 42b, each once', () => {
  const numbers: Row['n'][] = Array.from({ length: 75 }, (_, index) => index + 1)
  expect(rows.map(({ n }) => n)).toEqual(numbers.toSpliced(42, 0, '42b'))
})

it('all rows run with the transport of edge runtimes, except these', () => {
  const others = rows.filter(({ notWithFetch }) => notWithFetch !== undefined)
  expect(others.map(({ n }) => n)).toEqual([2, 3, 4, 9, 18, 19, 20, 21, 32, 54, 63, 75])
})

describe.each(TRANSPORTS)('the fault matrix with %s', transport => {
  const applying = rows.filter(({ notWithFetch }) => transport === 'got' || notWithFetch === undefined)
  let runner: RowRunner
  const finished = new Map<Row['n'], Promise<FinishedRow>>()

  beforeAll(async () => {
    runner = await RowRunner.prepare(transport)
    for (const row of applying) {
      const running = runner.run(row)
      running.catch(() => undefined) // The row's own test reports it.
      finished.set(row.n, running)
    }
  }, LONGEST_MS)

  afterAll(async () => {
    await Promise.allSettled(finished.values())
    await runner.dispose()
  }, LONGEST_MS)

  it.each(applying)(
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
