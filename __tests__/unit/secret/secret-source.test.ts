import { describe, expect, it } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { VKitClosedError, VKitConfigError, VKitTimeoutError } from '../../../lib/core/errors.js'
import { SecretSource } from '../../../lib/secret/secret-source.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { failureOf } from '../../support/failure.js'

function makeSource(): {
  source: SecretSource
  clock: FakeClock
  calls: ProviderCall[]
  deadline: (ms?: number) => Deadline
} {
  const clock = new FakeClock()
  const calls: ProviderCall[] = []
  const source = new SecretSource({
    rotates: true,
    read: () => new Promise((resolve, reject) => calls.push({ resolve, reject })),
  })
  const deadline = (ms = 15_000): Deadline => new Deadline(clock, ms, () => new VKitTimeoutError('late'))
  return { source, clock, calls, deadline }
}

interface ProviderCall {
  readonly resolve: (secret: string) => void
  readonly reject: (error: Error) => void
}

describe('SecretSource', () => {
  it('calls the provider once for concurrent reads, and again for a later read', async () => {
    const { source, clock, calls, deadline } = makeSource()
    const reads = Array.from({ length: 100 }, () => source.read(deadline()))
    await clock.advance(0)
    calls[0]?.resolve('secret')
    expect(new Set(await Promise.all(reads))).toEqual(new Set(['secret']))
    expect(calls).toHaveLength(1)
    void source.read(deadline())
    await clock.advance(0)
    expect(calls).toHaveLength(2)
  })

  it('keeps the result of the later call, whichever result arrives first', async () => {
    const { source, clock, calls, deadline } = makeSource()
    const older = source.read(deadline())
    await clock.advance(0)
    const newer = source.renew(deadline())
    await clock.advance(0)
    calls[1]?.resolve('new')
    expect(await newer).toBe('new')
    calls[0]?.resolve('old')
    expect(await older).toBe('new')
    expect(source.latest).toBe('new')
  })

  it('calls the provider once for concurrent renewals, even if an earlier call is pending', async () => {
    const { source, clock, calls, deadline } = makeSource()
    const older = source.read(deadline())
    await clock.advance(0)
    const renewals = [source.renew(deadline()), source.renew(deadline())]
    await clock.advance(0)
    expect(calls).toHaveLength(2)
    calls[0]?.resolve('old')
    calls[1]?.resolve('new')
    expect(await Promise.all([older, ...renewals])).toEqual(['old', 'new', 'new'])
  })

  it('rejects each waiting caller with a separate error object', async () => {
    const { source, clock, calls, deadline } = makeSource()
    const reads = [1, 2].map(() => failureOf(source.read(deadline())))
    await clock.advance(0)
    calls[0]?.reject(new VKitConfigError('failed'))
    const [one, other] = await Promise.all(reads)
    expect(one).toMatchObject({ code: 'VKIT_CONFIG', message: 'failed' })
    expect(one).not.toBe(other)
  })

  it('rejects at the deadline if the provider hangs, and calls it again for the next read', async () => {
    const { source, clock, calls, deadline } = makeSource()
    const read = failureOf(source.read(deadline(1_000)))
    await clock.advance(1_000)
    expect(await read).toMatchObject({
      code: 'VKIT_TIMEOUT',
      message: 'The app secret provider did not return before the deadline.',
      retryable: false,
    })
    const next = source.read(deadline())
    await clock.advance(0)
    expect(calls).toHaveLength(2)
    calls[1]?.resolve('secret')
    expect(await next).toBe('secret')
  })

  it('keeps the next call for later reads, even if more waits for a hanging one end', async () => {
    const { source, clock, calls, deadline } = makeSource()
    const hanging = [1_000, 2_000].map(ms => failureOf(source.read(deadline(ms))))
    await clock.advance(1_000)
    const next = source.read(deadline())
    await clock.advance(1_000)
    await Promise.all(hanging)
    const later = source.read(deadline())
    await clock.advance(0)
    expect(calls).toHaveLength(2)
    calls[1]?.resolve('secret')
    expect(await Promise.all([next, later])).toEqual(['secret', 'secret'])
  })

  it('rejects with the reason if the wait is cancelled', async () => {
    const { source, deadline } = makeSource()
    const closing = deadline()
    const read = failureOf(source.read(closing))
    closing.cancel(new VKitClosedError())
    expect(await read).toMatchObject({ code: 'VKIT_CLOSED' })
  })
})
