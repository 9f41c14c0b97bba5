import http from 'node:http'
import https from 'node:https'
import type { LookupFunction } from 'node:net'
import type tls from 'node:tls'
import type { Certificates, Context, ExpectedFailure } from '../harness/context.js'
import { meet, survive } from '../harness/meet.js'
import type { RawGateway } from '../harness/raw-gateway.js'
import type { Row } from '../harness/row.js'

const CONNECTION: ExpectedFailure = { code: 'VKIT_CONNECTION', retryable: true, attempts: 3 }
const TIMEOUT: ExpectedFailure = { code: 'VKIT_TIMEOUT', retryable: true, attempts: { atMost: 3 } }
const TLS: ExpectedFailure = { code: 'VKIT_TLS', retryable: false, attempts: 1 }
const QUICK = { timeoutMs: 500, deadlineMs: 2_500 }

const LOCALHOST = { address: '127.0.0.1', family: 4 }

/** A resolver whose `lookup` can be replaced. The agent reuses no connection, so each request calls it. */
function fakeResolver(): { agent: https.Agent; lookup: LookupFunction } {
  const resolver = {
    lookup: ((_, options, callback) => {
      if (options.all) callback(null, [LOCALHOST])
      else callback(null, LOCALHOST.address, LOCALHOST.family)
    }) as LookupFunction,
    agent: new https.Agent({ keepAlive: false, lookup: (...args) => resolver.lookup(...args) }),
  }
  return resolver
}

async function meetLookup(t: Context, lookup: LookupFunction, expected: ExpectedFailure, limits = {}): Promise<void> {
  const gateway = await t.raw(t.certificates.good)
  const resolver = fakeResolver()
  const works = resolver.lookup
  await meet(t, gateway, {
    ...expected,
    forAll: true,
    begin: () => void (resolver.lookup = lookup),
    end: () => void (resolver.lookup = works),
    options: { baseUrl: `https://localhost:${gateway.port}`, agent: { https: resolver.agent }, ...limits },
  })
}

/** Replaces the certificate of the gateway with one that must not be trusted. */
async function meetTls(t: Context, secure: tls.TlsOptions | undefined, respond?: RawGateway['greet']): Promise<void> {
  const gateway = await t.raw(t.certificates.good)
  await meet(t, gateway, {
    ...TLS,
    attempts: respond ? { atMost: 3 } : 1,
    forAll: true,
    begin: async () => {
      if (respond) gateway.greet = respond
      await gateway.become(secure)
    },
    end: async () => {
      gateway.greet = () => undefined
      await gateway.become(t.certificates.good)
    },
  })
}

async function meetBadCertificates(t: Context): Promise<void> {
  const bad: (keyof Certificates)[] = ['selfSigned', 'expired', 'wrongName']
  for (const each of bad) await meetTls(t, t.certificates[each])
}

export const connections: readonly Row[] = [
  {
    n: 1,
    fault: 'connection refused',
    outcome: 'CONNECTION, R, 3',
    async run(t) {
      const gateway = await t.emulator()
      await meet(t, gateway, {
        ...CONNECTION,
        forAll: true,
        begin: () => gateway.stop(),
        end: async () => {
          await gateway.start()
        },
      })
    },
  },
  {
    n: 2,
    fault: 'ENOTFOUND, EAI_AGAIN',
    outcome: 'CONNECTION, R, 3',
    notWithFetch: 'the edge has no agent, and so no lookup of its own',
    async run(t) {
      for (const code of ['ENOTFOUND', 'EAI_AGAIN']) {
        const fail = Object.assign(new Error(`getaddrinfo ${code}`), { code })
        await meetLookup(t, (_host, _options, callback) => callback(fail, [], 0), CONNECTION)
      }
    },
  },
  {
    n: 3,
    fault: 'lookup never returns',
    outcome: 'TIMEOUT, R, ≤3',
    notWithFetch: 'the edge has no agent, and so no lookup of its own',
    run: t => meetLookup(t, () => undefined, TIMEOUT, QUICK),
  },
  {
    n: 4,
    fault: 'first address fails, second works',
    outcome: 'success, 1',
    notWithFetch: 'the edge has no agent, and so no lookup of its own',
    async run(t) {
      const gateway = await t.raw()
      const lookup: LookupFunction = (_host, _options, callback) =>
        callback(null, [{ address: '::1', family: 6 }, LOCALHOST])
      const agent = new http.Agent({ lookup, autoSelectFamily: true })
      const options = { baseUrl: `http://localhost:${gateway.port}`, agent: { http: agent } }
      await survive(t, gateway, { begin: () => undefined, options, requests: 1 })
    },
  },
  {
    n: 5,
    fault: 'accepts the connection, never responds',
    outcome: 'TIMEOUT, R, ≤3',
    async run(t) {
      const gateway = await t.raw()
      const { respond } = gateway
      await meet(t, gateway, {
        ...TIMEOUT,
        begin: () => void (gateway.respond = () => undefined),
        end: () => void (gateway.respond = respond),
        options: QUICK,
      })
    },
  },
  {
    n: 6,
    fault: 'TLS handshake stalls',
    outcome: 'TIMEOUT, R, ≤3',
    async run(t) {
      const gateway = await t.raw(t.certificates.good)
      await meet(t, gateway, {
        ...TIMEOUT,
        forAll: true,
        begin: () => gateway.become(),
        end: () => gateway.become(t.certificates.good),
        options: QUICK,
      })
    },
  },
  {
    n: 7,
    fault: 'self-signed, expired, wrong name',
    outcome: 'TLS, N, 1, no request seen',
    run: meetBadCertificates,
  },
  {
    n: 8,
    fault: 'TLS 1.1 only',
    outcome: 'TLS, N, 1',
    run: t =>
      meetTls(t, {
        ...t.certificates.good,
        minVersion: 'TLSv1',
        maxVersion: 'TLSv1.1',
        ciphers: 'DEFAULT@SECLEVEL=0',
      }),
  },
  {
    n: 9,
    fault: 'row 7 with NODE_TLS_REJECT_UNAUTHORIZED=0',
    outcome: 'TLS, N, 1',
    notWithFetch: "Node's fetch obeys this variable, which edge runtimes do not have",
    env: { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
    expectedWarning: /NODE_TLS_REJECT_UNAUTHORIZED/,
    run: meetBadCertificates,
  },
  {
    n: 10,
    fault: 'https to a plain http port',
    outcome: 'TLS or TIMEOUT, N, ≤3',
    run: t =>
      meetTls(t, undefined, socket => {
        socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'))
      }),
  },
]
