import { run } from './project.mjs'

const ROUNDS = 15

const LOAD = {
  require: name => `require('${name}')`,
  import: name => `await import('${name}')`,
}

/**
 * Measures the median times, in milliseconds, of a bare process, of one that loads this package, and of one that loads
 * stripe. They run in turns, so other load on the machine affects all three. `load` is the time to load the package,
 * `process` the time since the process started.
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
      { load: median(all.map(({ load }) => load)), process: median(all.map(each => each.process)) },
    ]),
  )
}

async function sample(how, code, cwd) {
  const type = how === 'require' ? 'commonjs' : 'module'
  const script = `const start = performance.now(); ${code}; const end = performance.now(); console.log(JSON.stringify({ load: end - start, process: end }))`
  return JSON.parse(await run(process.execPath, [`--input-type=${type}`, '-e', script], { cwd }))
}

function median(values) {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)]
}
