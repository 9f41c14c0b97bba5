import { describe, expect, it, jest } from '@jest/globals'
import { VKitClosedError, VKitConnectionError, VKitTimeoutError } from '../../../lib/core/errors.js'
import { WarmUp, type WarmUpPlan } from '../../../lib/gateway/warm-up.js'
import { SecretSource } from '../../../lib/secret/secret-source.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { failureOf, reasonOf } from '../../support/failure.js'

const never = (): Promise<never> => new Promise(() => undefined)

function setUp({ load, preconnect }: { load?: () => Promise<void>; preconnect?: () => Promise<void> } = {}) {
  const clock = new FakeClock()
  const closing = new AbortController()
  const transport = {
    load: jest.fn(load ?? (async () => undefined)),
    preconnect: jest.fn<WarmUpPlan['transport']['preconnect']>(preconnect ?? (async () => undefined)),
  }
  const loadMore = jest.fn(async () => undefined)
  const secret = new SecretSource({ rotates: false, read: async () => 'the secret' })
  const warmUp = new WarmUp({ secret, transport, loadMore, clock, deadlineMs: 2_000, closing })
  return { warmUp, clock, closing, transport, loadMore }
}

describe('a warm-up', () => {
  it('loads what a call needs, and opens a connection for its secret, once for concurrent calls', async () => {
    const { warmUp, clock, transport, loadMore } = setUp()
    await Promise.all([warmUp.run(), warmUp.run(new AbortController().signal)])
    expect([transport.load.mock.calls.length, loadMore.mock.calls.length]).toEqual([1, 1])
    expect(transport.preconnect.mock.calls).toEqual([[expect.objectContaining({ secret: 'the secret' })]])
    expect(clock.sleepers).toBe(0)
    await warmUp.run()
    expect(transport.preconnect).toHaveBeenCalledTimes(2)
  })

  it('fails with an error of its own for each call', async () => {
    const down = new VKitConnectionError('down')
    const { warmUp, clock } = setUp({ preconnect: () => Promise.reject(down) })
    const [first, second] = await Promise.all([failureOf(warmUp.run()), failureOf(warmUp.run())])
    expect([first.message, second.message]).toEqual(['down', 'down'])
    expect(new Set([first, second, down]).size).toBe(3)
    expect(clock.sleepers).toBe(0)
  })

  it('fails after its deadline', async () => {
    const { warmUp, clock } = setUp({ load: never })
    const failure = failureOf(warmUp.run())
    await clock.advance(2_000)
    const message = 'The client was not warm within 2000 ms.'
    expect(await failure).toMatchObject({ code: 'VKIT_TIMEOUT', message })
  })

  it.each(['before', 'during'])('fails if the client is closed %s it', async when => {
    const { warmUp, clock, closing, transport } = setUp({ load: never })
    const closed = new VKitClosedError()
    if (when === 'before') closing.abort(closed)
    const failure = failureOf(warmUp.run())
    await clock.advance(0)
    closing.abort(closed)
    expect(await failure).toMatchObject({ code: 'VKIT_CLOSED' })
    expect(transport.preconnect).not.toHaveBeenCalled()
    expect(clock.sleepers).toBe(0)
  })

  it('fails with an error of its own if the client is closed, even if its signal has aborted', async () => {
    const { warmUp, closing } = setUp()
    const closed = new VKitClosedError()
    closing.abort(closed)
    const error = await failureOf(warmUp.run(AbortSignal.abort()))
    expect(error).toMatchObject({ code: 'VKIT_CLOSED' })
    expect(error).not.toBe(closed)
  })

  it.each(['before', 'during'])('is left with the reason of a signal that aborts %s it, and goes on', async when => {
    const { warmUp, clock, transport } = setUp()
    const [control, reason] = [new AbortController(), new VKitTimeoutError('mine')]
    if (when === 'before') control.abort(reason)
    const left = reasonOf(warmUp.run(control.signal))
    const stays = warmUp.run()
    control.abort(reason)
    expect(await left).toBe(reason)
    await stays
    expect([transport.preconnect.mock.calls.length, clock.sleepers]).toEqual([1, 0])
  })

  it('leaves no listener on the signal', async () => {
    const { signal } = new AbortController()
    const [add, remove] = [jest.spyOn(signal, 'addEventListener'), jest.spyOn(signal, 'removeEventListener')]
    await setUp().warmUp.run(signal)
    expect(add.mock.calls.length).toBeGreaterThan(0)
    expect(remove.mock.calls.length).toBe(add.mock.calls.length)
  })
})
