import { describe, expect, it } from '@jest/globals'
import fc, { type AsyncCommand } from 'fast-check'
import { VKitPermissionError, VKitServerError } from '../../../lib/core/errors.js'
import { instant, type Instant } from '../../../lib/core/instant.js'
import { VKitError } from '../../../lib/core/vkit-error.js'
import type { SessionToken } from '../../../lib/token/session-token.js'
import type { CacheMode, TokenRequest } from '../../../lib/token/token-request.js'
import { CacheHarness, type RequestedMint } from '../../support/cache.js'

const DEADLINE_MS = 15_000
const HOUR_MS = 3_600_000
/** Two users, one of them with two sets of scopes. The cache has room for two tokens. */
const REQUESTS = [
  { identity: 'a', scopes: [] },
  { identity: 'b', scopes: [] },
  { identity: 'a', scopes: ['videos.read'] },
] as const satisfies readonly TokenRequest[]

/** A mint, with the numbers of the commands in which something happened to it. */
interface Mint {
  readonly requested: RequestedMint
  readonly sessionToken: string
  readonly started: Instant
  /** Whether it is for a single call, with `no-store`. */
  readonly isPrivate: boolean
  sent: number
  settled: number
  expiresAt: Instant
  /** Whether another mint for the same key may start although this one is pending. */
  isForgotten: boolean
  deliveries: number
}

interface Call {
  readonly request: TokenRequest
  readonly mode: CacheMode
  readonly began: number
  readonly leaving: AbortController
  /** What it must not get, because an `invalidate` that began after the mint has returned. */
  readonly forbidden: ReadonlySet<string>
  isPending: boolean
}

interface CallOptions {
  readonly mode: CacheMode
  readonly deadlineMs: number
  readonly minValidityMs: number | undefined
}

/** A cache, what has happened to it, and which tokens its calls may get because of that. */
class World {
  readonly harness = new CacheHarness({ maxEntries: 2, deadlineMs: DEADLINE_MS })
  readonly calls: Call[] = []
  readonly mints: Mint[] = []
  readonly #violations: string[] = []
  #forbidden: ReadonlySet<string> = new Set()
  #command = 0

  constructor() {
    this.harness.manual = this.harness.queued = true
  }

  /** Does something, and lets everything happen that needs no time. */
  async run(act: (world: World) => unknown): Promise<void> {
    this.#command++
    await act(this)
    await this.harness.settle()
    this.#noticeMints(false)
    // expect() would take a quarter of the time.
    if (this.#violations.length > 0) throw new Error(this.#violations.join(', '))
  }

  get pendingMints(): readonly Mint[] {
    return this.mints.filter(({ settled, requested }) => settled === Infinity && !requested.deadline.aborted)
  }

  get pendingCalls(): readonly Call[] {
    return this.calls.filter(({ isPending }) => isPending)
  }

  call(request: TokenRequest, options: CallOptions): void {
    const { mode } = options
    const [began, forbidden, leaving] = [this.#command, this.#forbidden, new AbortController()]
    const call: Call = { request, mode, began, leaving, forbidden, isPending: true }
    this.calls.push(call)
    if (mode === 'reload') this.#forget(request)
    this.harness.cache.get(request, { ...options, signal: leaving.signal }).then(
      token => this.#onToken(call, token),
      (error: unknown) => {
        call.isPending = false
        this.#require(leaving.signal.aborted || error instanceof VKitError, `a call failed with ${String(error)}`)
      },
    )
    this.#noticeMints(mode === 'no-store')
  }

  async invalidate(request: TokenRequest, sessionToken?: string): Promise<void> {
    const before = this.mints.filter(({ requested }) => requested.request === request).map(mint => mint.sessionToken)
    this.#forget(request)
    await this.harness.cache.invalidate(request, sessionToken).catch(() => undefined)
    this.#forbidden = new Set([...this.#forbidden, ...(sessionToken === undefined ? before : [sessionToken])])
  }

  send(mint: Mint): void {
    mint.sent = Math.min(mint.sent, this.#command)
    mint.requested.send()
  }

  succeed(mint: Mint, lifetimeMs: number): void {
    this.send(mint)
    mint.settled = this.#command
    const { clock } = this.harness
    const { wall, monotonic } = mint.started
    const ms = clock.monotonic() - monotonic + lifetimeMs
    mint.expiresAt = { wall: wall + ms, monotonic: monotonic + ms }
    mint.requested.succeed(ms)
  }

  fail(mint: Mint, error: VKitError): void {
    this.send(mint)
    mint.settled = this.#command
    mint.requested.fail(error)
  }

  /** Lets each pending flight end by its deadline. Then nothing may be left. */
  async end(): Promise<void> {
    await this.run(() => this.harness.clock.advance(4 * DEADLINE_MS))
    expect(this.pendingCalls).toEqual([])
    expect(this.harness.cache.inFlight).toBe(0)
    expect(this.harness.clock.sleepers).toBe(0)
  }

  #forget(request: TokenRequest): void {
    for (const mint of this.mints) if (mint.requested.request === request) mint.isForgotten = true
  }

  #noticeMints(isPrivate: boolean): void {
    for (const requested of this.harness.mints.slice(this.mints.length)) {
      const isSecond = this.pendingMints.some(
        other => !other.isPrivate && !other.isForgotten && other.requested.request === requested.request,
      )
      this.#require(isPrivate || !isSecond, 'two flights of one key')
      this.mints.push({
        ...{ requested, isPrivate, sessionToken: `token-${this.mints.length + 1}`, isForgotten: false, deliveries: 0 },
        ...{ sent: Infinity, settled: Infinity, expiresAt: { wall: 0, monotonic: 0 } },
        started: instant(this.harness.clock),
      })
    }
  }

  #onToken(call: Call, { sessionToken, identity, scopes }: SessionToken): void {
    call.isPending = false
    const mint = this.mints.find(each => each.sessionToken === sessionToken)
    if (!mint) return this.#require(false, 'an unknown token')
    mint.deliveries++
    const { clock } = this.harness
    const isValid = mint.expiresAt.wall > clock.now() && mint.expiresAt.monotonic > clock.monotonic()
    this.#require(isValid || mint.settled === this.#command, 'an expired token')
    this.#require(identity === call.request.identity && scopes === call.request.scopes, 'the token of another request')
    this.#require(!call.leaving.signal.aborted, 'a token for a call that has left')
    this.#require(!call.forbidden.has(sessionToken), 'an invalidated token')
    this.#require(call.mode !== 'reload' || mint.sent >= call.began, 'a token from before a reload')
    this.#require(!mint.isPrivate || mint.deliveries === 1, 'a shared token of a call with no-store')
    this.#require(call.mode !== 'no-store' || mint.isPrivate, 'a shared token for a call with no-store')
  }

