import { FUNCTION, milliseconds, objectWith, TEXT, wholeNumber, type Checks } from './check-members.js'
import type { GatewayFault } from './emulator-fault.js'

/** How an emulator starts; all have a default. */
export interface GatewayEmulatorOptions {
  /** The one app secret it accepts. Default: a JWT of its own making, in `emulator.appSecret`. */
  readonly appSecret?: string
  /** How long the session tokens it mints are valid, in milliseconds. Default one hour. */
  readonly lifetimeMs?: number
  /** Default 0: any free port, and the same one again after `stop()` and `start()`. */
  readonly port?: number
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** Speaks https with this key and certificate (PEM); the client trusts it by `agent: { https: new https.Agent({ ca }) }`. */
  readonly tls?: { readonly key: string; readonly cert: string }
  /** How many requests it remembers, the latest ones. Default: all. Give one to an emulator that runs for long. */
  readonly maxRequests?: number
  /** Called for each request before its response; may return the fault that it meets. */
  readonly onRequest?: (request: RecordedRequest) => GatewayFault | undefined
  /** Called for each request after its response. */
  readonly onAnswer?: (request: RecordedRequest) => void
  /** Where `expiresAt` and the `Date` header take the time from; give the `FakeClock` that the client has. */
  readonly clock?: { now(): number }
}

/** A request to `POST /v1/sessions` as the emulator saw it. */
export interface RecordedRequest {
  /** `POST`, unless the request is wrong. */
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** As Node gives them, names in lower case; with the secret. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** The parsed JSON, or the text where it is none. */
  readonly body: unknown
  /** Epoch milliseconds, by the emulator's clock. */
  readonly receivedAt: number
  /** What was answered; 0 where nothing was. */
  status: number
}

export const DEFAULT_LIFETIME_MS = 3_600_000

/** About 3,000 years: a longer lifetime would leave the calendar. */
const MAX_LIFETIME_MS = 1e14

export const OPTION_CHECKS: Checks<GatewayEmulatorOptions> = {
  appSecret: TEXT,
  lifetimeMs: milliseconds(-MAX_LIFETIME_MS, MAX_LIFETIME_MS),
  port: wholeNumber(0, 65_535),
  host: TEXT,
  tls: objectWith('an object with key and cert, both PEM text', ['key', 'cert'], TEXT),
  maxRequests: wholeNumber(0, Infinity),
  onRequest: FUNCTION,
  onAnswer: FUNCTION,
  clock: objectWith('an object with now', ['now'], FUNCTION),
}
