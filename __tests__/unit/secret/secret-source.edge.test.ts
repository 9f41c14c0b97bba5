import { describe, expect, it, jest } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { VKitTimeoutError } from '../../../lib/core/errors.js'
import { FakeClock } from '../../../lib/testing/index.js'

jest.unstable_mockModule(
  '../../../lib/core/request-context.js',
  () => import('../../../lib/core/request-context.edge.js'),
)
const { SecretSource } = await import('../../../lib/secret/secret-source.js')
const { failureOf } = await import('../../support/failure.js')

describe('SecretSource at the edge', () => {
  it('calls the provider for each mint, because a call whose request has ended never returns', async () => {
    const clock = new FakeClock()
    let calls = 0
    const source = new SecretSource({
      rotates: true,
      read: () => (++calls === 1 ? new Promise(() => undefined) : Promise.resolve('secret')),
    })
    const deadline = (): Deadline => new Deadline(clock, 1_000, () => new VKitTimeoutError('late'))
    const ended = failureOf(source.read(deadline()))
    expect(await source.read(deadline())).toBe('secret')
    expect(await source.renew(deadline())).toBe('secret')
    expect([calls, source.latest]).toEqual([3, 'secret'])
    await clock.advance(1_000)
    expect(await ended).toMatchObject({ code: 'VKIT_TIMEOUT', retryable: false })
  })
})
