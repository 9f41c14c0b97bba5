import { describe, expect, it } from '@jest/globals'
import { startGateway } from '../support/gateway.js'
import { runScript, useScripts } from '../support/script.js'

useScripts()

/** A client whose tokens are stale after the first millisecond. */
const EAGER = `new VKitClient({ cache: { refreshAhead: 0.000001, minValidityMs: 0 } })`
const UNTIL_STALE = `const stale = performance.now() + 20; while (performance.now() < stale);`

describe('a process', () => {
  it('ends when it has its token, even if the client is not closed', async () => {
    const gateway = await startGateway()
    const end = await runScript(
      gateway,
      `const { identity } = await new VKitClient().getSessionToken('user'); console.log(identity)`,
    )
    expect(end).toEqual({ code: 0, out: 'user\n', err: '' })
  })

  it('ends after warmUp, although the connection stays open', async () => {
    const gateway = await startGateway()
    const end = await runScript(gateway, `await new VKitClient().warmUp(); console.log('warm')`)
    expect(end).toEqual({ code: 0, out: 'warm\n', err: '' })
    expect(gateway.requests).toEqual([])
  })

  it('does not end with exit code 13 while warmUp waits for the secret', async () => {
    const gateway = await startGateway()
    // Any event that does not keep the process alive would do: how long it takes does not matter.
    const end = await runScript(
      gateway,
      `const appSecret = () => new Promise(resolve => setTimeout(resolve, 100, 'secret').unref())
       await new VKitClient({ appSecret }).warmUp(); console.log('warm')`,
    )
    expect(end).toEqual({ code: 0, out: 'warm\n', err: '' })
  })

  it('does not end with exit code 13 while a caller waits for a slow mint', async () => {
    const gateway = await startGateway()
    gateway.failNext({ delayMs: 400 })
    const end = await runScript(
      gateway,
      `const { identity } = await new VKitClient().getSessionToken('user'); console.log(identity)`,
    )
    expect(end).toEqual({ code: 0, out: 'user\n', err: '' })
  })

  it('does not end while a caller waits for a retry', async () => {
    const gateway = await startGateway()
    gateway.failNext({ status: 503 }, 2)
    const end = await runScript(
      gateway,
      `const { identity } = await new VKitClient().getSessionToken('user'); console.log(identity)`,
    )
    expect(end).toEqual({ code: 0, out: 'user\n', err: '' })
  })

  it('does not end while close drains a background refresh, and ends after it', async () => {
    const gateway = await startGateway()
    gateway.failNext({})
    gateway.failNext({ delayMs: 400 })
    const end = await runScript(
      gateway,
      `const client = ${EAGER}
       await client.getSessionToken('user')
       ${UNTIL_STALE}
       await client.getSessionToken('user')
       await client.close({ drainMs: 60_000 })
       console.log(client.stats().mints)`,
    )
    expect(end).toEqual({ code: 0, out: '2\n', err: '' })
  })

  it('ends while a background refresh waits for a silent gateway', async () => {
    const gateway = await startGateway()
    gateway.failNext({})
    gateway.fail({ silence: true })
    const end = await runScript(
      gateway,
      `const client = ${EAGER}
       await client.getSessionToken('user')
       ${UNTIL_STALE}
       await client.getSessionToken('user')
       // The event loop must run before the request is sent.
       await new Promise(resolve => setTimeout(resolve, 50))
       console.log(client.stats().inFlight)`,
    )
    expect(end).toEqual({ code: 0, out: '1\n', err: '' })
    // If the process had waited for the timeout of the attempt, it would have made another attempt.
    expect(gateway.requests.map(request => request.status)).toEqual([200, 0])
  })

  it('does not end with an unhandled rejection when a background refresh fails', async () => {
    const gateway = await startGateway()
    gateway.failNext({})
    gateway.fail({ status: 401 })
    const end = await runScript(
      gateway,
      `const client = new VKitClient({
         cache: { refreshAhead: 0.000001, minValidityMs: 0 },
         onEvent: ({ type, background }) => type === 'failure' && console.log(type, background),
       })
       await client.getSessionToken('user')
       ${UNTIL_STALE}
       await client.getSessionToken('user')
       while (client.stats().inFlight > 0) await new Promise(resolve => setTimeout(resolve, 5))
       console.log('served', (await client.getSessionToken('user')).identity)`,
    )
    expect(end).toEqual({ code: 0, out: 'failure true\nserved user\n', err: '' })
  })
})

describe('a subscriber of traces that throws', () => {
  it('is reported by Node, and changes neither the call nor the mint', async () => {
    const gateway = await startGateway()
    const end = await runScript(
      gateway,
      `
      import { AsyncLocalStorage } from 'node:async_hooks'
      import { tracingChannel } from 'node:diagnostics_channel'
      const reported = []
      process.on('uncaughtException', error => reported.push(error.message))
      for (const kind of ['call', 'mint']) {
        const channels = tracingChannel('videokit:' + kind)
        const fail = name => () => { throw new Error(kind + ':' + name) }
        for (const name of ['start', 'end', 'asyncStart', 'asyncEnd']) channels[name].subscribe(fail(name))
        channels.start.bindStore(new AsyncLocalStorage(), fail('store'))
      }
      const { identity } = await new VKitClient().getSessionToken('user')
      await new Promise(resolve => setImmediate(resolve))
      console.log(identity, reported.sort().join(' '))
      `,
    )
    const names = ['asyncEnd', 'asyncStart', 'end', 'start', 'store']
    const reported = ['call', 'mint'].flatMap(kind => names.map(name => `${kind}:${name}`))
    expect(end).toEqual({ code: 0, out: `user ${reported.join(' ')}\n`, err: '' })
  })
})
