/** Prints one line with the needs of the skipped tests (needs.ts), because Jest only counts the tests. */
export default class SkipReporter {
  onRunComplete(_contexts, { testResults: files }) {
    const skipped = files.flatMap(file => file.testResults).filter(test => test.status === 'pending')
    const needs = skipped.flatMap(test => /\(needs (.+?)\)/.exec(test.fullName)?.[1] ?? [])
    if (needs.length === 0) return
    const list = [...new Set(needs)].join(', ')
    console.log(`\nSkipped: ${needs.length} tests that need ${list}. See CONTRIBUTING.md for how to run them.`)
  }
}
