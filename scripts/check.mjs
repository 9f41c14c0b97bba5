// node scripts/check.mjs <script of package.json> ...
//
// Runs the scripts one after the other, says which one runs, and ends at the first that fails.
import { spawnSync } from 'node:child_process'
import { npmCommand } from './npm.mjs'

const steps = process.argv.slice(2)
const times = []
for (const [index, step] of steps.entries()) {
  console.log(`\n[${index + 1}/${steps.length}] npm run ${step}`)
  const start = performance.now()
  const { status } = spawnSync(...npmCommand(['run', '--silent', step]), { stdio: 'inherit' })
  times.push(`${((performance.now() - start) / 1000).toFixed(1).padStart(7)} s  ${step}`)
  if (status !== 0) {
    times[times.length - 1] += `  FAILED: fix it, and try npm run ${step} alone`
    process.exitCode = 1
    break
  }
}
console.log(`\n${times.join('\n')}`)
