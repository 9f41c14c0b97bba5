// Loads one package in this new process, mints a token with it if there is a URL, and prints the time that it took.
const [how, specifier, url] = process.argv.slice(2)

const mints = {
  '@video-io/videokit-nodejs': ({ VKitClient }) =>
    new VKitClient({ appSecret: 'APP_SECRET', baseUrl: url }).getSessionToken('USER'),
  'node-fetch': async ({ default: nodeFetch }) => {
    const response = await nodeFetch(`${url}/v1/sessions`, {
      method: 'POST',
      headers: { authorization: 'Bearer APP_SECRET', 'content-type': 'application/json' },
      body: JSON.stringify({ identity: 'USER', scopes: [] }),
    })
    return response.json()
  },
}

async function main() {
  const cpu = process.cpuUsage()
  const started = performance.now()
  const loaded = how === 'require' ? require(specifier) : await import(specifier)
  const token = url && (await mints[specifier](loaded))
  const ms = performance.now() - started
  const { user, system } = process.cpuUsage(cpu)
  if (url && token.identity !== 'USER') throw new Error(`Unexpected token: ${JSON.stringify(token)}`)
  console.log(JSON.stringify({ ms, cpuMs: (user + system) / 1e3 }))
}

void main().then(() => process.exit())
