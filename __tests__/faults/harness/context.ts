import assert from 'node:assert/strict'
import type tls from 'node:tls'
import {
  VKitClient,
  VKitError,
  type VKitClientOptions,
  type VKitErrorCode,
  type VKitEvent,
} from '../../../lib/index.js'
import { assertNoSecret, GatewayEmulator, type GatewayEmulatorOptions } from '../../../lib/testing/index.js'
import { RawGateway } from './raw-gateway.js'
import { SECRET } from './row.js'

/** A gateway of either kind, seen from the test. */
export interface Gateway {
  readonly url: string
  seenOf(identity: string): number
}

export interface ExpectedFailure {
  readonly code: VKitErrorCode | readonly VKitErrorCode[]
  readonly retryable: boolean
  /** Attempts for the victim: exactly, or at most. */
  readonly attempts?: number | { readonly atMost: number }
  readonly status?: number
}

export interface Certificates {
  readonly good: tls.TlsOptions
  readonly selfSigned: tls.TlsOptions
  readonly expired: tls.TlsOptions
  readonly wrongName: tls.TlsOptions
}

/** What a row has at hand. Whatever goes through it is looked through for the secret at the end. */
export class Context {
  readonly events: VKitEvent[] = []
  /** Everything that may be seen by others: errors, events, statistics. */
  readonly #seen: unknown[] = [this.events]
  readonly #tokens = new Set<string>()
  readonly #clients: VKitClient[] = []
  readonly #certificates: string

  constructor(certificates: string) {
    this.#certificates = certificates
  }

  get certificates(): Certificates {
    return JSON.parse(this.#certificates) as Certificates
  }

  client(gateway: { readonly url: string }, options: VKitClientOptions = {}): VKitClient {
    const client = new VKitClient({
      appSecret: SECRET,
      baseUrl: gateway.url,
      onEvent: event => void this.events.push(event),
      ...options,
    })
    this.#clients.push(client)
    this.#seen.push(client)
    return client
  }

  async emulator(options: GatewayEmulatorOptions = {}): Promise<GatewayEmulator & Gateway> {
    const emulator = await new GatewayEmulator({ appSecret: SECRET, ...options }).start()
    const seenOf = (identity: string): number =>
      emulator.requests.filter(({ body }) => (body as { identity?: unknown }).identity === identity).length
    return Object.assign(emulator, { seenOf })
  }

  raw(secure?: tls.TlsOptions): Promise<RawGateway> {
    return RawGateway.listen(secure)
  }

  /** Text that must be seen nowhere, a token of somebody else's for one. */
  hide(token: string): string {
    this.#tokens.add(token)
    return token
  }

  types(): string[] {
    return this.events.map(event => event.type)
  }

  /** Mints for `identity`, and remembers the token as one that nothing may tell. */
  async mint(client: VKitClient, identity: string): Promise<string> {
    const { sessionToken } = await client.getSessionToken(identity)
    return this.hide(sessionToken)
  }

  /** What `call` rejects with, inside `deadlineMs` plus 100 ms by the order in which timers fire. */
  async failureOf(call: Promise<unknown>, deadlineMs = 15_000): Promise<VKitError> {
    const error = await settled(call, deadlineMs)
    this.#seen.push(error)
    assert.ok(VKitError.is(error), `not a VKitError: ${String(error)}`)
    assert.ok(error instanceof Error)
    return error
  }

  expectFailure(error: VKitError, { code, retryable, attempts, status }: ExpectedFailure, seen: number): void {
    const codes: readonly string[] = typeof code === 'string' ? [code] : code
    assert.ok(codes.includes(error.code), `${error.code} instead of ${codes.join(' or ')}: ${error.message}`)
    assert.equal(error.retryable, retryable, `retryable of ${error.code}`)
    if (status !== undefined) assert.equal(error.status, status)
    if (typeof attempts === 'number') assert.equal(error.attempts, attempts, 'attempts, as the error tells')
    if (typeof attempts === 'object') assert.ok(error.attempts <= attempts.atMost, `${error.attempts} attempts`)
    assert.ok(seen <= error.attempts, `${seen} requests seen, ${error.attempts} told`)
  }

  /** Closes what the row opened. Servers stay: they are unref'd, and what a client leaves open must show. */
  async close(): Promise<void> {
    for (const client of this.#clients) {
      this.#seen.push(client.stats())
      await client.close()
    }
    for (const hidden of [SECRET, ...this.#tokens]) assertNoSecret(this.#seen, hidden)
  }
}

async function settled(call: Promise<unknown>, deadlineMs: number): Promise<unknown> {
  let sentinel: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    sentinel = setTimeout(() => reject(new Error('settled later than 100 ms after its deadline')), deadlineMs + 100)
  })
  try {
    const outcome = await Promise.race([
      call.then(
        () => new Error('expected a rejection'),
        (reason: unknown) => reason,
      ),
      late,
    ])
    return outcome
  } finally {
    clearTimeout(sentinel)
  }
}
