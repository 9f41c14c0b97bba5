// `npm start` runs the Express example, and `npm start -- hono` another one. If VKIT_APP_SECRET is set, it uses the real
// gateway, otherwise an emulator in this process. It prints only tokens of the emulator, which have no value.
import { once } from 'node:events'
import { VKitClient } from '@video-io/videokit-nodejs'
import { GatewayEmulator } from '@video-io/videokit-nodejs/testing'

const EXAMPLES = {
  express: './express/server.js',
  fastify: './fastify/server.js',
  hono: './hono/server.js',
  next: './next/server.js',
  'cloudflare-worker': './cloudflare-worker/server.js',
  lambda: './lambda/invoke.js',
  script: './script/mint-tokens.js',
  fleet: './fleet/processes.js',
}

const [name = 'express', ...args] = process.argv.slice(2)
// Short, so that the demo page shows how a token is renewed.
const lifetimeMs = 120_000
const emulator = process.env.VKIT_APP_SECRET ? undefined : await new GatewayEmulator({ lifetimeMs }).start()
// Some examples create their own client, which reads the environment as in production.
if (emulator) Object.assign(process.env, { VKIT_APP_SECRET: emulator.appSecret, VKIT_BASE_URL: emulator.url })
const vkit = new VKitClient()
let server

try {
  await start()
} catch (error) {
  console.error(error.code === 'EADDRINUSE' ? `Port ${error.port} is in use. Set PORT to another port.` : error.message)
  process.exitCode = 1
  await stop()
}

async function start() {
  if (!EXAMPLES[name]) throw new Error(`Unknown example: ${name}. Examples: ${Object.keys(EXAMPLES).join(', ')}`)
  const port = readPort(process.env.PORT || '3000')
  console.log(
    emulator
      ? `Gateway: an emulator at ${emulator.url}, because VKIT_APP_SECRET is not set`
      : `Gateway: ${process.env.VKIT_BASE_URL ?? 'https://gateway.video.io'}`,
  )
  const example = await import(EXAMPLES[name])
  if (example.run) {
    await example.run(vkit, args, { printsTokens: emulator !== undefined })
    return stop()
  }
  server = await example.listen(vkit, port)
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop)
  if (!server.listening) await once(server, 'listening')
  if (emulator) await showToken()
  const { address, port: bound } = server.address()
  const url = `http://${address}:${bound}`
  const demo = name === 'express' ? `\nDemo: ${url}/demo` : ''
  console.log(`Session service listening on ${url}. Try:\n  curl -s ${url}/token${demo}`)
}

function readPort(text) {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new Error('PORT must be a whole number from 0 to 65535.')
}

async function showToken() {
  const { sessionToken, expiresAt, identity } = await vkit.getSessionToken('END_USER_ID')
  console.log(`Minted a session token for ${identity}, valid until ${expiresAt}:\n${sessionToken}\n`)
}

async function stop() {
  server?.close()
  server?.closeAllConnections()
  await vkit.close()
  await emulator?.stop()
}
