// Loads one package in this new process, and prints the time that it took.
const [how, specifier, url] = process.argv.slice(2)

async function main() {
  const cpu = process.cpuUsage()
  const started = performance.now()
  if (how === 'require') require(specifier)
  else {
    const { VKitClient } = await import(specifier)
    if (how === 'first-token') await new VKitClient({ appSecret: 'APP_SECRET', baseUrl: url }).getSessionToken('USER')
  }
  const ms = performance.now() - started
  const { user, system } = process.cpuUsage(cpu)
  console.log(JSON.stringify({ ms, cpuMs: (user + system) / 1e3 }))
}

void main().then(() => process.exit())
