import { describe, it } from '@jest/globals'

export interface Need {
  readonly what: string
  readonly isMet: boolean
}

/** Signals, file modes, symbolic links, named pipes and a shell. */
export const posix: Need = { what: 'a POSIX system', isMet: process.platform !== 'win32' }

/** `describe` where the need is met. Elsewhere Jest counts the tests as skipped, and skip-reporter.mjs prints the need. */
export function describeWith(need: Need, title: string, suite: () => void): void {
  if (need.isMet) describe(title, suite)
  else describe.skip(withNeed(title, need), suite)
}

/** `it` in the same way. */
export function itWith(need: Need, title: string, test: () => Promise<void>): void {
  if (need.isMet) it(title, test)
  else it.skip(withNeed(title, need), test)
}

function withNeed(title: string, { what }: Need): string {
  return `${title} (needs ${what})`
}
