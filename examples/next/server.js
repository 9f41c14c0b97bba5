// Runs the Next app in this folder. Run `npm install --prefix examples/next` once, then `npm start -- next`.
import http from 'node:http'
import next from 'next'

export async function listen(vkit, port) {
  const app = next({ dev: true, dir: import.meta.dirname })
  await app.prepare()
  // Only this machine can connect: without a real login, anyone who reaches the server gets a token.
  return http.createServer(app.getRequestHandler()).listen(port, '127.0.0.1')
}
