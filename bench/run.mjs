// npm run bench [-- hit mint herd import memory server edge bulk] [--quick] [--save]
//
// `bulk` means each suite whose name starts with `bulk-`.
//
// --quick           run fewer rounds: to test that a suite works, not to measure
// --save            store the numbers in results.json, and write docs/benchmarks.md and its plot from them
// --seconds <n>     bulk-*: the time of a sample; bulk-shapes: the time limit of a list
// --identities <n>  bulk-list: the length of the list
import { parseArgs } from 'node:util'
import { installCompetitors } from './harness/install.mjs'
import { describeMachine } from './harness/machine.mjs'
import { Gateway } from './harness/gateway.mjs'
import { writeReport } from './report/report.mjs'
import { readResults, writeResults } from './report/results.mjs'
import { SUITES } from './report/suites.mjs'
import { toTerminal } from './report/table.mjs'

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean' },
    save: { type: 'boolean' },
    seconds: { type: 'string' },
    identities: { type: 'string' },
  },
})
const toNumber = text => (text === undefined ? undefined : Number(text))
const settings = { quick: flags.quick, seconds: toNumber(flags.seconds), identities: toNumber(flags.identities) }
const matching = wanted => Object.keys(SUITES).filter(name => name === wanted || name.startsWith(`${wanted}-`))
const unknown = positionals.filter(wanted => matching(wanted).length === 0)
const names = positionals.length > 0 ? positionals.flatMap(matching) : Object.keys(SUITES)
if (unknown.length > 0) {
  console.error(`Unknown suite: ${unknown.join(', ')}. Suites: ${Object.keys(SUITES).join(', ')}`)
  process.exit(1)
}

await installCompetitors()
for (const name of names) await runSuite(name)
if (flags.save) await writeReport()

async function runSuite(name) {
  const suite = SUITES[name]
  const started = Date.now()
  const machine = describeMachine()
  const gateway = await Gateway.start()
  try {
    const data = await suite.measure({ gateway, ...settings, note: what => console.error(`  ${name}: ${what} …`) })
    const seconds = Math.round((Date.now() - started) / 1000)
    show(name, suite, data, seconds)
    if (flags.save)
      await writeResults({ ...(await readResults()), [name]: { machine, seconds, quick: flags.quick === true, data } })
  } finally {
    gateway.stop()
  }
}

function show(name, suite, data, seconds) {
  console.log(`\n${suite.title} (${name}, ${seconds} s)`)
  for (const table of suite.tables(data)) console.log(toTerminal(table))
  for (const { goal, saw, reached } of suite.goals(data)) console.log(`${reached ? '✓' : '✗'} ${goal}: ${saw}`)
}
