// A token endpoint in a container, with `node:http` only. Run it with `docker compose up --build`, see ../README.md#docker.
import { once } from 'node:events'
import http from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { VKitClient } from '@video-io/videokit-nodejs'
import { createTokenHandler } from '@video-io/videokit-nodejs/handlers'

const vkit = new VKitClient()

/**
 * Replace this with your own authentication (a session cookie, a bearer token). It accepts every request.
 *
 * Replace it before other machines can reach this server. The request must never choose the user.
 */
const authenticate = () => 'END_USER_ID'

try {
  await vkit.warmUp()
} catch (error) {
  // A wrong secret or URL stays wrong. A gateway that is down may be back at the next request.
  if (error.code === 'VKIT_CONFIG') {
    console.error(error.message)
    process.exit(1)
  }
  console.warn(`No connection to the gateway yet: ${error.message}`)
}

const respondWithToken = createTokenHandler(vkit, { authenticate })
const server = http.createServer((req, res) => {
  const path = req.url.split('?')[0]
  if (path === '/token') respondWithToken(req, res)
  else if (path === '/') res.end('Session Service')
  else res.writeHead(404).end()
})
// All addresses of the container: compose.yaml publishes the port on this machine only.
server.listen(3000, () => console.log('Session service listening on port 3000'))

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    server.close()
    // Docker ends the process after 10 s.
    await Promise.race([once(server, 'close'), setTimeout(5_000)])
    await vkit.close()
    process.exit()
  })
}
