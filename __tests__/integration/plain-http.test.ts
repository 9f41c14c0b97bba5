import { afterEach, describe, expect, it } from '@jest/globals'
import http from 'node:http'
import { VKitClient, type VKitClientOptions } from '../../lib/index.js'
import { assertNoSecret, GatewayEmulator } from '../../lib/testing/index.js'
import { preload, runCli, useCli } from '../support/cli.js'
import { reasonOf } from '../support/failure.js'
import { afterThisTest } from '../support/gateway.js'
import { respondWithToken, startRecordingServer, type RecordingServer } from '../support/recording-server.js'
import { RecordingStore } from '../support/recording-store.js'

useCli()

const REAL = 'sk-THE-APP-SECRET'
const REFUSAL =
  'must begin with https://. http:// is allowed for loopback hosts only, because it exposes the secret. ' +
  'For an emulator on another host, use an app secret that an emulator created.'
const { appSecret } = new GatewayEmulator()
const original = { ...process.env }

afterEach(() => {
  for (const name of ['VKIT_APP_SECRET', 'VKIT_BASE_URL']) {
    if (original[name] === undefined) Reflect.deleteProperty(process.env, name)
    else process.env[name] = original[name]
  }
})

/** An agent that finds every host at 127.0.0.1, as if its name were in the DNS. */
function makeAgent(): http.Agent {
  const agent = new http.Agent({
    keepAlive: true,
    lookup: (_host, { all }, found) =>
      all ? found(null, [{ address: '127.0.0.1', family: 4 }]) : found(null, '127.0.0.1', 4),
  })
  afterThisTest(async () => agent.destroy())
  return agent
}

const urlOf = ({ port }: RecordingServer): string => `http://emulator:${port}`

function makeClient(options: VKitClientOptions): VKitClient {
  const client = new VKitClient({ agent: { http: makeAgent() }, maxRetries: 0, ...options })
  afterThisTest(() => client.close())
  return client
}

/** The failures of all calls that use the secret. */
function failuresOf(client: VKitClient): Promise<unknown[]> {
  const batch = client.getSessionTokens(['user'])
  const calls = [
    () => client.getSessionToken('user'),
    () => client.getSessionToken('user', { cache: 'reload' }),
    () => client.warmUp(),
    () => batch.next(),
  ]
  return Promise.all(calls.map(call => reasonOf(call())))
}

