import { describe, expect, it } from '@jest/globals'
import http from 'node:http'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import { isEmulatorSecret } from '../../../../lib/secret/app-secret.js'
import { assertNoSecret, FakeClock } from '../../../../lib/testing/index.js'
import { mint, startEmulatorWithPage } from '../../../support/emulator-page.js'
import { untilTrue } from '../../../support/until.js'

interface Answer {
  readonly status: number | undefined
  readonly headers: http.IncomingHttpHeaders
  readonly body: unknown
}

/** Sends a request with any `Host`, which fetch does not allow. */
async function send(url: string, method = 'GET', options: { headers?: object; json?: unknown } = {}): Promise<Answer> {
  const req = http.request(url, { method, headers: { ...options.headers } })
  req.end(options.json === undefined ? '' : JSON.stringify(options.json))
  const res = await new Promise<http.IncomingMessage>((resolve, reject) => {
    req.once('response', resolve).once('error', reject)
  })
  const body = await text(res)
  const isJson = res.headers['content-type'] === 'application/json'
  return { status: res.statusCode, headers: res.headers, body: isJson ? (JSON.parse(body) as unknown) : body }
}

async function readUntil({ body }: Response, end: string): Promise<string> {
  let seen = ''
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    seen += Buffer.from(chunk).toString()
    if (seen.includes(end)) return seen
  }
  throw new Error(`The stream ended: ${seen}`)
}

