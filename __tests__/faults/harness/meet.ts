import assert from 'node:assert/strict'
import type { VKitClient, VKitClientOptions, VKitError } from '../../../lib/index.js'
import type { Context, ExpectedFailure, Gateway } from './context.js'
import { LONGEST_FIRST_BACKOFF_MS, SkippingClock } from './skipping-clock.js'

export interface Meeting extends ExpectedFailure {
  /** Begins the fault, only for the victim if possible. */
  readonly begin: () => void | Promise<void>
  /** Ends it. */
  readonly end?: () => void | Promise<void>
  readonly options?: VKitClientOptions
  /** Whether the fault affects every call: then no other user is served meanwhile. */
  readonly forAll?: boolean
}

/**
 * Exposes a client to a fault, and checks what is true of every row: a typed error in time, with as many attempts as
 * the gateway received; nothing new in the cache, and the old token still there; another user served at the same time.
 */
export async function meet(t: Context, gateway: Gateway, meeting: Meeting): Promise<VKitError> {
  const { begin, end, options = {}, forAll = false } = meeting
  const clock = new SkippingClock()
  const client = t.client(gateway, { clock, ...options })
  const kept = await t.mint(client, 'keeper')
  const before = gateway.seenOf('victim')
  await begin()

  const failing = t.failureOf(client.getSessionToken('victim'), options.deadlineMs)
  const bystander = forAll ? undefined : t.mint(client, 'bystander')
  const error = await failing
  t.expectFailure(error, meeting, gateway.seenOf('victim') - before)
  if (!forAll && typeof meeting.attempts === 'number') {
    assert.equal(gateway.seenOf('victim') - before, meeting.attempts, 'attempts that the gateway received')
  }
  await bystander
  await expectOnlyKept(t, client, kept, forAll ? 1 : 2)

  if (end) {
    await end()
    clock.skip(Math.max(LONGEST_FIRST_BACKOFF_MS, error.retryAfterMs ?? 0))
    const seen = gateway.seenOf('victim')
    await t.mint(client, 'victim')
    assert.equal(gateway.seenOf('victim'), seen + 1, 'a failure was remembered for too long')
  }
  await client.close()
  return error
}

async function expectOnlyKept(t: Context, client: VKitClient, kept: string, entries: number): Promise<void> {
  assert.equal(client.stats().entries, entries, 'entries in the cache')
  assert.equal(client.stats().inFlight, 0, 'loads in flight')
  assert.equal(await t.mint(client, 'keeper'), kept, 'the older token is still cached')
}

/** Exposes a client to a fault that it survives without an error. */
export async function survive(
  t: Context,
  gateway: Gateway,
  {
    begin,
    options,
    requests,
  }: { begin: () => void; options?: VKitClientOptions; requests: number | { readonly atMost: number } },
): Promise<VKitClient> {
  const client = t.client(gateway, options)
  const kept = await t.mint(client, 'keeper')
  const before = gateway.seenOf('victim')
  begin()
  await Promise.all([t.mint(client, 'victim'), t.mint(client, 'bystander')])
  const seen = gateway.seenOf('victim') - before
  if (typeof requests === 'number') assert.equal(seen, requests, 'requests that the gateway received')
  else assert.ok(seen <= requests.atMost, `the gateway received ${seen} requests`)
  await expectOnlyKept(t, client, kept, 3)
  return client
}
