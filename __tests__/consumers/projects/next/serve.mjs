// serve.mjs [--webpack]: builds without a secret, as CI does, then serves and requests tokens from both runtimes of Next.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'

const { VKIT_APP_SECRET, VKIT_BASE_URL, ...env } = process.env
const next = 'node_modules/next/dist/bin/next'
const run = { env: { ...env, NEXT_TELEMETRY_DISABLED: '1' }, stdio: ['ignore', 'pipe', 'inherit'] }
execFileSync(process.execPath, [next, 'build', ...process.argv.slice(2)], { ...run, stdio: 'inherit' })

run.env = { ...run.env, VKIT_APP_SECRET, VKIT_BASE_URL }
const server = spawn(process.execPath, [next, 'start', '--port', '0', '--hostname', '127.0.0.1'], run)
try {
  const url = await address(server)
  await checkRoute(`${url}/token`)
  await checkRoute(`${url}/edge`)
} finally {
  server.kill()
  await once(server, 'exit')
}

/** Two users, and two mints of one user, have a token each, and Next keeps none: it can cache a `fetch`, a POST too. */
async function checkRoute(route) {
  const user = process.env.CONSUMER
  const tokens = []
  for (const query of [{ user: 'other' }, { user }, { user, cache: 'reload' }, { user, cache: 'reload' }]) {
    const token = await (await fetch(`${route}?${new URLSearchParams(query)}`)).json()
    assert.equal(token.identity, query.user)
    tokens.push(token.sessionToken)
  }
  assert.equal(new Set(tokens).size, tokens.length)
  for (const entry of await readdir('.next', { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const file = path.join(entry.parentPath, entry.name)
    const text = await readFile(file, 'latin1')
    assert(!tokens.some(token => text.includes(token)), `a token is in ${file}`)
  }
}

async function address({ stdout }) {
  for await (const line of createInterface({ input: stdout })) {
    const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(line) ?? []
    if (url) return url
  }
  throw new Error('the server ended')
}
