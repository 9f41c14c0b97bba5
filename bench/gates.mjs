// npm run gates [-- hit mint …] [--scale 0.5]
//
// Fails if the package in dist/ allocates, creates, loads or installs more than its bounds. None of these numbers depends on
// a clock or on the load of the machine. Times do, so they are never gated: see `npm run bench`.
//
// --scale  multiply each bound: to see a gate fail
import { parseArgs } from 'node:util'
import { Gateway } from './harness/gateway.mjs'
import { withCandidates } from './harness/rounds.mjs'
import { toTerminal } from './report/table.mjs'

/** Bounds of bytes are some 12 % above the number on Node 20; counts have no room. `look` is the probable cause of growth. */
const GATES = {
  hit: {
    what: 'bytes allocated by a hit',
    bound: 460,
    look: 'VKitClient.getSessionToken and TokenCache.peek create a new object, promise or closure',
  },
  hitWithScopes: {
    what: 'bytes allocated by a hit with scopes',
    bound: 660,
    look: 'TokenCache.peek no longer recognizes an array of scopes, or copies it',
  },
  hitWithOptions: {
    what: 'bytes allocated by a hit with options',
    bound: 750,
    look: 'resolveCall in lib/options/ creates more before the cache is read',
  },
  joinBytes: {
    what: 'bytes allocated by a caller who joins a flight',
    bound: 1_500,
    look: 'lib/cache/flights.ts creates more for each caller who waits',
  },
  joinPromises: {
    what: 'promises of a caller who joins a flight',
    bound: 4,
    look: 'another async function or `then` is between the caller and the flight',
  },
  mint: {
    what: 'KiB allocated by a mint, 256 at once',
    bound: 66,
    look: 'lib/gateway/ creates more for each mint, or a new version of got does',
  },
  mintPromises: {
    what: 'promises of a mint',
    bound: 34,
    look: 'another async function is between getSessionToken and the transport, or a new version of got has one',
  },
  mintTimers: {
    what: 'timers of a mint',
    bound: 3,
    look: 'a new deadline or timeout starts for each mint: let it share a timer that exists',
  },
  entry: {
    what: 'heap bytes of a cached token of 339 characters',
    bound: 760,
    look: 'lib/cache/cached-token.ts has a new field, or an entry keeps a response alive',
  },
  importFiles: {
    what: 'files that `import` loads',
    bound: 5,
    look: 'scripts/bundle.mjs makes another chunk, or what only a mint needs is imported at the top of a file',
  },
  requireFiles: {
    what: 'files that `require` loads',
    bound: 4,
    look: 'scripts/bundle.mjs makes another chunk, or leaves a dependency out of the bundle',
  },
  firstMintFiles: {
    what: 'files that `import` and a mint load',
    bound: 6,
    look: 'scripts/bundle.mjs makes another chunk, or leaves a dependency of got out of the bundle',
  },
  packages: {
    what: 'packages that an install brings',
    bound: 1,
    look: 'package.json has a new dependency: bundle it, and move it to devDependencies',
  },
}

const NEXT = 'If the growth is worth it, raise the bound in bench/gates.mjs and give the reason in the commit.'
const WORKER = new URL('workers/gates.mjs', import.meta.url)
/** So much space for new objects that none is collected during a measurement. */
const EXEC_ARGV = ['--expose-gc', '--min-semi-space-size=128', '--max-semi-space-size=128']

const { values: flags, positionals } = parseArgs({ allowPositionals: true, options: { scale: { type: 'string' } } })
const names = positionals.length > 0 ? positionals : Object.keys(GATES)
const unknown = names.filter(name => !(name in GATES))
if (unknown.length > 0) {
  console.error(`Unknown gate: ${unknown.join(', ')}. Gates: ${Object.keys(GATES).join(', ')}`)
  process.exit(1)
}

const gateway = await Gateway.start({ tls: false })
try {
  const results = []
  for (const name of names) results.push(await judge(name))
  report(results)
} finally {
  gateway.stop()
}

async function judge(name) {
  const one = { worker: WORKER, name, context: { url: gateway.urls.http[0] }, execArgv: EXEC_ARGV }
  const measured = await withCandidates([one], ([candidate]) => candidate.sample({}))
  if (!(measured > 0)) throw new Error(`${name}: ${measured} cannot be right, so bench/workers/gates.mjs needs a fix`)
  const bound = GATES[name].bound * Number(flags.scale ?? 1)
  return { ...GATES[name], name, measured, bound, isOver: !(measured <= bound) }
}

function report(results) {
  const rows = results.map(({ name, what, measured, bound, isOver }) => [
    `${isOver ? '✗' : '✓'} ${name}`,
    what,
    round(measured),
    round(bound),
  ])
  console.log(toTerminal({ head: ['gate', 'what', 'measured', 'bound'], rows }))
  const over = results.filter(({ isOver }) => isOver)
  for (const { name, what, measured, bound, look } of over) {
    console.error(
      `\n✗ ${name}: ${round(measured)} ${what}, and the bound is ${round(bound)}. Probably ${look}. ${NEXT}`,
    )
  }
  if (over.length > 0) process.exitCode = 1
}

function round(value) {
  return value.toLocaleString('en', { maximumFractionDigits: value < 100 ? 1 : 0 })
}
