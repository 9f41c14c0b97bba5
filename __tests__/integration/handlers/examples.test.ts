import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals'
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { installCopy } from '../../support/docs/package-copy.js'
import { afterThisTest, startGateway } from '../../support/gateway.js'
import { itWith, posix } from '../../support/needs.js'
import { redisOnPath } from '../../support/servers.js'

/** Each test starts one or two processes, which is slow on a busy machine. */
jest.setTimeout(30_000)

const TOKEN = {
  sessionToken: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/) as unknown,
  expiresAt: expect.stringMatching(/Z$/) as unknown,
  identity: 'END_USER_ID',
}

/** Contains the examples, the package built from the current lib/, and the installed frameworks. */
let folder: string
beforeAll(async () => {
  folder = await installCopy()
  writeFileSync(path.join(folder, 'package.json'), '{ "private": true, "type": "module" }')
  cpSync('examples', path.join(folder, 'examples'), {
    recursive: true,
    filter: source => !source.includes('node_modules'),
  })
}, 120_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

type Example = ChildProcessByStdio<null, Readable, Readable>

function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Example {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(VKIT|JEST|NODE)_/.test(name)))
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { ...clean, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  afterThisTest(() => Promise.resolve(void child.kill('SIGKILL')))
  return child
}

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly errors: string
}

async function ended(child: Example): Promise<Ended> {
  const closed = once(child, 'close') as Promise<[number | null]>
  const [out, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), closed])
  return { code, out, errors }
}

/** Waits until the example prints the URL it listens on. */
async function urlOf(child: Example): Promise<{ url: string; printed: string }> {
  let printed = ''
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    printed += chunk.toString()
    const url = /curl -s (http:\S+)\/token/.exec(printed)?.[1]
    if (url !== undefined) return { url, printed }
  }
  throw new Error(`The example ended before it listened: ${printed}`)
}

describe.each(['express', 'fastify', 'hono'])('the %s example', name => {
  const start = (): Example => run(['examples/start.js', ...(name === 'express' ? [] : [name])])

  it('runs with one command, listens only on this machine, and responds', async () => {
    const { url, printed } = await urlOf(start())
    expect(printed).toMatch(/^Gateway: an emulator at http:\/\/127\.0\.0\.1:\d+, because VKIT_APP_SECRET is not set\n/)
    expect(printed).toMatch(/Minted a session token for END_USER_ID, valid until \S+Z:\n[\w-]+\.[\w-]+\.[\w-]+\n/)

    // The server is bound to the address that it prints.
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    const response = await fetch(`${url}/token?identity=another-user`)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(response.headers.get('cache-control')).toBe('private, no-store')
    expect(await response.json()).toEqual(TOKEN)
    expect(await (await fetch(url)).text()).toBe('Session Service')
    const refusal = await fetch(`${url}/token`, { method: 'PUT' })
    expect([refusal.status, refusal.headers.get('allow')]).toEqual([405, 'GET, POST'])
  })

  itWith(posix, 'ends on SIGTERM', async () => {
    const child = start()
    const errors = text(child.stderr)
    await urlOf(child)
    child.kill('SIGTERM')
    expect(await once(child, 'close')).toEqual([0, null])
    expect(await errors).toBe('')
  })
})

it('the Express example serves a demo page', async () => {
  const { url, printed } = await urlOf(run(['examples/start.js']))
  expect(printed).toContain(`Demo: ${url}/demo\n`)
  const page = await fetch(`${url}/demo`)
  expect(page.status).toBe(200)
  expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'none'; .*frame-ancestors 'none'$/)
  expect(page.headers.get('cache-control')).toBe('no-store')
  for (const [, file = ''] of (await page.text()).matchAll(/(?:src|href)="([^"]+)"/g)) {
    const { status, headers } = await fetch(url + file)
    expect([file, status, headers.get('cache-control')]).toEqual([file, 200, 'no-store'])
  }
})

