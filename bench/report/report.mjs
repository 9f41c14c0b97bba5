// results.json → docs/benchmarks.md and docs/benchmarks.svg. `node bench/report/report.mjs` writes them. With `--check`, it
// only reports whether they match the numbers.
import { readFile, writeFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { drawPlot } from './plot.mjs'
import { readResults } from './results.mjs'
import { SUITES } from './suites.mjs'
import { toMarkdown } from './table.mjs'

const PAGE = new URL('../../docs/benchmarks.md', import.meta.url)
const PLOT = new URL('../../docs/benchmarks.svg', import.meta.url)

export async function writeReport() {
  for (const [file, text] of await render()) await writeFile(file, text)
}

/** @returns the files that do not match the numbers */
async function findStale() {
  const files = await render()
  const texts = await Promise.all(files.map(([file]) => readFile(file, 'utf8').catch(() => undefined)))
  return files.filter(([, text], i) => texts[i] !== text).map(([file]) => file.pathname)
}

async function render() {
  const results = await readResults()
  return [
    [PAGE, toPage(results)],
    [PLOT, drawPlot(results)],
  ]
}

function toPage(results) {
  const sections = Object.entries(SUITES).filter(([name]) => name in results)
  return `${[INTRO, goalsOf(results, sections), ...sections.map(([name, suite]) => toSection(name, suite, results[name])), machinesOf(results)].join('\n\n')}\n`
}

const INTRO = `# Benchmarks

The cost of this package, compared with alternatives. \`npm run bench -- --save\` writes every number on this page, and the
plot.

![Two bar charts: a cached token and a minted token, ours and others](benchmarks.svg)

To run the benchmarks in a checkout, use \`npm ci && npm run bench\`. It takes about an hour on an idle machine. To run only
one, name it: \`npm run bench -- hit\` (\`mint\`, \`herd\`, \`import\`, \`memory\`, \`server\`, \`edge\`, \`bulk\`). The first run
installs the alternatives into \`bench/\`; they are not dependencies of the package.

Each candidate runs in its own process. The candidates take turns in each round. A number is the median of its rounds, ± half
the distance between their quartiles. A ratio is the median of the ratios within each round, so other load on the machine
affects it least. Absolute numbers depend on the machine, so compare ratios.`

function goalsOf(results, sections) {
  const rows = sections.flatMap(([name, suite]) =>
    suite
      .goals(results[name].data)
      .map(({ goal, saw, reached, why }) => [goal, saw, reached ? 'yes' : `no${why ? `: ${oneLine(why)}` : ''}`]),
  )
  return `## Goals\n\n| goal | measured | reached |\n| :-- | :-- | :-- |\n${rows.map(row => `| ${row.join(' | ')} |`).join('\n')}`
}

function toSection(name, suite, { data }) {
  const tables = suite.tables(data).map(toMarkdown).join('\n\n')
  const rounds = data.rounds ? ` ${data.rounds} rounds.` : ''
  return `## ${suite.title} (\`${name}\`)\n\n${suite.about}${rounds}\n\n${tables}`
}

function machinesOf(results) {
  const runs = Object.entries(results).map(
    ([name, { machine, seconds }]) =>
      `| ${name} | ${machine.date} | ${machine.node} | ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.os} | ${machine.loadBefore} | ${seconds} s |`,
  )
  const { ours, packages } = Object.values(results)[0]?.machine ?? { packages: {} }
  const versions = Object.entries({ '@video-io/videokit-nodejs': ours, ...packages })
  return `## Machine and versions

| run | date | Node | machine | load before | duration |
| :-- | :-- | :-- | :-- | --: | --: |
${runs.join('\n')}

Versions, the newest that run on Node 20: ${versions.map(([name, version]) => `${name} ${version}`).join(', ')}.`
}

const oneLine = text => text.replaceAll('\n', ' ')

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv.includes('--check')) {
    const stale = await findStale()
    if (stale.length > 0)
      console.error(`Does not match bench/results.json: ${stale.join(', ')}. Run: node bench/report/report.mjs`)
    process.exitCode = stale.length > 0 ? 1 : 0
  } else await writeReport()
}
