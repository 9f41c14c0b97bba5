// Loads one package into this fresh process, and says what that took.
const [how, specifier] = process.argv.slice(2)

async function main() {
  const cpu = process.cpuUsage()
  const started = performance.now()
  if (how === 'require') require(specifier)
  else await import(specifier)
  const ms = performance.now() - started
  const { user, system } = process.cpuUsage(cpu)
  console.log(JSON.stringify({ ms, cpuMs: (user + system) / 1e3 }))
}

void main().then(() => process.exit())
