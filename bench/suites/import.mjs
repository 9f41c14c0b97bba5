import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { OURS, packages, REFERENCE } from '../competitors/packages.mjs'
import { compare } from '../harness/stats.mjs'
import { sizeOf } from '../harness/package-size.mjs'
import { bytes, number, percent, times } from '../report/format.mjs'

const LOADER = fileURLToPath(new URL('../workers/import.cjs', import.meta.url))
const GOAL = 1 / 3
const run = promisify(execFile)

export const title = 'Loading the package'
export const about = `\`require\` and \`import\` of the whole package in a new process, with the files in the page cache. The time is measured
inside the process, so it does not include the start of Node. Packages and bytes are the size of an installation with its dependencies. Our
package loads got at its first mint: *with its first token* is \`import\` and one mint at the gateway on loopback.`

const FIRST_TOKEN = `${OURS}, with its first token`

export async function measure({ gateway, quick, note }) {
  const rounds = quick ? 5 : 11
  const data = {}
  for (const how of ['require', 'import']) {
    note(how)
    const samples = Object.fromEntries(packages.map(name => [name, []]))
    for (let round = 0; round < rounds; round++) {
      for (const name of packages) samples[name].push(await load(how, name))
      if (how === 'import') (samples[FIRST_TOKEN] ??= []).push(await load('first-token', OURS, gateway.urls.http[0]))
    }
    data[how] = { ms: compare(samples, REFERENCE, 'ms'), cpuMs: compare(samples, REFERENCE, 'cpuMs') }
  }
  const sizes = Object.fromEntries(await Promise.all(packages.map(async name => [name, await sizeOf(name)])))
  return { rounds, ...data, sizes }
}

async function load(...how) {
  const { stdout } = await run(process.execPath, [LOADER, ...how], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
  })
  return JSON.parse(stdout.trim().split('\n').at(-1))
}

export function tables({ require, import: imported, sizes }) {
  const cells = ({ ms, cpuMs }, name) =>
    name in ms
      ? [number(ms[name].median), number(cpuMs[name].median), percent(cpuMs[name].spread), times(cpuMs[name].ratio)]
      : ['', '', '', '']
  const rows = [...packages, FIRST_TOKEN]
    .filter(name => name in imported.cpuMs)
    .toSorted((a, b) => imported.cpuMs[a].median - imported.cpuMs[b].median)
    .map(name => [
      name,
      ...cells(require, name),
      ...cells(imported, name),
      ...(sizes[name] ? [String(sizes[name].packages), bytes(sizes[name].bytes)] : ['', '']),
    ])
  const each = how => [`${how}: ms`, 'CPU ms', '±', `× ${REFERENCE}`]
  return [{ head: ['', ...each('require'), ...each('import'), 'packages', 'bytes'], rows, ours: [OURS, FIRST_TOKEN] }]
}

export function goals({ require, import: imported }) {
  return [
    ['require', require],
    ['import', imported],
  ].map(([how, { ms, cpuMs }]) => ({
    goal: `\`${how}\` takes at most a third of the time of ${REFERENCE}`,
    saw: `${times(ms[OURS].ratio)} of the time, ${times(cpuMs[OURS].ratio)} of the CPU time`,
    reached: cpuMs[OURS].ratio <= GOAL && ms[OURS].ratio <= GOAL,
  }))
}
