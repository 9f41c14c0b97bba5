import assert from 'node:assert/strict'
import { decodeJwt } from 'jose/jwt/decode'
import { SECRET, type Row } from '../harness/row.js'
import type { ExpectedFailure } from '../harness/context.js'
import { meetFault, surviveFault } from './bodies.js'

const INVALID: ExpectedFailure = { code: 'VKIT_INVALID_RESPONSE', retryable: false, attempts: 1 }
const MISMATCH: ExpectedFailure = { code: 'VKIT_IDENTITY_MISMATCH', retryable: false, attempts: 1 }
const REFUSED: ExpectedFailure = { code: 'VKIT_INVALID_REQUEST', retryable: false, attempts: 1, status: 200 }

export const responses: readonly Row[] = [
  {
    n: 34,
    fault: 'another identity in the response; the same in another Unicode form',
    outcome: 'IDENTITY_MISMATCH, N, 1',
    async run(t) {
      const another = t.hide('another-user@example.com')
      await meetFault(t, MISMATCH, { answer: { identity: another } })
      for (const identity of ['Victim', 'victim ', 'ｖictim', 'victim\u200b', 'v\u0131ctim']) {
        await meetFault(t, MISMATCH, { answer: { identity } })
      }
      const gateway = await t.emulator()
      gateway.fail({ answer: { identity: 'zoe\u0308' } })
      const client = t.client(gateway)
      t.expectFailure(await t.failureOf(client.getSessionToken('zo\u00eb')), MISMATCH, 1)
      assert.equal(client.stats().entries, 0)
    },
  },
  {
    n: 35,
    fault: 'token missing, empty, with CR or LF, over 16 KiB',
    outcome: 'INVALID_RESPONSE, N, 1',
    async run(t) {
      const tokens = [
        undefined,
        null,
        '',
        42,
        {},
        'two\r\nlines',
        'two\nlines',
        'two\rlines',
        'x'.repeat(16 * 1024 + 1),
      ]
      for (const sessionToken of tokens) await meetFault(t, INVALID, { answer: { sessionToken } })
    },
  },
  {
    n: 36,
    fault: 'expiresAt past',
    outcome: 'INVALID_RESPONSE, R, 3',
    run: t =>
      meetFault(
        t,
        { code: 'VKIT_INVALID_RESPONSE', retryable: true, attempts: 3 },
        { answer: { expiresAt: '2020-01-01T00:00:00Z' } },
      ),
  },
  {
    n: 37,
    fault: 'expiresAt unparseable',
    outcome: 'success, not cached, an event, 1',
    async run(t) {
      for (const expiresAt of [
        'tomorrow',
        '2099-01-01T00:00:00',
        '5',
        'Sat, 21 Nov 2099 00:00:00 GMT',
        '2099-02-30T00:00:00Z',
      ]) {
        const gateway = await t.emulator()
        gateway.fail({ answer: { expiresAt } })
        const client = t.client(gateway)
        const token = await client.getSessionToken('victim')
        assert.equal(token.expiresAt, expiresAt)
        assert.equal(gateway.seenOf('victim'), 1)
        assert.equal(client.stats().entries, 0)
        await t.mint(client, 'victim')
        assert.equal(gateway.seenOf('victim'), 2)
      }
      assert.ok(t.types().includes('unreadable-expiry'))
    },
  },
  {
    n: 38,
    fault: 'expiresAt missing, token a JWT with exp',
    outcome: 'success, expiry from exp, 1',
    async run(t) {
      for (const expiresAt of [undefined, null, '']) {
        const gateway = await t.emulator()
        gateway.fail({ answer: { expiresAt } })
        const client = t.client(gateway)
        const { sessionToken, expiresAt: returned } = await client.getSessionToken('victim')
        assert.equal(Date.parse(returned) / 1000, decodeJwt(sessionToken).exp)
        assert.equal(await t.mint(client, 'victim'), sessionToken)
        assert.equal(gateway.requests.length, 1)
      }
    },
  },
  {
    n: 39,
    fault: 'expiresAt missing, token opaque',
    outcome: 'INVALID_RESPONSE, N, 1',
    run: t => meetFault(t, INVALID, { answer: { expiresAt: undefined, sessionToken: t.hide('an-opaque-token') } }),
  },
  {
    n: 40,
    fault: "expiresAt later than the JWT's exp",
    outcome: 'the earlier one; an event, 1',
    async run(t) {
      const gateway = await t.emulator()
      gateway.fail({ answer: { expiresAt: '2999-01-01T00:00:00Z' } })
      const client = t.client(gateway)
      const { sessionToken, expiresAt } = await client.getSessionToken('victim')
      assert.equal(Date.parse(expiresAt) / 1000, decodeJwt(sessionToken).exp)
      assert.equal(await t.mint(client, 'victim'), sessionToken)
      assert.equal(gateway.requests.length, 1)
      assert.ok(t.types().includes('expiry-mismatch'))
    },
  },
  {
    n: 41,
    fault: '200 with an error member (string, object)',
    outcome: 'INVALID_REQUEST, its text redacted, N, 1',
    async run(t) {
      const errors = [
        `no app for ${SECRET}`,
        { message: `no app for ${SECRET}`, code: 7 },
        { nested: { deep: SECRET } },
        [SECRET],
        true,
        { code: Buffer.from(SECRET).toString('base64') },
      ]
      for (const error of errors) {
        await meetFault(t, REFUSED, { answer: { error } })
        await meetFault(t, REFUSED, { body: { error } })
      }
      // An empty error member is not an error.
      for (const error of [null, undefined, false, '']) await surviveFault(t, { answer: { error } }, 1)
    },
  },
]
