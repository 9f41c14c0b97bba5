import { describe, expect, it } from '@jest/globals'
import { Deadline } from '../../../lib/core/deadline.js'
import { VKitAuthenticationError, VKitConfigError, VKitTimeoutError } from '../../../lib/core/errors.js'
import { Events, type VKitEvent } from '../../../lib/core/events.js'
import { CheckedSecret } from '../../../lib/gateway/checked-secret.js'
import { SecretSource } from '../../../lib/secret/secret-source.js'
import { FakeClock } from '../../../lib/testing/index.js'
import { failureOf } from '../../support/failure.js'

const HOUR_MS = 3_600_000

/** The provider returns `secrets` in order, or fails with one that is an error. The last one repeats. */
function setUp({
  secrets = ['secret'],
  rotates = true,
}: { secrets?: readonly (string | Error)[]; rotates?: boolean } = {}) {
  const clock = new FakeClock()
  const events: VKitEvent[] = []
  let providerCalls = 0
  const secret = new SecretSource({
    rotates,
    read: async () => {
      const next = secrets[Math.min(providerCalls++, secrets.length - 1)] ?? ''
      if (next instanceof Error) throw next
      return next
    },
  })
  const checked = new CheckedSecret({
    ...{ secret, clock, random: () => 0 },
    events: new Events(event => void events.push(event)),
  })
  const deadline = (): Deadline => new Deadline(clock, 15_000, () => new VKitTimeoutError('late'))
  return {
    ...{ clock, events, checked, deadline },
    providerCalls: () => providerCalls,
    read: async () => checked.read(deadline()),
    renew: (refused: string) => checked.renew(refused, deadline()),
    /** Records a 401 for a user. By default, the secret stays refused for an hour. */
    refuse: (name: string, key = 'user', retryAfterMs: number | undefined = HOUR_MS) => {
      const error = new VKitAuthenticationError('wrong secret', { status: 401, retryAfterMs })
      checked.recordRefused(name, { key, sentAt: clock.monotonic() }, error)
    },
  }
}

describe('a secret that never worked', () => {
  it('is refused for every user after one 401, without a request', async () => {
    const { read, refuse, events } = setUp()
    refuse(await read())
    expect(await failureOf(read())).toMatchObject({
      ...{ code: 'VKIT_UNAUTHENTICATED', status: 401, attempts: 0, refusedBy: 'secret', retryAfterMs: HOUR_MS },
    })
    expect(events).toEqual([{ type: 'secret-backoff', retryAfterMs: HOUR_MS }])
  })

  it('may be sent again after its backoff, which doubles after the next refusal', async () => {
    const { clock, checked, read, events } = setUp()
    const refuse = (): void =>
      checked.recordRefused('secret', { key: 'user', sentAt: clock.monotonic() }, new VKitAuthenticationError('wrong'))
    refuse()
    await clock.advance(100)
    expect(await read()).toBe('secret')
    refuse()
    expect(events.map(event => 'retryAfterMs' in event && event.retryAfterMs)).toEqual([100, 200])
  })

  it('is counted once if many users are refused together', () => {
    const { refuse, events } = setUp()
    for (let user = 1; user <= 100; user++) refuse('secret', `user ${user}`)
    expect(events).toHaveLength(1)
  })

  it('does not block another secret', async () => {
    const { read, refuse } = setUp({ secrets: ['wrong', 'right'] })
    refuse(await read())
    expect(await read()).toBe('right')
  })

  it('stays refused if the provider returns it again after another one', async () => {
    const { checked, refuse } = setUp()
    refuse('wrong')
    refuse('wrong too')
    expect([checked.isRefused('wrong'), checked.isRefused('wrong too'), checked.isRefused('right')]).toEqual([
      ...[true, true, false],
    ])
  })

  it('is accepted again as soon as the gateway accepts it', async () => {
    const { checked, read, refuse } = setUp()
    refuse(await read())
    checked.recordAccepted('secret')
    expect(await read()).toBe('secret')
  })
})

describe('a secret that worked', () => {
  it('is refused for every user only after 40 users were refused', () => {
    const { checked, refuse } = setUp()
    checked.recordAccepted('secret')
    for (let user = 1; user <= 39; user++) refuse('secret', `user ${user}`)
    expect(checked.isRefused('secret')).toBe(false)
    refuse('secret', 'user 40')
    expect(checked.isRefused('secret')).toBe(true)
  })

  it('is not refused for every user while it works for some of them', () => {
    const { checked, refuse } = setUp()
    for (let user = 1; user <= 100; user++) {
      if (user % 30 === 1) checked.recordAccepted('secret')
      refuse('secret', `user ${user}`)
    }
    expect(checked.isRefused('secret')).toBe(false)
  })

  it('is refused for every user after it worked for no user for 5 s', async () => {
    const { clock, checked, refuse } = setUp()
    checked.recordAccepted('secret')
    for (const user of ['a', 'b', 'a', 'b']) refuse('secret', user)
    await clock.advance(5_000)
    refuse('secret', 'a')
    expect(checked.isRefused('secret')).toBe(true)
  })
})