describe('the control API of the emulator', () => {
  it('replaces the faults, the lifetime and the secret together', async () => {
    const started = await startEmulatorWithPage()
    const { emulator, url, rotations } = started
    const before = { faults: [], lifetimeMs: 3_600_000, secretRotated: false }
    expect(await send(`${url}/_emulator/faults`)).toMatchObject({ status: 200, body: before })

    const firstSecret = emulator.appSecret
    const changed = { faults: [{ status: 503, identity: 'bob' }], lifetimeMs: 60_000, secretRotated: true }
    const { body } = await send(`${url}/_emulator/faults`, 'PUT', { json: changed })
    expect(body).toEqual(changed)
    expect(emulator).toMatchObject({ faults: [{ status: 503, identity: 'bob' }], lifetimeMs: 60_000 })
    expect(rotations).toEqual([emulator.appSecret])
    expect(isEmulatorSecret(emulator.appSecret)).toBe(true)
    expect(emulator.appSecret).not.toBe(firstSecret)
    expect([await mint(started, { identity: 'bob' }), await mint(started)]).toEqual([503, 200])
    await send(`${url}/_emulator/faults`, 'PUT', { json: changed })
    expect(rotations).toHaveLength(1)

    expect((await send(`${url}/_emulator/faults`, 'PUT', { json: {} })).body).toEqual(before)
    expect(rotations).toEqual([expect.any(String), undefined])
    expect(emulator.appSecret).toBe(firstSecret)
  })

  it('sets the clock', async () => {
    const { emulator, url } = await startEmulatorWithPage()
    expect(await send(`${url}/_emulator/clock`)).toMatchObject({ status: 200, body: { offsetMs: 0 } })
    expect((await send(`${url}/_emulator/clock`, 'POST', { json: { offsetMs: -600_000 } })).body).toEqual({
      offsetMs: -600_000,
    })
    expect(emulator.clockOffsetMs).toBe(-600_000)
  })

  it.each([
    ['faults', 'PUT', 5, 'The body must be an object, not of type number.'],
    ['faults', 'PUT', undefined, 'The body must be an object, not of type string.'],
    ['faults', 'PUT', { fault: [] }, 'The body: unknown option "fault". Did you mean faults? Known options: faults,'],
    ['faults', 'PUT', { faults: {} }, 'The body: faults must be an array.'],
    ['faults', 'PUT', { faults: [{ status: 503 }, { status: 1 }] }, 'fail: the fault: status must be a whole number'],
    ['faults', 'PUT', { lifetimeMs: '1m' }, 'The body: lifetimeMs must be a number of milliseconds'],
    ['faults', 'PUT', { secretRotated: 'yes' }, 'The body: secretRotated must be true or false.'],
    ['clock', 'POST', {}, 'GatewayEmulator: clockOffsetMs must be a number of milliseconds'],
    ['clock', 'POST', { offsetMs: '5' }, 'The body: offsetMs must be a number of milliseconds'],
  ])('explains what is wrong in %s %s %j, and changes nothing', async (name, method, json, error) => {
    const { emulator, url } = await startEmulatorWithPage()
    const { appSecret } = emulator
    const { status, body } = await send(`${url}/_emulator/${name}`, method, { json })
    expect([status, body]).toEqual([400, { error: expect.stringContaining(error) as unknown }])
    expect(emulator).toMatchObject({ appSecret, faults: [], lifetimeMs: 3_600_000, clockOffsetMs: 0 })
  })

  it('lists the requests without the secret and the tokens, and forgets them', async () => {
    const clock = new FakeClock('2031-05-05T00:00:00Z')
    const started = await startEmulatorWithPage({ now: () => clock.now() })
    const { emulator, url } = started
    emulator.failNext({ status: 503 })
    await mint(started, { identity: '<b>', scopes: ['videos.read'] })
    await mint(started, { identity: '<b>', scopes: ['videos.read'] })
    await clock.advance(5_000)
    const { body } = await send(`${url}/_emulator/requests`)
    const request = {
      receivedAt: Date.parse('2031-05-05T00:00:00Z'),
      identity: '<b>',
      scopes: ['videos.read'],
      ageMs: 5_000,
    }
    expect(body).toEqual({
      requests: [
        { id: 1, ...request, attempt: 1, status: 503, durationMs: expect.any(Number) as unknown },
        {
          ...{ id: 2, ...request, attempt: 2, status: 200, durationMs: expect.any(Number) as unknown },
          token: {
            claims: expect.objectContaining({ identity: '<b>', scopes: ['videos.read'], role: 'session' }) as unknown,
            lifetimeMs: 3_600_000,
          },
        },
      ],
    })
    assertNoSecret(body, emulator.appSecret)
    expect(JSON.stringify(body)).not.toMatch(/eyJ|[Bb]earer/)

    expect((await send(`${url}/_emulator/requests`, 'DELETE')).status).toBe(204)
    expect((await send(`${url}/_emulator/requests`)).body).toEqual({ requests: [] })
  })

  it('streams requests and changes as server-sent events', async () => {
    const started = await startEmulatorWithPage()
    const { url } = started
    const response = await fetch(`${url}/_emulator/requests`, { headers: { accept: 'text/event-stream' } })
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const reading = readUntil(response, '"offsetMs":5')
    await mint(started)
    await send(`${url}/_emulator/requests`, 'DELETE')
    await send(`${url}/_emulator/clock`, 'POST', { json: { offsetMs: 5 } })
    const seen = await reading
    expect([...seen.matchAll(/^event: (\w+)$/gm)].map(([, name]) => name)).toEqual([
      ...['clear', 'settings', 'request', 'request', 'clear', 'settings'],
    ])
    expect(seen).toContain('"status":200')
  })

  it('logs a request whose scopes are not text', async () => {
    const { emulator, url } = await startEmulatorWithPage()
    const body = `{"identity":"anna","scopes":[{"toString":1,"valueOf":1},${'['.repeat(20_000)}${']'.repeat(20_000)}]}`
    const headers = { authorization: `Bearer ${emulator.appSecret}` }
    const response = await fetch(`${emulator.url}/v1/sessions`, { method: 'POST', headers, body })
    expect(response.status).toBe(400)
    expect((await send(`${url}/_emulator/requests`)).body).toMatchObject({
      requests: [{ identity: 'anna', scopes: ['?', '?'], status: 400 }],
    })
  })

  it.each([
    ['deeply nested', `{"a":${'['.repeat(8_000)}${']'.repeat(8_000)}}`],
    ['huge', JSON.stringify({ a: 'x'.repeat(10_000) })],
  ])('omits the %s claims of a token that a fault replaced', async (_, claims) => {
    const started = await startEmulatorWithPage()
    started.emulator.failNext({ answer: { sessionToken: `x.${Buffer.from(claims).toString('base64url')}.x` } })
    expect(await mint(started)).toBe(200)
    const { body } = await send(`${started.url}/_emulator/requests`)
    expect(body).toEqual({ requests: [expect.not.objectContaining({ token: expect.anything() as unknown })] })
  })

  it('streams a long list of requests to a new reader', async () => {
    const started = await startEmulatorWithPage()
    const scopes = Array.from({ length: 20 }, () => '\0'.repeat(200))
    for (let n = 0; n < 100; n++) await mint(started, { identity: `user ${n}`, scopes })
    const response = await fetch(`${started.url}/_emulator/requests`, { headers: { accept: 'text/event-stream' } })
    const seen = await readUntil(response, '"identity":"user 99"')
    expect(seen.length).toBeGreaterThan(4 * 1024 * 1024)
  })

  it('forgets all streams of a connection when it closes', async () => {
    const { url, readers } = await startEmulatorWithPage()
    const { port, host } = new URL(url)
    const socket = net.connect(Number(port), '127.0.0.1')
    socket.write(`GET /_emulator/requests HTTP/1.1\r\nHost: ${host}\r\nAccept: text/event-stream\r\n\r\n`.repeat(3))
    await untilTrue(() => readers() === 3)
    socket.destroy()
    await untilTrue(() => readers() === 0)
  })

  it('knows its resources and their methods', async () => {
    const { url } = await startEmulatorWithPage()
    expect(await send(`${url}/_emulator/nothing`)).toMatchObject({ status: 404 })
    expect(await send(`${url}/constructor`)).toMatchObject({ status: 404 })
    expect(await send(`${url}/_emulator/clock`, 'DELETE')).toMatchObject({
      status: 405,
      headers: { allow: 'GET, POST' },
    })
    expect(await send(`${url}/_emulator/clock`, 'toString')).toMatchObject({ status: 400 })
  })
})

