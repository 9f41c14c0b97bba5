import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import type { Socket } from 'node:net'
import { ARRAY, BOOLEAN, checkMembers, type Checks } from '../../testing/check-members.js'
import type { GatewayFault } from '../../testing/emulator-fault.js'
import { authorityOf, listen, readBody } from '../../testing/emulator-http.js'
import { makeAppSecret } from '../../testing/emulator-jwt.js'
import { ANY_DURATION } from '../../testing/emulator-options.js'
import type { GatewayEmulator } from '../../testing/gateway-emulator.js'
import type { LoggedRequest, RequestLog } from './request-log.js'

export interface ControlServerOptions {
  readonly emulator: GatewayEmulator
  readonly log: RequestLog
  readonly host: string
  /** Host names for the `Host` header, besides those of the loopback interface. */
  readonly allowedHosts: readonly string[]
  /** Called with a new app secret, or `undefined` if the first one is accepted again. The page never contains it. */
  readonly onRotation: (appSecret: string | undefined) => void
}

/** What `PUT /_emulator/faults` replaces. A missing member gets its default. */
interface Settings {
  readonly faults?: readonly GatewayFault[]
  readonly lifetimeMs?: number
  readonly secretRotated?: boolean
}

const SETTINGS: Checks<Settings> = { faults: ARRAY, lifetimeMs: ANY_DURATION, secretRotated: BOOLEAN }
const CLOCK: Checks<{ offsetMs: number }> = { offsetMs: ANY_DURATION }

const DEFAULT_PORT = 8788
const PAGE = new URL('./page.html', import.meta.url)

/** A page that does not read would fill the memory. It connects again. */
const MAX_UNREAD_BYTES = 4 * 1024 * 1024

type Respond = (res: http.ServerResponse, body: unknown, req: http.IncomingMessage) => void

/**
 * Serves the page of `vkit emulator`, and its control API at `/_emulator/`.
 *
 * Browsers send requests of any web page to any address, so it checks `Host`, `Origin` and `Sec-Fetch-Site`. With a `Host`
 * of its own name only, no other page can read from it, even by DNS rebinding.
 */
export class ControlServer {
  readonly #options: ControlServerOptions
  readonly #hosts: string[]
  readonly #initial: { readonly lifetimeMs: number; readonly appSecret: string }
  readonly #server = http.createServer((req, res) => void this.#handle(req, res))
  /** Each writes an event to an open stream. */
  readonly #readers = new Set<(event: string) => void>()
  #page = ''
  #policy = ''

