import { FUNCTION, milliseconds, objectWith, TEXT, wholeNumber, type Check, type Checks } from './check-members.js'
import type { GatewayFault } from './emulator-fault.js'

/** Options of a `GatewayEmulator`. */
export interface GatewayEmulatorOptions {
  /** The only app secret that it accepts. Default: a new JWT, in `emulator.appSecret`. */
  readonly appSecret?: string
  /** The lifetime of the session tokens that it mints, in milliseconds. Default: one hour. */
  readonly lifetimeMs?: number
  /** The port to listen on. Default: 0, any free port, which it keeps after `stop()` and `start()`. */
  readonly port?: number
  /** The address to listen on. Default: `127.0.0.1`. */
  readonly host?: string
  /** Serves HTTPS with this key and certificate (PEM). Client option: `agent: { https: new https.Agent({ ca }) }`. */
  readonly tls?: { readonly key: string; readonly cert: string }
  /** How many of the latest requests it stores. Default: all. Set a limit if the emulator runs for a long time. */
  readonly maxRequests?: number
  /** Called before each response. It may return a fault for that response. */
  readonly onRequest?: (request: RecordedRequest) => GatewayFault | undefined
  /** Called after each response. */
  readonly onAnswer?: (request: RecordedRequest) => void
  /** The clock for `expiresAt` and the `Date` header. Pass the `FakeClock` of the client. */
  readonly clock?: { now(): number }
  /** The random numbers from 0 to 1 that choose requests for a fault with a `share`. Default: `Math.random`. */
  readonly random?: () => number
}

/** A request to `/v1/sessions` that the emulator received. */
export interface RecordedRequest {
  /** `POST`, unless the request is invalid. */
  readonly method: string
  /** The path without the query. */
  readonly path: string
  /** The headers as in Node, with names in lower case. They contain the secret. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** The parsed JSON, or the text if it is not JSON. */
  readonly body: unknown
  /** Epoch milliseconds, from the emulator's clock. */
  readonly receivedAt: number
  /** The status of the response; 0 if the emulator sent no response. */
  status: number
  /** The response body, before it is encoded; `undefined` if the emulator sent no response. It may contain a token. */
  response: unknown
  /** Real milliseconds until the response was sent, or the connection was reset. */
  durationMs: number
}

export const DEFAULT_LIFETIME_MS = 3_600_000

/** About 3,000 years. Longer ones could exceed the range of dates. */
const MAX_LIFETIME_MS = 1e14

export const ANY_DURATION: Check = milliseconds(-MAX_LIFETIME_MS, MAX_LIFETIME_MS)

export const OPTION_CHECKS: Checks<GatewayEmulatorOptions> = {
  appSecret: TEXT,
  lifetimeMs: ANY_DURATION,
  port: wholeNumber(0, 65_535),
  host: TEXT,
  tls: objectWith('an object with key and cert, both PEM text', ['key', 'cert'], TEXT),
  maxRequests: wholeNumber(0, Infinity),
  onRequest: FUNCTION,
  onAnswer: FUNCTION,
  clock: objectWith('an object with now', ['now'], FUNCTION),
  random: FUNCTION,
}
