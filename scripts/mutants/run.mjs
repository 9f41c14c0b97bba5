// npm run test:mutants -- [--own] [file, folder or room of lib/]...
//
// Changes lib/ in small ways (mutants), and reports the changes that no test notices. The room's own tests come first. Then,
// for what they leave without a reason, come the other unit tests and the integration tests that start no process. `--own`
// stops after the room's own. Without a name, it takes the rooms where a mistake hurts users.
//
// A survivor needs a test, less code, or an entry in survivors.json with the reason: "equivalent" (no caller can notice) or
// "speed" (only the time or the memory changes). An entry is for one survivor, or for as many as its "times" says. It fails if
// a room catches less than 95 %, or if a survivor has no reason.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { Stryker } from '@stryker-mutator/core'

const ROOMS = ['gateway', 'cache', 'store', 'secret', 'options', 'token', 'handlers', 'batch']
const WANTED = 0.95
const REASONS = JSON.parse(readFileSync(path.join(import.meta.dirname, 'survivors.json'), 'utf8'))
const TEMP = '.mutants'
const [RUNNER, BAIL] = ['jest-by-file.mjs', 'bail-environment.mjs'].map(name => path.resolve(import.meta.dirname, name))

/** Tests that start processes, servers of other packages or minutes of simulation cannot run once for each mutant. */
const OTHER_TESTS =
  '/__tests__/(unit/(?!cli/)|integration/(?!browser|cli|docker|emulator-guide|plain-http|handlers/examples|outage-sockets|overload|release|process-end|permission|http-interceptors|load-got|shared-store|fleet|.*-redis)).+\\.test\\.ts$'

const outdated = REASONS.filter(({ file, code }) => !linesOf(file).includes(code))
if (outdated.length > 0) throw new Error(`survivors.json has lines that are gone: ${JSON.stringify(outdated, null, 2)}`)

const { values, positionals } = parseArgs({ allowPositionals: true, options: { own: { type: 'boolean' } } })
const names = positionals.length > 0 ? positionals : ROOMS
mkdirSync(TEMP, { recursive: true })
process.env.MUTANTS_FILES_OF_TESTS = path.resolve(TEMP, 'files-of-tests.json')
// 10,000 for each mutant would take hours.
process.env.VKIT_TEST_RUNS ??= '300'
process.env.VKIT_TEST_ORDERS ??= '10'

const started = performance.now()
const results = new Map()
const filesOfRooms = {}
for (const file of names.flatMap(filesOf)) (filesOfRooms[roomOf(file)] ??= []).push(file)
for (const [room, files] of Object.entries(filesOfRooms)) {
  await tryMutants(files, `/__tests__/(unit|integration)/${room}/(?!examples).+\\.test\\.ts$`)
}
const left = report()
if (!values.own && left.length > 0) {
  console.log(`\nThe other tests, on the ${left.length} without a reason:`)
  await tryMutants(left.map(rangeOf), OTHER_TESTS, 15_000)
  report()
}

function filesOf(name) {
  const place = existsSync(name) ? name : `lib/${name}`
  if (statSync(place).isFile()) return [path.normalize(place)]
  return readdirSync(place, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name.endsWith('.ts'))
    .map(entry => path.join(entry.parentPath, entry.name))
}

function roomOf(file) {
  return file.split(path.sep)[1]
}

async function tryMutants(mutate, testRegex, testTimeout = 5_000) {
  const stryker = new Stryker({
    mutate,
    plugins: ['@stryker-mutator/jest-runner', RUNNER],
    testRunner: 'jest-by-file',
    testRunnerNodeArgs: [
      ...['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'],
      // A mutant that fills the memory ends sooner.
      '--max-old-space-size=1500',
    ],
    // A mutant may keep a process busy or leak memory.
    maxTestRunnerReuse: 200,
    jest: { enableFindRelatedTests: false, config: { testRegex, testEnvironment: BAIL, testTimeout } },
    coverageAnalysis: 'perTest',
    concurrency: availableParallelism(),
    // Jest ends a test that hangs; this is for a loop, and has to allow the loading of each test file.
    timeoutMS: 15_000,
    dryRunTimeoutMinutes: 15,
    ignorePatterns: ['dist', 'docs', 'bench', 'examples', TEMP],
    tempDirName: `${TEMP}/sandboxes`,
    reporters: ['dots'],
    warnings: { slow: false },
    logLevel: 'warn',
  })
  for (const mutant of await stryker.runMutationTest()) {
    const known = results.get(keyOf(mutant))
    // Stryker also tries again what is inside the place of a survivor, and other tests need not catch what these did.
    if (!known || isSurvivor(known)) results.set(keyOf(mutant), mutant)
  }
}

