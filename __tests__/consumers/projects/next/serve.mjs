// serve.mjs [--webpack]: builds without a secret, as CI does, then serves and requests a token from the route.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

const { VKIT_APP_SECRET, VKIT_BASE_URL, ...env } = process.env
const next = 'node_modules/next/dist/bin/next'
const run = { env: { ...env, NEXT_TELEMETRY_DISABLED: '1' }, stdio: ['ignore', 'pipe', 'inherit'] }
execFileSync(process.execPath, [next, 'build', ...process.argv.slice(2)], run)

run.env = { ...run.env, VKIT_APP_SECRET, VKIT_BASE_URL }
const server = spawn(process.execPath, [next, 'start', '--port', '0', '--hostname', '127.0.0.1'], run)
try {
  assert.equal((await (await fetch(`${await address(server)}/token`)).json()).identity, process.env.CONSUMER)
} finally {
  server.kill()
  await once(server, 'exit')
}

async function address({ stdout }) {
  for await (const line of createInterface({ input: stdout })) {
    const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(line) ?? []
    if (url) return url
  }
  throw new Error('the server ended')
}
