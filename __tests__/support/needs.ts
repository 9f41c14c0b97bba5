import { describe, it } from '@jest/globals'

export interface Need {
  readonly what: string
  readonly isMet: boolean
}

/** The platform has signals, file modes, symbolic links, named pipes and a shell. */
export const posix: Need = { what: 'a POSIX system', isMet: process.platform !== 'win32' }

/** Calls `describe` if the need is met. Otherwise, Jest skips the tests, and skip-reporter.mjs prints the need. */
export function describeWith(need: Need, title: string, suite: () => void): void {
  if (need.isMet) describe(title, suite)
  else describe.skip(withNeed(title, need), suite)
}

/** Calls `it` if the need is met, as `describeWith` does. */
export function itWith(need: Need, title: string, test: () => Promise<void>): void {
  if (need.isMet) it(title, test)
  else it.skip(withNeed(title, need), test)
}

function withNeed(title: string, { what }: Need): string {
  return `${title} (needs ${what})`
}