  #require(isMet: boolean, problem: string): void {
    if (!isMet) this.#violations.push(problem)
  }
}

type Step = AsyncCommand<object, World>

function step(name: string, act: (world: World) => unknown): Step {
  return { check: () => true, run: (_, world) => world.run(act), toString: () => name }
}

const [usual] = REQUESTS
const request = fc.oneof(
  { weight: 3, arbitrary: fc.constant(usual) },
  { weight: 2, arbitrary: fc.constantFrom(...REQUESTS) },
)
const index = fc.nat(7)
const at = <T>(all: readonly T[], i: number): T | undefined => all[i % Math.max(1, all.length)]
const show = ({ identity, scopes }: TokenRequest): string => [identity, ...scopes].join('+')

const gets = fc
  .record({
    request,
    mode: fc.constantFrom<CacheMode>('default', 'default', 'reload', 'no-store'),
    minValidityMs: fc.constantFrom(undefined, undefined, 0, 30_000, 2 * HOUR_MS),
    deadlineMs: fc.constantFrom(DEADLINE_MS, 100, 1_000),
  })
  .map(({ request, ...options }) =>
    step(`get ${show(request)} ${JSON.stringify(options)}`, world => world.call(request, options)),
  )
const answers = fc.record({ i: index, lifetimeMs: fc.constantFrom(1_000, 60_000, HOUR_MS) }).map(({ i, lifetimeMs }) =>
  step(`mint ${i} succeeds for ${lifetimeMs} ms`, world => {
    const mint = at(world.pendingMints, i)
    if (mint) world.succeed(mint, lifetimeMs)
  }),
)
const failures = fc.record({ i: index, isRevoked: fc.boolean() }).map(({ i, isRevoked }) =>
  step(`mint ${i} ${isRevoked ? 'is refused' : 'fails'}`, world => {
    const mint = at(world.pendingMints, i)
    const details = { attempts: 1, status: isRevoked ? 403 : 503, requestId: undefined }
    if (mint)
      world.fail(mint, isRevoked ? new VKitPermissionError('refused', details) : new VKitServerError('down', details))
  }),
)
const sends = index.map(i =>
  step(`mint ${i} is sent`, world => {
    const mint = at(world.pendingMints, i)
    if (mint) world.send(mint)
  }),
)
const leaves = index.map(i => step(`call ${i} leaves`, world => at(world.pendingCalls, i)?.leaving.abort()))
const invalidations = request.map(request => step(`invalidate ${show(request)}`, world => world.invalidate(request)))
const invalidationsOfOne = index.map(i =>
  step(`invalidate the token of mint ${i}`, world => {
    const mint = at(
      world.mints.filter(({ deliveries }) => deliveries > 0),
      i,
    )
    return mint && world.invalidate(mint.requested.request, mint.sessionToken)
  }),
)
const passing = fc
  .constantFrom(1, 500, 5_000, 40_000, 0.55 * HOUR_MS, HOUR_MS)
  .map(ms => step(`${ms} ms pass`, world => world.harness.clock.advance(ms)))
const jumps = fc
  .constantFrom(-HOUR_MS, -1_000, 1_000, HOUR_MS)
  .map(ms => step(`the wall clock jumps by ${ms} ms`, ({ harness: { clock } }) => clock.setWall(clock.now() + ms)))
const gaps = fc.constant(step('messages may be missing', world => world.harness.cache.onGapEnd()))
const closing = fc.constant(step('close', world => world.harness.cache.close()))

const sequences = fc.commands(
  [
    ...[gets, gets, gets, gets, answers, answers, answers, failures, sends, leaves],
    ...[invalidations, invalidationsOfOne, passing, jumps, gaps, closing],
  ],
  { maxCommands: 11, size: 'max' },
)

describe('any sequence of calls, responses and times', () => {
  it('leads to valid tokens of the right user, to one flight per key, and to nothing in flight at the end', async () => {
    await fc.assert(
      fc.asyncProperty(sequences, async commands => {
        const world = new World()
        await fc.asyncModelRun(() => ({ model: {}, real: world }), commands)
        await world.end()
      }),
      { numRuns: Number(process.env['VKIT_TEST_RUNS'] ?? 10_000) },
    )
  })
})
