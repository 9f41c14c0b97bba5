import { describe, expect, it } from '@jest/globals'
import { assertNoSecret } from '../../lib/testing/index.js'
import { startGateway } from '../support/gateway.js'
import { runScript, useScripts } from '../support/script.js'

useScripts()

const CALLS = `const client = new VKitClient({ onEvent: ({ type }) => console.log(type) })
  await client.getSessionToken('a-user')
  await client.getSessionToken('a-user')`

/** The lines without their times, process IDs and durations. */
function withoutNumbers(text: string): string[] {
  const lines = text.trimEnd().split('\n')
  return lines.map(line =>
    line.replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z videokit\[\d+\] /, '').replace(/(Ms)=[\d.]+/g, '$1=N'),
  )
}

describe('VKIT_DEBUG', () => {
  it.each(['1', 'true', '*', 'mint,1'])(
    '%s writes every event to standard error, and onEvent gets them too',
    async value => {
      const gateway = await startGateway()
      const { code, out, err } = await runScript(gateway, CALLS, { env: { VKIT_DEBUG: value } })
      expect([code, out]).toEqual([0, 'miss\nmint\nhit\n'])
      expect(withoutNumbers(err)).toEqual(['miss', expect.stringMatching(/^mint durationMs=N attempts=1/), 'hit'])
      assertNoSecret(err, gateway.appSecret)
      expect(err).not.toContain('a-user')
    },
  )

  it('writes only the events of a list', async () => {
    const gateway = await startGateway()
    gateway.failNext({ status: 503 })
    const { out, err } = await runScript(gateway, CALLS, { env: { VKIT_DEBUG: ' Retry, hit' } })
    expect(out).toBe('miss\nretry\nmint\nhit\n')
    const retry = /^retry attempt=1 delayMs=N code=VKIT_UNAVAILABLE/
    expect(withoutNumbers(err)).toEqual([expect.stringMatching(retry), 'hit'])
  })

  it.each(['', '0', 'false'])('%j writes nothing', async value => {
    const gateway = await startGateway()
    expect(await runScript(gateway, CALLS, { env: { VKIT_DEBUG: value } })).toMatchObject({ code: 0, err: '' })
  })

  it('warns once about unknown events, and shows no long value', async () => {
    const gateway = await startGateway()
    const value = `mnt,circuit-open,nonsense,${gateway.appSecret}`
    const { code, err } = await runScript(gateway, CALLS, { env: { VKIT_DEBUG: value } })
    expect(code).toBe(0)
    expect(err).toBe(
      'videokit: VKIT_DEBUG contains unknown events: mnt (did you mean mint?), nonsense. Use 1 for all events, or a list such as mint,retry,failure.\n',
    )
  })

  it('survives a reader that has gone', async () => {
    const gateway = await startGateway()
    const script = `${CALLS}\nconsole.log(client.stats().mints)`
    const end = await runScript(gateway, script, { env: { VKIT_DEBUG: '1' }, isStderrClosed: true })
    expect(end).toEqual({ code: 0, out: 'miss\nmint\nhit\n1\n', err: '' })
  })
})
