// Runs server.js: against the real gateway when VKIT_APP_SECRET is set, else against an emulator of it in this process.
import { VKitClient } from '@video-io/videokit-nodejs'
import { GatewayEmulator } from '@video-io/videokit-nodejs/testing'
import { createApp } from './server.js'

const port = Number(process.env.PORT ?? 3000)
const emulator = process.env.VKIT_APP_SECRET ? undefined : await new GatewayEmulator().start()
const vkit = new VKitClient(emulator && { appSecret: emulator.appSecret, baseUrl: emulator.url })

console.log(
  emulator
    ? `Gateway: an emulator at ${emulator.url}, for VKIT_APP_SECRET is not set`
    : `Gateway: ${process.env.VKIT_BASE_URL ?? 'https://gateway.video.io'}`,
)

const server = createApp(vkit).listen(port, async error => {
  if (error) return fail(error)
  try {
    const { sessionToken, expiresAt, identity } = await vkit.getSessionToken('END_USER_ID')
    console.log(`Minted a session token for ${identity}, valid until ${expiresAt}:\n${sessionToken}\n`)
  } catch (error) {
    console.error(`No session token could be minted: ${error.message}\n`)
  }
  const { port } = server.address()
  console.log(`Session service listening on http://localhost:${port}. Try:\n  curl -s http://localhost:${port}/token`)
})

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, stop)

async function stop() {
  server.close()
  server.closeAllConnections()
  await vkit.close()
  await emulator?.stop()
}

function fail(error) {
  console.error(error.code === 'EADDRINUSE' ? `Port ${port} is taken: set PORT to another one.` : error.message)
  process.exitCode = 1
  void stop()
}
