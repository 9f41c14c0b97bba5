import { describe, expect, it } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { VKitClosedError, VKitConfigError, VKitTimeoutError } from '../../../lib/core/errors.js'
import { SecretSource } from '../../../lib/secret/secret-source.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { failureOf } from '../../support/failure.js'

function makeSource(): { source: SecretSource; clock: FakeClock; asked: Asked[]; deadline: (ms?: number) => Deadline } {
  const clock = new FakeClock()
  const asked: Asked[] = []
  const source = new SecretSource({
    rotates: true,
    read: () => new Promise((resolve, reject) => asked.push({ resolve, reject })),
  })
  const deadline = (ms = 15_000): Deadline => new Deadline(clock, ms, () => new VKitTimeoutError('late'))
  return { source, clock, asked, deadline }
}

interface Asked {
  readonly resolve: (secret: string) => void
  readonly reject: (error: Error) => void
}

describe('SecretSource', () => {
  it('asks once for all who need it at the same time, and again for those who come later', async () => {
    const { source, clock, asked, deadline } = makeSource()
    const reads = Array.from({ length: 100 }, () => source.read(deadline()))
    await clock.advance(0)
    asked[0]?.resolve('secret')
    expect(new Set(await Promise.all(reads))).toEqual(new Set(['secret']))
    expect(asked).toHaveLength(1)
    void source.read(deadline())
    await clock.advance(0)
    expect(asked).toHaveLength(2)
  })

  it('keeps the answer to the later question, whichever comes first', async () => {
    const { source, clock, asked, deadline } = makeSource()
    const older = source.read(deadline())
    await clock.advance(0)
    const newer = source.renew(deadline())
    await clock.advance(0)
    asked[1]?.resolve('new')
    expect(await newer).toBe('new')
    asked[0]?.resolve('old')
    expect(await older).toBe('new')
    expect(source.latest).toBe('new')
  })

  it('asks anew after a refusal, whatever question is still open, and once for all who were refused', async () => {
    const { source, clock, asked, deadline } = makeSource()
    const older = source.read(deadline())
    await clock.advance(0)
    const renewals = [source.renew(deadline()), source.renew(deadline())]
    await clock.advance(0)
    expect(asked).toHaveLength(2)
    asked[0]?.resolve('old')
    asked[1]?.resolve('new')
    expect(await Promise.all([older, ...renewals])).toEqual(['old', 'new', 'new'])
  })

  it('gives each who waited an error object of their own', async () => {
    const { source, clock, asked, deadline } = makeSource()
    const reads = [1, 2].map(() => failureOf(source.read(deadline())))
    await clock.advance(0)
    asked[0]?.reject(new VKitConfigError('failed'))
    const [one, other] = await Promise.all(reads)
    expect(one).toMatchObject({ code: 'VKIT_CONFIG', message: 'failed' })
    expect(one).not.toBe(other)
  })

  it('ends with the deadline where no answer comes, and asks again next time', async () => {
    const { source, clock, asked, deadline } = makeSource()
    const read = failureOf(source.read(deadline(1_000)))
    await clock.advance(1_000)
    expect(await read).toMatchObject({ code: 'VKIT_TIMEOUT', retryable: false })
    const next = source.read(deadline())
    await clock.advance(0)
    expect(asked).toHaveLength(2)
    asked[1]?.resolve('secret')
    expect(await next).toBe('secret')
  })

  it('ends with the reason of whoever cancels the wait', async () => {
    const { source, deadline } = makeSource()
    const closing = deadline()
    const read = failureOf(source.read(closing))
    closing.cancel(new VKitClosedError())
    expect(await read).toMatchObject({ code: 'VKIT_CLOSED' })
  })
})