describe('an example', () => {
  it('uses the gateway and the secret from the environment, and prints no token', async () => {
    const gateway = await startGateway()
    const env = { VKIT_APP_SECRET: gateway.appSecret, VKIT_BASE_URL: gateway.url }
    const { url, printed } = await urlOf(run(['examples/start.js'], env))
    expect(printed).toContain(`Gateway: ${gateway.url}\n`)
    expect(printed).not.toMatch(/eyJ|Minted/)
    expect(gateway.requests).toHaveLength(0)
    expect(await (await fetch(`${url}/token`)).json()).toEqual(TOKEN)
    expect(gateway.mints).toBe(1)
  })

  it.each(['script', 'lambda'])('prints no token of the real gateway: %s', async name => {
    const gateway = await startGateway()
    const env = { VKIT_APP_SECRET: gateway.appSecret, VKIT_BASE_URL: gateway.url }
    const { code, out, errors } = await ended(run(['examples/start.js', name], env))
    expect([code, errors]).toEqual([0, ''])
    expect(gateway.mints).toBeGreaterThan(0)
    expect(out).not.toContain('eyJ')
    expect(out).toContain(name === 'script' ? '{"identity":"alice","expiresAt":"' : '"statusCode": 200')
  })

  it.each(['http', '-1', '65536', '3000.5', ' 3000'])('refuses the port %j', async PORT => {
    const { code, errors } = await ended(run(['examples/start.js'], { PORT }))
    expect([code, errors]).toEqual([1, 'PORT must be a whole number from 0 to 65535.\n'])
  })

  it('responds with an error when no token can be minted, and keeps running', async () => {
    const gateway = await startGateway()
    const child = run(['examples/start.js'], { VKIT_APP_SECRET: 'revoked', VKIT_BASE_URL: gateway.url })
    const { url } = await urlOf(child)
    const response = await fetch(`${url}/token`)
    expect([response.status, await response.text()]).toEqual([500, '{"error":{"code":"VKIT_UNAUTHENTICATED"}}'])
    expect(response.headers.get('cache-control')).toBe('private, no-store')
  })

  it('reports that its port is taken', async () => {
    const { port } = new URL((await urlOf(run(['examples/start.js']))).url)
    const { code, errors } = await ended(run(['examples/start.js'], { PORT: port }))
    expect({ code, errors }).toEqual({ code: 1, errors: `Port ${port} is in use. Set PORT to another port.\n` })
  })

  it('that does not exist is reported by name', async () => {
    const { code, errors } = await ended(run(['examples/start.js', 'koa']))
    expect(code).toBe(1)
    expect(errors).toBe(
      'Unknown example: koa. Examples: express, fastify, hono, next, cloudflare-worker, lambda, script, fleet\n',
    )
  })
})

it('the plugin of the Fastify example keeps the headers that other plugins have set', async () => {
  const gateway = await startGateway()
  const program = `
    import { VKitClient } from '@video-io/videokit-nodejs'
    import { createApp } from './examples/fastify/server.js'
    const app = createApp(new VKitClient())
    app.addHook('onRequest', async (request, reply) => void reply.header('access-control-allow-origin', 'https://a.example'))
    const { statusCode, headers } = await app.inject('/token')
    console.log(JSON.stringify({ statusCode, headers }))`
  const env = { VKIT_APP_SECRET: gateway.appSecret, VKIT_BASE_URL: gateway.url }
  const { out, errors } = await ended(run(['--input-type=module', '-e', program], env))
  expect(errors).toBe('')
  expect(JSON.parse(out)).toMatchObject({
    statusCode: 200,
    headers: { 'access-control-allow-origin': 'https://a.example', 'cache-control': 'private, no-store' },
  })
})

it('the Lambda example returns the response that API Gateway expects', async () => {
  const { code, out, errors } = await ended(run(['examples/start.js', 'lambda']))
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  const response = JSON.parse(out.slice(out.indexOf('{'))) as { statusCode: number; headers: object; body: string }
  expect(response.statusCode).toBe(200)
  expect(response.headers).toMatchObject({ 'content-type': 'application/json', 'cache-control': 'private, no-store' })
  expect(JSON.parse(response.body)).toEqual(TOKEN)
})

it('the Lambda example returns 401 if no authorizer has accepted the caller', async () => {
  const program = `
    import { handler } from './examples/lambda/handler.js'
    const event = { headers: { sub: 'x' }, requestContext: { http: { method: 'GET' } } }
    console.log(JSON.stringify(await handler(event)))`
  const { out } = await ended(run(['--input-type=module', '-e', program]))
  expect(JSON.parse(out)).toMatchObject({ statusCode: 401, body: '{"error":{"code":"UNAUTHENTICATED"}}' })
})

