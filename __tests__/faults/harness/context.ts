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

/** A gateway of either kind, as a test uses it. */
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

/** The tools of a row. Everything that passes through them is searched for the secret at the end. */
export class Context {
  readonly events: VKitEvent[] = []
  /** Everything that others may see: errors, events, statistics. */
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

  /** Registers text that must not appear anywhere, such as the token of another user. */
  hide(token: string): string {
    this.#tokens.add(token)
    return token
  }

  types(): string[] {
    return this.events.map(event => event.type)
  }

  /** Mints for `identity`, and registers the token as text that must not appear anywhere. */
  async mint(client: VKitClient, identity: string): Promise<string> {
    const { sessionToken } = await client.getSessionToken(identity)
    return this.hide(sessionToken)
  }

  /** Returns the error of `call`, which must reject within `deadlineMs` plus 100 ms. */
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
    if (typeof attempts === 'number') assert.equal(error.attempts, attempts, 'attempts of the error')
    if (typeof attempts === 'object') assert.ok(error.attempts <= attempts.atMost, `${error.attempts} attempts`)
    assert.ok(seen <= error.attempts, `${seen} requests received, ${error.attempts} attempts reported`)
  }

  /** Closes the clients of the row. Servers stay open and are unref'd, so what a client leaves open is noticed. */
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
