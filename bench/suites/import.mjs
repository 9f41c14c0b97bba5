import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { OURS, packages, REFERENCE } from '../competitors/packages.mjs'
import { sizeOf } from '../harness/package-size.mjs'
import { runRounds, withCandidates } from '../harness/rounds.mjs'
import { compare } from '../harness/stats.mjs'
import { bytes, number, percent, ratioOf, times } from '../report/format.mjs'

const LOADER = fileURLToPath(new URL('../workers/import.cjs', import.meta.url))
const WARM_UP = new URL('../workers/warm-up.mjs', import.meta.url)
const WAYS = ['require', 'import']
const PREDECESSOR = 'node-fetch 2'
/** 0.0.6 was CommonJS, so `import` of it loaded node-fetch with `require`, too. */
const FIRST_TOKEN = {
  [PREDECESSOR]: ['require', 'node-fetch'],
  ...Object.fromEntries(WAYS.map(how => [`${OURS}, ${how}`, [how, OURS]])),
}
const COLD = 'without `warmUp()`'
const WARM = 'after `warmUp()`'
const GOALS = { load: 0.25, firstToken: { require: 1.7, import: 2 }, afterWarmUp: 1.5 }
const run = promisify(execFile)

export const title = 'Loading the package'
export const about = `\`require\` and \`import\` of the whole package in a new process, with the files in the page cache. The time is measured
inside the process, so it does not include the start of Node. Packages and bytes are the size of an installation with its dependencies. Our
package loads got at its first mint. The *first token* of a process is loading, a new client and one mint at the gateway on loopback.
Version 0.0.6, which was CommonJS, did the same with node-fetch 2. A server that makes its client at start-up can call \`warmUp()\`: the last
table compares the first mint, over https, with the median of 20 later ones.`

export async function measure({ gateway, quick, note }) {
  const rounds = quick ? 3 : 11
  const url = gateway.urls.http[0]
  const data = {}
  for (const how of WAYS) {
    note(how)
    data[how] = compareTimes(await runLoaders(rounds, packages, name => load(how, name)), REFERENCE)
  }
  note('first token')
  const firstTokens = await runLoaders(rounds, Object.keys(FIRST_TOKEN), name => load(...FIRST_TOKEN[name], url))
  data.firstToken = compareTimes(firstTokens, PREDECESSOR)
  note('warmUp()')
  const warmUp = await measureWarmUp(gateway, rounds)
  const sizes = Object.fromEntries(await Promise.all(packages.map(async name => [name, await sizeOf(name)])))
  return { rounds, ...data, warmUp, sizes }
}

const compareTimes = (samples, floor) => ({
  ms: compare(samples, floor, 'ms'),
  cpuMs: compare(samples, floor, 'cpuMs'),
})

const runLoaders = (rounds, names, sample) =>
  runRounds(
    names.map(name => ({ name })),
    rounds,
    ({ name }) => sample(name),
  )

async function load(...how) {
  const { stdout } = await run(process.execPath, [LOADER, ...how], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
  })
  return JSON.parse(stdout.trim().split('\n').at(-1))
}

/** Compares the first mint of a process with its later ones, per kind of start. */
async function measureWarmUp({ urls, caFile }, rounds) {
  const context = { url: urls.https[0], appSecret: 'APP_SECRET' }
  const env = { NODE_EXTRA_CA_CERTS: caFile }
  const starts = [
    { worker: WARM_UP, name: COLD, context: { ...context, warmUp: false }, env },
    { worker: WARM_UP, name: WARM, context: { ...context, warmUp: true }, env },
  ]
  const samples = await runRounds(starts, rounds, one => withCandidates([one], ([candidate]) => candidate.sample({})))
  return Object.fromEntries(
    Object.entries(samples).map(([name, own]) => [
      name,
      compare(
        { first: own.map(({ first }) => ({ ms: first })), later: own.map(({ later }) => ({ ms: later })) },
        'later',
        'ms',
      ),
    ]),
  )
}

export function tables({ require, import: imported, firstToken, warmUp, sizes }) {
  const cells = ({ ms, cpuMs }, name, ratioTo = cpuMs) => [
    number(ms[name].median),
    number(cpuMs[name].median),
    percent(ratioTo[name].spread),
    times(ratioTo[name].ratio),
  ]
  const loading = packages
    .toSorted((a, b) => imported.cpuMs[a].median - imported.cpuMs[b].median)
    .map(name => [
      name,
      ...cells(require, name),
      ...cells(imported, name),
      String(sizes[name].packages),
      bytes(sizes[name].bytes),
    ])
  const first = Object.keys(FIRST_TOKEN).map(name => [name, ...cells(firstToken, name, firstToken.ms)])
  const mints = Object.entries(warmUp).map(([name, { first, later }]) => [
    name,
    number(first.median),
    percent(first.spread),
    number(later.median),
    times(first.ratio),
  ])
  const each = how => [`${how}: ms`, 'CPU ms', '±', `× ${REFERENCE}`]
  return [
    { head: ['', ...WAYS.flatMap(each), 'packages', 'bytes'], rows: loading, ours: [OURS] },
    {
      caption: 'The first token of a process',
      head: ['', 'ms', 'CPU ms', '±', `× ${PREDECESSOR}`],
      rows: first,
      ours: Object.keys(FIRST_TOKEN).filter(name => name !== PREDECESSOR),
    },
    {
      caption: 'The first mint of a client that exists already',
      head: ['', 'first: ms', '±', 'later: ms', '× later'],
      rows: mints,
      ours: [WARM],
    },
  ]
}

export function goals({ firstToken, warmUp, ...loading }) {
  return [
    ...WAYS.map(how => {
      const { ms, cpuMs } = loading[how]
      return {
        goal: `\`${how}\` takes at most ${times(GOALS.load)} the time of ${REFERENCE}`,
        saw: `${ratioOf(ms[OURS])}, CPU ${ratioOf(cpuMs[OURS])}`,
        reached: cpuMs[OURS].ratio <= GOALS.load && ms[OURS].ratio <= GOALS.load,
        why: 'five files are read and compiled, and the TLS and HTTP modules of Node, which we need, are loaded.',
      }
    }),
    ...WAYS.map(how => ({
      goal: `the first token by \`${how}\` takes at most ${times(GOALS.firstToken[how])} the time with ${PREDECESSOR}`,
      saw: ratioOf(firstToken.ms[`${OURS}, ${how}`]),
      reached: firstToken.ms[`${OURS}, ${how}`].ratio <= GOALS.firstToken[how],
      why: 'got is larger than node-fetch, and its code runs for the first time.',
    })),
    {
      goal: `${WARM}, the first mint takes at most ${times(GOALS.afterWarmUp)} the time of a later one`,
      saw: ratioOf(warmUp[WARM].first),
      reached: warmUp[WARM].first.ratio <= GOALS.afterWarmUp,
      why: `the code that sends a request and parses the response runs for the first time. Only an invented response could warm
it, and telemetry would show it as a request.`,
    },
  ]
}