it('the script example mints a token for each user on its command line', async () => {
  const { code, out, errors } = await ended(run(['examples/start.js', 'script', 'alice', 'bob']))
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  const lines = out.split('\n').filter(line => line.startsWith('{'))
  const tokens = lines.map(line => JSON.parse(line) as { identity: string })
  expect(tokens.sort((a, b) => a.identity.localeCompare(b.identity))).toEqual([
    { ...TOKEN, identity: 'alice' },
    { ...TOKEN, identity: 'bob' },
  ])
})

itWith(redisOnPath, 'the processes of the fleet example mint once, and an invalidation reaches both', async () => {
  const { code, out, errors } = await ended(run(['examples/start.js', 'fleet', 'bob']))
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  expect(out.split('\n').slice(1, -1)).toEqual([
    'Both processes needed a token for bob at the same time.',
    '  mints: 1, same token: true',
    'Process 1 called invalidate. Process 2 has removed the token from its memory.',
    'Both processes needed a token again.',
    '  mints: 2, same token: true, new: true',
  ])
})

it('the fleet example reports that it needs a Redis', async () => {
  const { code, errors } = await ended(run(['examples/start.js', 'fleet'], { PATH: '/nowhere', REDIS_URL: '' }))
  const message = 'The fleet example needs redis-server on PATH, or the URL of a Redis in REDIS_URL.\n'
  expect({ code, errors }).toEqual({ code: 1, errors: message })
})

it.each(['token', 'edge-token'])(
  "the route %s of the Next example responds to a Request like that of Next's server",
  async route => {
    const gateway = await startGateway()
    const program = `
    import { GET, POST } from './examples/next/app/${route}/route.js'
    const request = new Request('http://localhost/token?identity=another-user')
    const response = await GET(request)
    console.log(JSON.stringify({ same: GET === POST, status: response.status, body: await response.json() }))`
    const env = { VKIT_APP_SECRET: gateway.appSecret, VKIT_BASE_URL: gateway.url }
    const { out, errors } = await ended(run(['--input-type=module', '-e', program], env))
    expect(errors).toBe('')
    expect(JSON.parse(out)).toEqual({ same: true, status: 200, body: TOKEN })
  },
)

describe('the Cloudflare Workers example', () => {
  it('responds on Node too, with the bindings and the arguments of workerd', async () => {
    const gateway = await startGateway()
    const { appSecret, url } = gateway
    const bindings = `data:text/javascript,export const env = ${JSON.stringify({ VKIT_APP_SECRET: appSecret, VKIT_BASE_URL: url })}`
    const worker = readFileSync('examples/cloudflare-worker/worker.js', 'utf8')
    writeFileSync(path.join(folder, 'worker.mjs'), worker.replace("'cloudflare:workers'", JSON.stringify(bindings)))
    const program = `
      import worker from './worker.mjs'
      for (const path of ['/', '/token?identity=another-user']) {
        const response = await worker.fetch(new Request('http://localhost' + path), {}, { waitUntil: () => {} })
        console.log(JSON.stringify({ status: response.status, body: await response.text() }))
      }`
    const { out, errors } = await ended(run(['--input-type=module', '-e', program]))
    expect(errors).toBe('')
    const [home, token] = out
      .split('\n')
      .slice(0, 2)
      .map(line => JSON.parse(line) as { status: number; body: string })
    expect(home).toEqual({ status: 200, body: 'Session Service' })
    expect(token?.status).toBe(200)
    expect(JSON.parse(token?.body ?? '')).toEqual(TOKEN)
  })

  it('has no secret in its configuration, and git ignores the file that has', () => {
    const config = readFileSync('examples/cloudflare-worker/wrangler.jsonc', 'utf8').replaceAll(/\/\/.*/g, '')
    expect(config).not.toMatch(/VKIT_|"vars"|nodejs_compat/)
    expect(readFileSync('examples/cloudflare-worker/.gitignore', 'utf8').split('\n')).toContain('.dev.vars')
  })
})
