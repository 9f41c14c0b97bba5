// `npm start` runs the Express example, `npm start -- hono` another one: against the real gateway when VKIT_APP_SECRET is
// set, else against an emulator of it in this process.
import { once } from 'node:events'
import { VKitClient } from '@video-io/videokit-nodejs'
import { GatewayEmulator } from '@video-io/videokit-nodejs/testing'

const EXAMPLES = {
  express: './express/server.js',
  fastify: './fastify/server.js',
  hono: './hono/server.js',
  next: './next/server.js',
  lambda: './lambda/invoke.js',
  script: './script/mint-tokens.js',
}

const [name = 'express', ...args] = process.argv.slice(2)
const port = Number(process.env.PORT ?? 3000)
const emulator = process.env.VKIT_APP_SECRET ? undefined : await new GatewayEmulator().start()
// In the environment, as in production: some of the examples make a client of their own.
if (emulator) Object.assign(process.env, { VKIT_APP_SECRET: emulator.appSecret, VKIT_BASE_URL: emulator.url })
const vkit = new VKitClient()
let server

try {
  await start()
} catch (error) {
  console.error(error.code === 'EADDRINUSE' ? `Port ${port} is taken: set PORT to another one.` : error.message)
  process.exitCode = 1
  await stop()
}

async function start() {
  if (!EXAMPLES[name]) throw new Error(`There is no example ${name}. Try one of: ${Object.keys(EXAMPLES).join(', ')}`)
  console.log(
    emulator
      ? `Gateway: an emulator at ${emulator.url}, for VKIT_APP_SECRET is not set`
      : `Gateway: ${process.env.VKIT_BASE_URL ?? 'https://gateway.video.io'}`,
  )
  const example = await import(EXAMPLES[name])
  if (example.run) {
    await example.run(vkit, args)
    return stop()
  }
  server = await example.listen(vkit, port)
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop)
  if (!server.listening) await once(server, 'listening')
  await introduce(server.address().port)
}

async function introduce(port) {
  try {
    const { sessionToken, expiresAt, identity } = await vkit.getSessionToken('END_USER_ID')
    console.log(`Minted a session token for ${identity}, valid until ${expiresAt}:\n${sessionToken}\n`)
  } catch (error) {
    console.error(`No session token could be minted: ${error.message}\n`)
  }
  console.log(`Session service listening on http://localhost:${port}. Try:\n  curl -s http://localhost:${port}/token`)
}

async function stop() {
  server?.close()
  server?.closeAllConnections()
  await vkit.close()
  await emulator?.stop()
}
