// Runs worker.js in workerd, the runtime of Cloudflare Workers, as `wrangler dev` does. Run
// `npm install --prefix examples/cloudflare-worker` once, then `npm start -- cloudflare-worker`.
import path from 'node:path'
import { unstable_startWorker as startWorker } from 'wrangler'

export async function listen(vkit, port) {
  const worker = await startWorker({
    config: path.join(import.meta.dirname, 'wrangler.jsonc'),
    bindings: {
      VKIT_APP_SECRET: { type: 'secret_text', value: process.env.VKIT_APP_SECRET },
      ...(process.env.VKIT_BASE_URL && { VKIT_BASE_URL: { type: 'plain_text', value: process.env.VKIT_BASE_URL } }),
    },
    sendMetrics: false,
    // Only this machine can connect: without a real login, anyone who reaches the server gets a token.
    dev: { server: { hostname: '127.0.0.1', port }, inspector: false, persist: false, watch: false, logLevel: 'warn' },
  })
  const { hostname, port: bound } = await worker.url
  return {
    listening: true,
    address: () => ({ address: hostname, port: Number(bound) }),
    close: () => worker.dispose(),
    closeAllConnections: () => undefined,
  }
}
