// npm run bench [-- hit mint herd import memory server edge bulk] [--quick] [--save]
//
// `bulk` also runs the suites whose names start with `bulk-`.
//
// --quick           run fewer rounds: to test that a suite works, not to measure
// --save            store the numbers in results.json, and write docs/benchmarks.md and its plot from them
// --seconds <n>     bulk: the time of a sample; bulk-shapes: the time limit of a list
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
const unknown = positionals.filter(name => !(name in SUITES))
const names = Object.keys(SUITES).filter(isWanted)
if (unknown.length > 0) {
  console.error(`Unknown suite: ${unknown.join(', ')}. Suites: ${Object.keys(SUITES).join(', ')}`)
  process.exit(1)
}

await installCompetitors()
for (const name of names) await runSuite(name)
if (flags.save) await writeReport()

function isWanted(name) {
  return positionals.length === 0 || positionals.some(each => name === each || name.startsWith(`${each}-`))
}

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
