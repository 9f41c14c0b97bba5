// Serves the Worker with the runtime of Vercel.
import { EdgeRuntime, runServer } from 'edge-runtime'
import * as edge from './edge.mjs'

const entry = `
  import worker from './worker.mjs'
  const env = { APP_SECRET: ${JSON.stringify(edge.gateway.appSecret)} }
  addEventListener('fetch', event => event.respondWith(worker.fetch(event.request, env, event)))`
const initialCode = await edge.bundle(entry, ['edge-light', 'worker', 'browser'])
const server = await runServer({ runtime: new EdgeRuntime({ initialCode }), port: 0, host: '127.0.0.1' })
await edge.checkEssentials(server.url.replace(/\/$/, ''))
await server.close()
await edge.gateway.stop()