describe('a secret that the gateway accepts', () => {
  it('is new the first time, and again after it was refused for every user', () => {
    const { checked, refuse } = setUp()
    const accept = (): boolean => checked.recordAccepted('secret')
    expect([accept(), accept()]).toEqual([true, false])
    for (let user = 1; user <= 40; user++) refuse('secret', `user ${user}`)
    expect([accept(), accept()]).toEqual([true, false])
  })

  it('is new again after four others', () => {
    const { checked } = setUp()
    const isNew = (secret: string): boolean => checked.recordAccepted(secret)
    expect(['a', 'b', 'c', 'd'].map(isNew)).toEqual([true, true, true, true])
    expect(['d', 'c', 'b', 'a'].map(isNew)).toEqual([false, false, false, false])
    expect(['e', 'b', 'c', 'd', 'a'].map(isNew)).toEqual([true, false, false, false, true])
  })
})

describe('the provider', () => {
  it('is called for each mint while the secret works', async () => {
    const { checked, read, providerCalls } = setUp()
    checked.recordAccepted(await read())
    await read()
    expect(providerCalls()).toBe(2)
  })

  it('is called at most once a second while the secret is refused', async () => {
    const { clock, read, refuse, providerCalls } = setUp()
    refuse(await read())
    await failureOf(read())
    const before = providerCalls()
    await clock.advance(999)
    await failureOf(read())
    expect(providerCalls()).toBe(before)
    await clock.advance(1)
    await failureOf(read())
    await failureOf(read())
    expect(providerCalls()).toBe(before + 1)
  })

  it('is called at most once a second while the secret is refused, if it fails too', async () => {
    const { clock, read, refuse, providerCalls } = setUp({ secrets: ['wrong', new VKitConfigError('no secret')] })
    refuse(await read())
    const codes = [(await failureOf(read())).code, (await failureOf(read())).code]
    await clock.advance(1_000)
    expect([...codes, (await failureOf(read())).code]).toEqual(['VKIT_CONFIG', 'VKIT_UNAUTHENTICATED', 'VKIT_CONFIG'])
    expect(providerCalls()).toBe(3)
  })

  it('is called at once after a secret is refused that it returned a moment ago', async () => {
    const { read, refuse, providerCalls } = setUp({ secrets: ['old', 'wrong', 'right'] })
    refuse(await read())
    refuse(await read())
    expect(await read()).toBe('right')
    expect(providerCalls()).toBe(3)
  })

  it('is not called again if its secret never changes', async () => {
    const { checked, deadline, read, refuse, renew, providerCalls } = setUp({ rotates: false })
    await read()
    expect(checked.read(deadline())).toBe('secret')
    refuse('secret')
    await failureOf(read())
    expect(await renew('secret')).toBeUndefined()
    expect(providerCalls()).toBe(1)
  })
})

describe('renewing a secret', () => {
  it('returns a new secret if the provider has one', async () => {
    const { read, renew } = setUp({ secrets: ['old', 'new'] })
    expect(await renew(await read())).toBe('new')
  })

  it('returns undefined if the provider still returns the same secret', async () => {
    const { read, renew } = setUp()
    expect(await renew(await read())).toBeUndefined()
  })

  it('returns the secret that another mint has received since, without calling the provider', async () => {
    const { read, renew, providerCalls } = setUp({ secrets: ['old', 'new'] })
    await read()
    await read()
    expect(await renew('old')).toBe('new')
    expect(providerCalls()).toBe(2)
  })

  it('calls the provider at most once a second while the secret is refused', async () => {
    const { clock, read, refuse, renew, providerCalls } = setUp({ secrets: ['old', 'old', 'new'] })
    refuse(await read())
    await renew('old')
    await clock.advance(999)
    expect(await renew('old')).toBeUndefined()
    expect(providerCalls()).toBe(2)
    await clock.advance(1)
    expect(await renew('old')).toBe('new')
  })

  it('calls the provider after each 401 that affects only one user', async () => {
    const { checked, read, refuse, renew, providerCalls } = setUp()
    refuse(await read())
    await failureOf(read())
    checked.recordAccepted('secret')
    const before = providerCalls()
    for (const user of ['a', 'b']) {
      refuse('secret', user)
      await renew('secret')
    }
    expect(providerCalls()).toBe(before + 2)
  })
})
