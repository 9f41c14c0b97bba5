import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { createGzip } from 'node:zlib'
import type { Context, ExpectedFailure } from '../harness/context.js'
import { meet, survive } from '../harness/meet.js'
import { respondCorrectly, http, correctBody, type RawRequest } from '../harness/raw-gateway.js'
import type { Row } from '../harness/row.js'

const CONNECTION: ExpectedFailure = { code: 'VKIT_CONNECTION', retryable: true, attempts: 3 }
const TIMEOUT: ExpectedFailure = { code: 'VKIT_TIMEOUT', retryable: true, attempts: { atMost: 3 } }
const INVALID: ExpectedFailure = { code: 'VKIT_INVALID_RESPONSE', retryable: false, attempts: 1 }

async function meetBytes(
  t: Context,
  expected: ExpectedFailure,
  respond: (request: RawRequest) => void,
  limits = {},
): Promise<void> {
  const gateway = await t.raw()
  await meet(t, gateway, {
    ...expected,
    begin: () => void (gateway.respond = respond),
    end: () => void (gateway.respond = respondCorrectly),
    options: limits,
  })
}

const CORRECT = correctBody('victim')
const TOO_LONG = [`Content-Length: ${CORRECT.length + 10}`]
const CHUNKED = 'Transfer-Encoding: chunked'
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`

function trickle(socket: Socket, text: string): void {
  let sent = 0
  const timer = setInterval(() => socket.write(text[sent++ % text.length] ?? ''), 20).unref()
  socket.once('close', () => clearInterval(timer))
}

/** Writes `bytes` as fast as the other side reads, or until it closes the connection. */
async function flood(socket: Socket, bytes: number): Promise<void> {
  const piece = Buffer.alloc(64 * 1024, 0x20)
  for (let sent = 0; sent < bytes && !socket.destroyed; sent += piece.length) {
    if (!socket.write(piece)) {
      await new Promise<void>(resolve => {
        socket.once('drain', resolve)
        socket.once('close', () => resolve())
      })
    }
  }
}

async function makeGzipBomb(bytes: number): Promise<Buffer> {
  const gzip = createGzip()
  const piece = Buffer.alloc(64 * 1024)
  for (let written = 0; written < bytes; written += piece.length) gzip.write(piece)
  gzip.end()
  const chunks: Buffer[] = []
  for await (const each of gzip as AsyncIterable<Buffer>) chunks.push(each)
  return Buffer.concat(chunks)
}

const MEGABYTE = 1024 * 1024
const LIMITS = { timeoutMs: 500, deadlineMs: 2_500 }

export const streams: readonly Row[] = [
  {
    n: 11,
    fault: 'headers trickle; body trickles; body stalls',
    outcome: 'TIMEOUT, R, ≤3',
    async run(t) {
      const head = `HTTP/1.1 200 OK\r\nX-Padding: `
      await Promise.all([
        meetBytes(t, TIMEOUT, ({ socket }) => socket.write(head, () => trickle(socket, 'a')), LIMITS),
        meetBytes(t, TIMEOUT, ({ socket }) => socket.write(http('', TOO_LONG), () => trickle(socket, ' ')), LIMITS),
        meetBytes(t, TIMEOUT, ({ socket }) => socket.write(http(CORRECT.slice(0, 20), TOO_LONG)), LIMITS),
      ])
    },
  },
  {
    n: 12,
    fault: 'reset in the body',
    outcome: 'CONNECTION, R, 3',
    run: t =>
      meetBytes(t, CONNECTION, ({ socket }) => {
        socket.write(http(CORRECT.slice(0, 20), TOO_LONG), () => socket.resetAndDestroy())
      }),
  },
  {
    n: 13,
    fault: 'short Content-Length; the same with a valid JSON prefix',
    outcome: 'CONNECTION, never parsed, R, 3',
    async run(t) {
      for (const body of [CORRECT.slice(0, 20), CORRECT]) {
        await meetBytes(t, CONNECTION, ({ socket }) => socket.end(http(body, TOO_LONG)))
      }
    },
  },
  {
    n: 14,
    fault: 'chunked without terminator',
    outcome: 'CONNECTION, R, 3',
    run: t => meetBytes(t, CONNECTION, ({ socket }) => socket.end(http(chunk(CORRECT), [CHUNKED]))),
  },
  {
    n: 15,
    fault: 'Content-Length with chunked, doubled or negative',
    outcome: 'INVALID_RESPONSE, N, 1',
    async run(t) {
      const length = `Content-Length: ${CORRECT.length}`
      const bad: [string[], string][] = [
        [[length, CHUNKED], `${chunk(CORRECT)}0\r\n\r\n`],
        [[CHUNKED, length], `${chunk(CORRECT)}0\r\n\r\n`],
        [[length, length], CORRECT],
        [[length, 'Content-Length: 5'], CORRECT],
        [['Content-Length: -1'], CORRECT],
        [['Content-Length: 1e3'], CORRECT],
      ]
      for (const [head, body] of bad) await meetBytes(t, INVALID, ({ socket }) => socket.write(http(body, head)))
    },
  },
  {
    n: 16,
    fault: 'not HTTP at all (an SSH banner)',
    outcome: 'INVALID_RESPONSE, N, 1',
    run: t => meetBytes(t, INVALID, ({ socket }) => socket.write('SSH-2.0-OpenSSH_9.6\r\n')),
  },
  {
    n: 17,
    fault: '32 KiB of headers',
    outcome: 'INVALID_RESPONSE, N, 1',
    async run(t) {
      const length = `Content-Length: ${CORRECT.length}`
      const many = Array.from({ length: 512 }, (_, index) => `X-${index}: ${'a'.repeat(56)}`)
      for (const padding of [[`X-Padding: ${'a'.repeat(32 * 1024)}`], many]) {
        await meetBytes(t, INVALID, ({ socket }) => socket.write(http(CORRECT, [length, ...padding])))
      }
    },
  },
  {
    n: 18,
    fault: '100 or 103, then 200',
    outcome: 'success, 1',
    notWithFetch: "Node's fetch rejects a 100 that it did not request",
    async run(t) {
      for (const status of ['100 Continue', '103 Early Hints', '103 Early Hints\r\nLink: </a>; rel=preload']) {
        const gateway = await t.raw()
        gateway.respond = request => {
          request.socket.write(`HTTP/1.1 ${status}\r\n\r\n`)
          respondCorrectly(request)
        }
        await survive(t, gateway, { begin: () => undefined, requests: 1 })
      }
    },
  },
  {
    n: 19,
    fault: '101',
    outcome: 'INVALID_RESPONSE, immediately, N, 1',
    notWithFetch: "Node's fetch reports a 101 as a closed connection",
    async run(t) {
      for (const head of ['Upgrade: websocket\r\nConnection: Upgrade\r\n', '']) {
        await meetBytes(t, { ...INVALID, status: 101 }, ({ socket }) => {
          socket.write(`HTTP/1.1 101 Switching Protocols\r\n${head}\r\n`)
        })
      }
    },
  },
]

const WARM_UP_ROUNDS = 8

/** Row 33, which `bodies` includes at its end. */
export const floods: Row = {
  n: 33,
  fault: '100 MB body; a gzip bomb',
  outcome: 'INVALID_RESPONSE, less than 20 MB more memory, N, 1',
  async run(t) {
    const bomb = await makeGzipBomb(40 * MEGABYTE)
    assert.ok(bomb.length < 64 * 1024, 'small enough to pass as a response')
    const meetLarge = async (bytes: number, zipped: Buffer): Promise<void> => {
      await meetBytes(t, INVALID, ({ socket }) => {
        socket.write(http('', [`Content-Length: ${bytes}`]))
        void flood(socket, bytes)
      })
      await meetBytes(t, INVALID, ({ socket }) => {
        socket.write(http('', [CHUNKED]) + bytes.toString(16) + '\r\n')
        void flood(socket, bytes)
      })
      await meetBytes(t, INVALID, ({ socket }) => {
        socket.write(http('', ['Content-Encoding: gzip', `Content-Length: ${zipped.length}`]))
        socket.write(zipped)
      })
    }
    // The first responses load the code and grow V8's heap, so that only the memory for the next responses is measured.
    const small = await makeGzipBomb(MEGABYTE)
    for (let round = 0; round < WARM_UP_ROUNDS; round++) await meetLarge(MEGABYTE, small)
    const before = process.resourceUsage().maxRSS
    await meetLarge(100 * MEGABYTE, bomb)
    const grownBy = (process.resourceUsage().maxRSS - before) / 1024
    assert.ok(grownBy < 20, `${grownBy} MB more memory`)
  },
}
