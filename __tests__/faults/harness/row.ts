import type { Context } from './context.js'

/** One row of the fault matrix, which runs in its own child process. */
export interface Row {
  readonly n: number | '42b'
  readonly fault: string
  /** The result; for an error its code, R if it is retryable or N if not, and the number of attempts. */
  readonly outcome: string
  /** Set in the child's environment before it starts. */
  readonly env?: Readonly<Record<string, string>>
  /** The warning that Node itself emits in this row, whatever the SDK does. */
  readonly expectedWarning?: RegExp
  /** Why the row does not run with the transport of edge runtimes. */
  readonly notWithFetch?: string
  run(t: Context): Promise<void>
}

/** What a child process reports about its row. */
export interface RowResult {
  readonly failure?: string
  /** Unhandled rejections and warnings. */
  readonly noise: readonly string[]
  /** How long something kept the process alive after `close()`, counted in turns of 10 ms. */
  readonly lingeredMs: number
  readonly durationMs: number
}

/** A JWT with the format of the app secrets in the dashboard. */
export const SECRET =
  'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJhY2lkIjoiNGYyZDkxIiwicm9sZSI6ImFwcCIsImlhdCI6MTYwMDAwMDAwMCwiaXNzIjoidmlkZW8uaW8iLCJqdGkiOiJiNzEifQ.kq3vX0aTn5cWm8sYpR1uLdZ7hGfEjB2oV4iNxCwQt6M'
