import { describe, expect, it } from '@jest/globals'
import type http from 'node:http'
import { VKitConnectionError } from '../../lib/core/errors.js'
import { networkError } from '../../lib/gateway/response-errors.js'
import { failureOf } from '../support/failure.js'
import { makeClient, recordEvents, startGateway } from '../support/gateway.js'
import { filesLoadedAtOnce, runScript, useScripts } from '../support/script.js'

useScripts()

/** Node's error for a connection, which does not name the permission; for DNS it does not even have the message. */
const DENIED = Object.assign(new Error('getaddrinfo ERR_ACCESS_DENIED gateway.video.io'), { code: 'ERR_ACCESS_DENIED' })
// Of the Node versions that the tests run on, the older ones have the option's first name.
const PERMISSION = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission'

/** Fails as Node's agents do without `--allow-net`. */
const denyingAgent = {
  addRequest: (request: http.ClientRequest) => process.nextTick(() => request.emit('error', DENIED)),
}

describe("Node's permission model", () => {
  it('lets a mint succeed if the files of the package are readable', async () => {
    const gateway = await startGateway()
    const flags = [PERMISSION, '--allow-fs-read=*', '--no-warnings']
    const script = `console.log((await new VKitClient().getSessionToken('user')).identity)`
    expect(await runScript(gateway, script, { args: flags })).toEqual({ code: 0, out: 'user\n', err: '' })
  })

  it('fails each call at once, with the name of the flag, if a file of the package may not be read', async () => {
    const gateway = await startGateway()
    const end = await runScript(
      gateway,
      `const client = new VKitClient({ onEvent: ({ type, code }) => console.log(type, code) })
       for (let call = 0; call < 2; call++) {
         const { code, retryable, attempts, message, cause } = await client.getSessionToken('user').catch(error => error)
         console.log(JSON.stringify({ code, retryable, attempts, message, cause: cause.code }))
       }
       console.log(client.stats().circuit, client.stats().failingKeys)`,
      { args: [PERMISSION, '--no-warnings', ...filesLoadedAtOnce().map(file => `--allow-fs-read=${file}`)] },
    )
    const failure = JSON.stringify({
      code: 'VKIT_CONNECTION',
      retryable: false,
      attempts: 0,
      message:
        "Node's permission model does not let the HTTP client (got) load: start Node with --allow-fs-read for the folder of this package.",
      cause: 'ERR_ACCESS_DENIED',
    })
    const call = `miss undefined\nfailure VKIT_CONNECTION\n${failure}\n`
    expect(end).toEqual({ code: 0, out: `${call}${call}closed 0\n`, err: '' })
    expect(gateway.requests).toEqual([])
  })

  it('fails a connection with the name of the flag', () => {
    const error = networkError(DENIED, 'https://gateway.video.io:443/v1/sessions')
    expect(error).toBeInstanceOf(VKitConnectionError)
    expect(error).toMatchObject({
      code: 'VKIT_CONNECTION',
      retryable: false,
      message:
        "POST https://gateway.video.io:443/v1/sessions: Node's permission model does not allow the connection: start Node with --allow-net (ERR_ACCESS_DENIED).",
    })
  })

  it('does not count a connection that it denies as a failure of the gateway', async () => {
    const gateway = await startGateway()
    const { types, onEvent } = recordEvents()
    const client = makeClient(gateway, { agent: { http: denyingAgent }, onEvent })
    for (let user = 0; user < 60; user++) {
      const error = await failureOf(client.getSessionToken(`user ${user}`))
      expect(error).toMatchObject({ code: 'VKIT_CONNECTION', retryable: false, attempts: 1 })
    }
    expect(client.stats()).toMatchObject({ circuit: 'closed', retries: 0 })
    expect(types()).not.toContain('circuit-open')
    expect(gateway.requests).toEqual([])
  })
})
