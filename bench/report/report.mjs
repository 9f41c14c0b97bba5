// results.json → docs/benchmarks.md and docs/benchmarks.svg. `node bench/report/report.mjs` writes them, with `--check` it
// only tells whether they are what the numbers say.
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

/** @returns the files that are not what they should be */
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

What the package costs, against what one would use instead. Every number on this page, and the plot, is written by
\`npm run bench -- --save\`; none is typed.

![Two bar charts: a cached token and a minted token, ours and others](benchmarks.svg)

To repeat them, from a checkout: \`npm ci && npm run bench\` (all, a few minutes on an idle machine), or one of them:
\`npm run bench -- hit\` (\`mint\`, \`herd\`, \`import\`, \`memory\`, \`server\`). The first run installs the others into \`bench/\`; they are no
dependencies of the package.

How they are made: each contender runs in a process of its own, and they take turns in each round; a number is the median of its
rounds, ± half the distance between their quartiles; a ratio is the median of the ratios within each round, which what else the
machine does hurts least. Absolute figures are this machine's; compare ratios.`

function goalsOf(results, sections) {
  const rows = sections.flatMap(([name, suite]) =>
    suite
      .goals(results[name].data)
      .map(({ goal, saw, reached, why }) => [goal, saw, reached ? 'yes' : `no${why ? `: ${oneLine(why)}` : ''}`]),
  )
  return `## What we aim at\n\n| aim | measured | reached |\n| :-- | :-- | :-- |\n${rows.map(row => `| ${row.join(' | ')} |`).join('\n')}`
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

| run | date | Node | machine | load before it | took |
| :-- | :-- | :-- | :-- | --: | --: |
${runs.join('\n')}

Versions, the newest of each that run on Node 20: ${versions.map(([name, version]) => `${name} ${version}`).join(', ')}.`
}

const oneLine = text => text.replaceAll('\n', ' ')

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  if (process.argv.includes('--check')) {
    const stale = await findStale()
    if (stale.length > 0)
      console.error(`Not what bench/results.json says: ${stale.join(', ')}. Run node bench/report/report.mjs`)
    process.exitCode = stale.length > 0 ? 1 : 0
  } else await writeReport()
}