function keyOf({ fileName, location: { start, end }, replacement }) {
  return [path.relative('.', fileName), start.line, start.column, end.line, end.column, replacement].join(':')
}

function isSurvivor({ status }) {
  return status === 'Survived' || status === 'NoCoverage'
}

/** Results count lines and columns from 1; ranges to mutate count columns from 0. */
function rangeOf({ fileName, location: { start, end } }) {
  return `${path.relative('.', fileName)}:${start.line}:${start.column - 1}-${end.line}:${end.column - 1}`
}

/** Prints the survivors and the table. Returns the survivors without a reason. */
function report() {
  const rooms = new Map()
  const unexplained = []
  const explained = new Map(REASONS.map(each => [each, 0]))
  for (const mutant of results.values()) {
    if (['CompileError', 'RuntimeError', 'Ignored'].includes(mutant.status)) continue
    const file = path.relative('.', mutant.fileName)
    const room = roomOf(file)
    const count = rooms.get(room) ?? { mutants: 0, caught: 0, equivalent: 0, speed: 0, unexplained: 0 }
    rooms.set(room, count)
    count.mutants++
    if (mutant.status === 'Killed' || mutant.status === 'Timeout') count.caught++
    else {
      const entry = reasonsOf(mutant).find(each => explained.get(each) < (each.times ?? 1))
      count[entry?.reason ?? 'unexplained']++
      if (entry) explained.set(entry, explained.get(entry) + 1)
      else unexplained.push({ file, code: codeOf(mutant), mutant })
    }
  }
  for (const { file, code, mutant } of unexplained) {
    const { line, column } = mutant.location.start
    console.log(`\n${file}:${line}:${column} ${mutant.status === 'NoCoverage' ? '(no test reaches it)' : ''}`)
    console.log(`  ${code}\n  ${mutant.mutatorName}: ${mutant.replacement}`)
  }
  const files = new Set([...results.values()].map(({ fileName }) => path.relative('.', fileName)))
  for (const [{ file, code, mutant, times = 1 }, count] of explained) {
    if (files.has(file) && count < times) console.log(`\nA reason without its mutant: ${file}\n  ${code}\n  ${mutant}`)
  }
  const table = [...rooms].map(([room, count]) => ({ room, ...count, share: share(count) }))
  console.log()
  console.table(Object.fromEntries(table.map(({ room, share, ...count }) => [room, { ...count, '%': percent(share) }])))
  console.log(`${((performance.now() - started) / 60_000).toFixed(1)} minutes`)
  process.exitCode = unexplained.length > 0 || table.some(({ share }) => share < WANTED) ? 1 : 0
  return unexplained.map(({ mutant }) => mutant)
}

/** The entries in survivors.json for this change of this line. */
function reasonsOf(mutant) {
  const file = path.relative('.', mutant.fileName).replaceAll(path.sep, '/')
  const code = codeOf(mutant)
  return REASONS.filter(each => each.file === file && each.code === code && each.mutant === mutant.replacement)
}

/** The line where the mutant starts, because numbers of lines move. */
function codeOf({ fileName, location }) {
  return linesOf(fileName)[location.start.line - 1]
}

function linesOf(file) {
  return readFileSync(file, 'utf8')
    .split('\n')
    .map(line => line.trim())
}

function share({ mutants, caught }) {
  return caught / mutants
}

function percent(value) {
  return Math.floor(value * 1000) / 10
}