  constructor(options: ControlServerOptions) {
    this.#options = options
    this.#hosts = ['127.0.0.1', 'localhost', '[::1]', ...options.allowedHosts.map(host => host.toLowerCase())]
    const { lifetimeMs, appSecret } = options.emulator
    this.#initial = { lifetimeMs, appSecret }
    options.log.on('request', request => this.#emit(this.#requestEvent(request)))
    options.log.on('clear', () => this.#emit(eventOf('clear', {})))
  }

  /** Listens on `port`, by default on 8788 or, if that is in use, on any free port. */
  async start(port?: number): Promise<void> {
    this.#page = await readFile(PAGE, 'utf8')
    this.#policy = policyOf(this.#page)
    try {
      await this.#listen(port ?? DEFAULT_PORT)
    } catch (error) {
      if (port !== undefined) throw error
      await this.#listen(0)
    }
  }

  /** The address and the port that it listens on. */
  get url(): string {
    const { host, port } = this.#authority
    return `http://${host}:${port}`
  }

  /** The number of open streams. */
  get readers(): number {
    return this.#readers.size
  }

  stop(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  async #listen(port: number): Promise<void> {
    await listen(this.#server, port, this.#options.host)
    // No DNS name can be bound to an address.
    this.#hosts.push(this.#authority.host)
  }

  get #authority(): { host: string; port: number } {
    const authority = authorityOf(this.#server)
    if (!authority) throw new Error('The page is not served: await start() first.')
    return authority
  }

  readonly #routes: Readonly<Record<string, Readonly<Record<string, Respond>>>> = {
    '/': {
      GET: res => {
        const type = 'text/html; charset=utf-8'
        res
          .writeHead(200, { ...HEADERS, 'Content-Type': type, 'Content-Security-Policy': this.#policy })
          .end(this.#page)
      },
    },
    '/_emulator/faults': {
      GET: res => send(res, 200, this.#settings()),
      PUT: (res, body) => {
        this.#change(checkMembers<Settings>('The body', body, SETTINGS))
        send(res, 200, this.#settings())
      },
    },
    '/_emulator/clock': {
      GET: res => send(res, 200, this.#clock()),
      POST: (res, body) => {
        this.#options.emulator.clockOffsetMs = checkMembers('The body', body, CLOCK).offsetMs
        this.#emit(this.#settingsEvent())
        send(res, 200, this.#clock())
      },
    },
    '/_emulator/requests': {
      GET: (res, _, { headers, socket }) => {
        if (headers.accept?.includes('text/event-stream')) return this.#stream(res, socket)
        send(res, 200, { requests: this.#options.log.requests.map(request => this.#withAge(request)) })
      },
      DELETE: res => {
        this.#options.log.clear()
        res.writeHead(204).end()
      },
    },
  }

  async #handle(req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
    const refusal = this.#refusalOf(req.headers)
    if (refusal !== undefined) return sendError(res, 403, refusal)
    const methods = this.#routes[req.url?.split('?')[0] ?? '']
    if (!methods) return sendError(res, 404, 'No such resource.')
    const respond = methods[req.method ?? '']
    if (!respond) {
      res.setHeader('Allow', Object.keys(methods).join(', '))
      return sendError(res, 405, 'No such method.')
    }
    try {
      respond(res, await readBody(req), req)
    } catch (error) {
      if (res.headersSent) res.destroy()
      else sendError(res, 400, (error as Error).message)
    }
  }

  #refusalOf({ host = '', origin, 'sec-fetch-site': site = 'none' }: http.IncomingHttpHeaders): string | undefined {
    const name = /^(\[[\da-f:]+\]|[\w.-]+)(:\d+)?$/i.exec(host)?.[1]?.toLowerCase() ?? ''
    if (!this.#hosts.includes(name)) return 'The Host header is not a name of this server. Allow one with --allow-host.'
    const isOwn = origin === undefined || origin === `http://${host.toLowerCase()}`
    if (isOwn && (site === 'none' || site === 'same-origin')) return undefined
    return 'The request comes from another web page. Enter the address of this page yourself.'
  }

  #change({ faults = [], lifetimeMs = this.#initial.lifetimeMs, secretRotated = false }: Settings): void {
    const { emulator, onRotation } = this.#options
    emulator.fail(...faults) // It throws before it changes anything.
    emulator.lifetimeMs = lifetimeMs
    if (secretRotated !== this.#isSecretRotated()) {
      const rotated = secretRotated ? makeAppSecret(Date.now()) : undefined
      emulator.appSecret = rotated ?? this.#initial.appSecret
      onRotation(rotated)
    }
    this.#emit(this.#settingsEvent())
  }

  #settings(): Settings {
    const { faults, lifetimeMs } = this.#options.emulator
    return { faults, lifetimeMs, secretRotated: this.#isSecretRotated() }
  }

  #isSecretRotated(): boolean {
    return this.#options.emulator.appSecret !== this.#initial.appSecret
  }

  #clock(): { offsetMs: number } {
    return { offsetMs: this.#options.emulator.clockOffsetMs }
  }

  /** Sends what is known, and every change, as server-sent events (https://html.spec.whatwg.org/#server-sent-events). */
  #stream(res: http.ServerResponse, socket: Socket): void {
    res.writeHead(200, { ...HEADERS, 'Content-Type': 'text/event-stream' })
    const requests = this.#options.log.requests.map(request => this.#requestEvent(request))
    res.write(eventOf('clear', {}) + this.#settingsEvent() + requests.join(''))
    // What is known may be longer than what a page may leave unread afterwards.
    const maxUnread = res.writableLength + MAX_UNREAD_BYTES
    const read = (event: string): void => {
      if (res.writableLength > maxUnread) socket.destroy()
      else res.write(event)
    }
    this.#readers.add(read)
    // A response that waits for another one of its connection has no socket yet, and never closes.
    socket.once('close', () => this.#readers.delete(read))
  }

  #emit(event: string): void {
    for (const read of this.#readers) read(event)
  }

  #requestEvent(request: LoggedRequest): string {
    return eventOf('request', this.#withAge(request))
  }

  #settingsEvent(): string {
    return eventOf('settings', { ...this.#settings(), ...this.#clock() })
  }

  /** An age, because the clock of the reader may be wrong. */
  #withAge(request: LoggedRequest): LoggedRequest & { readonly ageMs: number } {
    return { ...request, ageMs: this.#options.log.ageOf(request) }
  }
}

const HEADERS = {
  'Cache-Control': 'no-store',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

function eventOf(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`
}

function send(res: http.ServerResponse, status: number, body: object): void {
  const json = JSON.stringify(body) // It may throw, and then the head must not be written yet.
  res.writeHead(status, { ...HEADERS, 'Content-Type': 'application/json' }).end(json)
}

function sendError(res: http.ServerResponse, status: number, error: string): void {
  send(res, status, { error })
}

/** Only the page's own style and script, by their hashes, its own requests, and its empty icon. */
function policyOf(page: string): string {
  const hashOf = (tag: string): string => {
    const [, text = ''] = new RegExp(`<${tag}>([^]*?)</${tag}>`).exec(page) ?? []
    return `${tag}-src 'sha256-${createHash('sha256').update(text).digest('base64')}'`
  }
  const none = ['default-src', 'base-uri', 'form-action', 'frame-ancestors'].map(name => `${name} 'none'`)
  return [...none, "connect-src 'self'", 'img-src data:', hashOf('style'), hashOf('script')].join('; ')
}
