// Runs the Next app of this folder, once `npm install --prefix examples/next` has been: `npm start -- next`.
import http from 'node:http'
import next from 'next'

export async function listen(vkit, port) {
  const app = next({ dev: true, dir: import.meta.dirname })
  await app.prepare()
  return http.createServer(app.getRequestHandler()).listen(port)
}
