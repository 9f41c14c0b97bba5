// Runs the Next app of this folder, once `npm install --prefix examples/next` has been: `npm start -- next`.
import http from 'node:http'
import next from 'next'

export async function listen(vkit, port) {
  const app = next({ dev: true, dir: import.meta.dirname })
  await app.prepare()
  // Only for this machine: without a real login anyone who reaches it gets a token.
  return http.createServer(app.getRequestHandler()).listen(port, '127.0.0.1')
}
