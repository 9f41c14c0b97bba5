/** Prints one line with what the skipped tests need (needs.ts): Jest only counts them. */
export default class SkipReporter {
  onRunComplete(_contexts, { testResults: files }) {
    const skipped = files.flatMap(file => file.testResults).filter(test => test.status === 'pending')
    const needs = skipped.flatMap(test => /\(needs (.+?)\)/.exec(test.fullName)?.[1] ?? [])
    if (needs.length === 0) return
    const list = [...new Set(needs)].join(', ')
    console.log(`\nSkipped: ${needs.length} tests that need ${list}. docs/contributing.md says how to run them.`)
  }
}
