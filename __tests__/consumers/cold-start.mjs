import { run } from './project.mjs'

const ROUNDS = 15

const LOAD = {
  require: name => `require('${name}')`,
  import: name => `await import('${name}')`,
}

/**
 * Measures the least CPU time, in milliseconds, of a bare process, of one that loads this package, and of one that loads
 * stripe. They run in turns. CPU time, and the least of the rounds, because other load on the machine can only add to it.
 * `load` is the time to load the package, `process` the time since the process started.
 */
export async function measureColdStart({ how, ours, theirs }) {
  const cases = {
    bare: { cwd: ours, code: '' },
    ours: { cwd: ours, code: LOAD[how]('@video-io/videokit-nodejs') },
    theirs: { cwd: theirs, code: LOAD[how]('stripe') },
  }
  const samples = { bare: [], ours: [], theirs: [] }
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, { cwd, code }] of Object.entries(cases)) samples[name].push(await sample(how, code, cwd))
  }
  return Object.fromEntries(
    Object.entries(samples).map(([name, all]) => [
      name,
      { load: Math.min(...all.map(({ load }) => load)), process: Math.min(...all.map(each => each.process)) },
    ]),
  )
}

async function sample(how, code, cwd) {
  const type = how === 'require' ? 'commonjs' : 'module'
  const script = `
    const cpuMs = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000 }
    const start = cpuMs(); ${code}; const end = cpuMs()
    console.log(JSON.stringify({ load: end - start, process: end }))`
  return JSON.parse(await run(process.execPath, [`--input-type=${type}`, '-e', script], { cwd }))
}