describe('the page of the emulator', () => {
  it('allows only its own script and style, and no frame around it', async () => {
    const { url } = await startEmulatorWithPage()
    const { status, headers, body } = await send(url)
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
    expect(headers['content-security-policy']).toMatch(
      /^default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'; img-src data:; style-src 'sha256-[\w+/=]{44}'; script-src 'sha256-[\w+/=]{44}'$/,
    )
    expect(body).toMatch(/^<!doctype html>/)
  })

  const paths = ['/', '/_emulator/faults', '/_emulator/requests']

  it.each([
    ['a name that DNS may bind to it', { host: 'attacker.example' }],
    ['a name that ends like its own', { host: 'attacker.localhost' }],
    ['no name', { host: '*' }],
    ['a page of another port', { origin: 'http://127.0.0.1:3000' }],
    ['a page of another site', { origin: 'https://attacker.example' }],
    ['a page without an origin', { origin: 'null' }],
    ['a link or an image of another site', { 'sec-fetch-site': 'cross-site' }],
    ['a page of the same site', { 'sec-fetch-site': 'same-site' }],
  ])('refuses requests from %s', async (_, headers) => {
    const { emulator, url } = await startEmulatorWithPage()
    for (const path of paths) expect((await send(url + path, 'GET', { headers })).status).toBe(403)
    const json = { secretRotated: true, faults: [{ reset: true }] }
    expect((await send(`${url}/_emulator/faults`, 'PUT', { headers, json })).status).toBe(403)
    expect(emulator.faults).toEqual([])
  })

  it.each([
    ['its address', ({ host }: URL) => ({ host })],
    ['localhost', ({ port }: URL) => ({ host: `LOCALHOST:${port}`, origin: `http://localhost:${port}` })],
    ['IPv6', ({ port }: URL) => ({ host: `[::1]:${port}` })],
    ['its own page', ({ origin }: URL) => ({ origin, 'sec-fetch-site': 'same-origin' })],
    ['an address that the user entered', () => ({ 'sec-fetch-site': 'none' })],
    ['an allowed host', () => ({ host: 'emulator:80', origin: 'http://emulator:80' })],
  ])('responds to %s', async (_, headersFor) => {
    const { url } = await startEmulatorWithPage({ allowedHosts: ['Emulator'] })
    for (const path of paths) {
      expect((await send(url + path, 'GET', { headers: headersFor(new URL(url)) })).status).toBe(200)
    }
  })
})
