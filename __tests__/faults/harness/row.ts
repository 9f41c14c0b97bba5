import type { Context } from './context.js'

/** One row of the fault matrix, run in a child process of its own. */
export interface Row {
  readonly n: number | '42b'
  readonly fault: string
  readonly outcome: string
  /** Set in the child's environment before it starts. */
  readonly env?: Readonly<Record<string, string>>
  /** What Node itself warns of in this row, whatever the SDK does. */
  readonly expectedWarning?: RegExp
  run(t: Context): Promise<void>
}

/** What a child tells of its row. */
export interface RowResult {
  readonly failure?: string
  /** Unhandled rejections and warnings. */
  readonly noise: readonly string[]
  /** How long after `close()` the process had something left to live for, counted in turns of 10 ms. */
  readonly lingeredMs: number
  readonly durationMs: number
}

/** A JWT as the dashboard hands out, so that nothing is special about it. */
export const SECRET =
  'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhY2lkIjoiNGYyZDkxIiwicm9sZSI6ImFwcCIsImlhdCI6MTYwMDAwMDAwMCwiaXNzIjoidmlkZW8uaW8iLCJqdGkiOiJiNzEifQ.kq3vX0aTn5cWm8sYpR1uLdZ7hGfEjB2oV4iNxCwQt6M'