describe('over http to another host', () => {
  it.each<[string, VKitClientOptions]>([
    ['given', { appSecret }],
    ['of a provider', { appSecret: () => appSecret }],
    ['of the environment', {}],
  ])('the secret of an emulator is sent: %s', async (_, options) => {
    const server = await startRecordingServer()
    Object.assign(process.env, { VKIT_APP_SECRET: appSecret, VKIT_BASE_URL: urlOf(server) })
    const client = makeClient(options)
    await client.warmUp()
    expect((await client.getSessionToken('user')).identity).toBe('user')
    expect(server.requests).toEqual([expect.stringContaining(`Bearer ${appSecret}`)])
  })

  it.each<[string, VKitClientOptions, boolean]>([
    ['given', { appSecret: REAL }, false],
    ['of a provider, with baseUrl', { appSecret: () => REAL }, true],
    ['of a provider', { appSecret: async () => REAL }, false],
    ['of the environment, with baseUrl', {}, true],
    ['of the environment', {}, false],
    [
      'of the environment, with a shared store',
      { cache: { store: new RecordingStore(new Map<string, string>()) } },
      false,
    ],
  ])('a real secret opens no connection: %s', async (_, options, isGiven) => {
    const server = await startRecordingServer()
    const baseUrl = urlOf(server)
    Object.assign(process.env, { VKIT_APP_SECRET: REAL, VKIT_BASE_URL: isGiven ? 'https://gateway.example' : baseUrl })
    const client = makeClient({ ...options, ...(isGiven && { baseUrl }) })
    for (const error of await failuresOf(client)) {
      expect(error).toMatchObject({
        code: 'VKIT_CONFIG',
        message: `${isGiven ? 'baseUrl' : 'VKIT_BASE_URL'} ${REFUSAL}`,
      })
      assertNoSecret(error, REAL)
    }
    expect(server.connections).toEqual([])
  })

  it('a real secret is refused by the constructor, if both are given', async () => {
    const server = await startRecordingServer()
    expect(() => new VKitClient({ appSecret: REAL, baseUrl: urlOf(server) })).toThrow(
      expect.objectContaining({ code: 'VKIT_CONFIG', message: `baseUrl ${REFUSAL}` }),
    )
  })

  it('a provider must not return a real secret after the secret of an emulator', async () => {
    const server = await startRecordingServer()
    const secrets = [appSecret, REAL]
    const client = makeClient({ appSecret: () => secrets.shift() ?? REAL, baseUrl: urlOf(server) })
    await client.getSessionToken('first')
    expect(await reasonOf(client.getSessionToken('second'))).toMatchObject({ message: `baseUrl ${REFUSAL}` })
    expect(server.requests).toHaveLength(1)
  })

  it('a rotation must not bring a real secret', async () => {
    const server = await startRecordingServer()
    server.respond = socket => void socket.write('HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}')
    const secrets = [appSecret]
    const client = makeClient({ appSecret: () => secrets.shift() ?? REAL, baseUrl: urlOf(server) })
    expect(await reasonOf(client.getSessionToken('user'))).toMatchObject({
      message: `baseUrl ${REFUSAL}`,
      attempts: 1,
    })
    expect(server.requests).toHaveLength(1)
    expect(server.connections.join()).not.toContain(REAL)
  })

  it('the secret of an emulator does not follow a redirect', async () => {
    const [server, other] = [await startRecordingServer(), await startRecordingServer()]
    server.respond = socket =>
      void socket.write(`HTTP/1.1 307 Moved\r\nlocation: ${urlOf(other)}/v1/sessions\r\ncontent-length: 0\r\n\r\n`)
    const error = await reasonOf(makeClient({ appSecret, baseUrl: urlOf(server) }).getSessionToken('user'))
    expect(error).toMatchObject({ code: 'VKIT_REDIRECT' })
    expect(other.connections).toEqual([])
  })
})

describe('vkit, over http to another host', () => {
  const names = `import dns from 'node:dns'
    const found = { address: '127.0.0.1', family: 4 }
    dns.lookup = (host, options, callback) =>
      options.all ? callback(null, [found]) : callback(null, found.address, found.family)
    dns.promises.lookup = async () => [found]`
  const envOf = (server: RecordingServer, secret: string): Record<string, string> => ({
    ...{ VKIT_BASE_URL: urlOf(server), VKIT_APP_SECRET: secret },
    ...preload(names),
  })

  it('sends the secret of an emulator', async () => {
    const server = await startRecordingServer()
    const env = envOf(server, appSecret)
    const token = await runCli(['token', 'user'], { env })
    expect(token).toEqual({ code: 0, stdout: 'token-of-user\n', stderr: '' })
    server.respond = (socket, request) => {
      if (request.startsWith('POST')) respondWithToken(socket, request)
      else socket.write('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n')
    }
    const { code, stdout } = await runCli(['doctor', '--identity', 'user'], { env })
    expect(stdout).toContain(`✓ settings   tokens are minted at ${urlOf(server)}/v1/sessions`)
    expect(stdout).toContain('– tls        not used: the URL begins with http://')
    expect(stdout).toContain('✓ mint       token minted')
    expect(code).toBe(0)
  })

  it('opens no connection with a real secret', async () => {
    const server = await startRecordingServer()
    const env = envOf(server, REAL)
    const token = await runCli(['token', 'user'], { env })
    expect(token).toMatchObject({ code: 3, stdout: '' })
    expect(token.stderr).toContain(`VKIT_BASE_URL ${REFUSAL}`)
    const doctor = await runCli(['doctor'], { env })
    expect(doctor.code).toBe(1)
    expect(doctor.stdout).toContain(`✗ settings   VKIT_BASE_URL ${REFUSAL}`)
    expect(token.stderr + doctor.stdout + doctor.stderr).not.toContain(REAL)
    expect(server.connections).toEqual([])
  })
})
