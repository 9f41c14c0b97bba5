import { describe, expect, it } from '@jest/globals'
import {
  channelOf,
  isAuthentic,
  messageIdOf,
  openMessage,
  sealMessage,
  tokenMacOf,
} from '../../../lib/store/invalidation-message.js'
import type { Invalidation } from '../../../lib/store/invalidation.js'
import { deriveStoreKeys, sealRecord } from '../../../lib/store/record-crypto.js'

const SECRET = 'the app secret of the tests'
const ORIGIN = 'https://gateway.video.io/v1/sessions'
const keys = await deriveStoreKeys(SECRET)
const otherKeys = await deriveStoreKeys('another app secret')
const TOKEN = 'header.payload.signature'
const invalidation: Invalidation = {
  request: { identity: 'END_USER_of_a_customer', scopes: ['videos.read'] },
  untilMs: 1_893_456_000_000,
  tokenMac: tokenMacOf(TOKEN, keys),
}

const seal = (origin = ORIGIN): Promise<string> => sealMessage(invalidation, origin, keys)
const open = (message: string, origin = ORIGIN): Promise<Invalidation> => openMessage(message, origin, keys)
const flip = (text: string, at: number): string =>
  text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)

describe('an invalidation message', () => {
  it('says what was invalidated', async () => {
    const message = await seal()
    expect(isAuthentic(message, keys)).toBe(true)
    expect(await open(message)).toEqual(invalidation)
  })

  it('of an earlier release can be read', async () => {
    const known = await deriveStoreKeys('a-secret-é')
    const message =
      'BCpkFORTAfQc8_lMbIjJSeiUwIdLXxXTsVrHt10_hBo.1.80Zjs47va31vLAt2aK3MGA.8OVJS6SG-m1YHkAY.vmrGIx09CZLIPShaWuQIJNrq' +
      'CUBC0xrptE1yaJmiS_DzgpTcMcQ0ZQFdvlcxGBbzYVZMhsu9SMMGUQsCHnotxSADDmskYJN6P-YeGWie7mG-zIGPCa9TdBP_ofduqb5yKi0oAjj_' +
      'YmpypBuKX1rbXpnyWmvmEyTgXQFqBqZsCe1qqPMVl0ZbNPQ5MekpqPVtpDJym0eyQw.Yf__5EkR5h7iqPvg1-1pTQ'
    expect(isAuthentic(message, known)).toBe(true)
    expect(await openMessage(message, ORIGIN, known)).toEqual({
      request: { identity: 'user ü', scopes: [] },
      untilMs: 1,
      tokenMac: 'j0q1xQG2rJMXLN3zt-EAAIHvLfwZfWM9c9FlJPuMU1U',
    })
  })

  it('says that all tokens of a request are concerned, if it names none', async () => {
    const { request, untilMs } = invalidation
    expect(await open(await sealMessage({ request, untilMs }, ORIGIN, keys))).toEqual({ request, untilMs })
  })

  it('is different each time', async () => {
    expect(await seal()).not.toBe(await seal())
  })

  it('shows neither the token, the identity, the scope, the gateway nor the secret', async () => {
    const shown = (await seal()) + channelOf(keys)
    for (const text of [TOKEN, invalidation.request.identity, 'videos.read', 'gateway.video.io', SECRET])
      for (const encoding of ['utf8', 'hex', 'base64', 'base64url'] as const)
        expect(shown).not.toContain(Buffer.from(text).toString(encoding).replace(/=+$/, ''))
  })

  it('does not show whether two messages are about the same token', async () => {
    const [one, other] = [await seal(), await seal()].map(message => message.split('.'))
    const { tokenMac = '' } = invalidation
    expect(one?.filter(part => other?.includes(part))).toEqual(['1'])
    expect(one?.join('.')).not.toContain(tokenMac)
  })

  it('is identified by its HMAC', async () => {
    const message = await seal()
    expect(messageIdOf(message)).toBe(message.split('.')[0])
  })

  it('is not authentic if any of its characters is altered, or is missing', async () => {
    const message = await seal()
    for (let at = 0; at < message.length; at++) {
      expect(isAuthentic(flip(message, at), keys)).toBe(false)
      expect(isAuthentic(message.slice(0, at), keys)).toBe(false)
      expect(isAuthentic(message.slice(0, at) + message.slice(at + 1), keys)).toBe(false)
    }
  })

  it('is not authentic with the HMAC of another message', async () => {
    const [one, other] = [await seal(), await seal()]
    expect(isAuthentic(one.slice(0, one.indexOf('.')) + other.slice(other.indexOf('.')), keys)).toBe(false)
  })

  it('is not authentic if its HMAC is written in another way', async () => {
    const message = await seal()
    const mac = message.slice(0, message.indexOf('.'))
    const sealed = message.slice(mac.length)
    // The last of 43 characters has two bits that are not part of 32 bytes.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = alphabet[alphabet.indexOf(mac.at(-1) ?? '') ^ 1] ?? ''
    const others = [mac.slice(0, -1) + last, `${mac}=`, `${mac} `, `\n${mac}`, `${mac.slice(0, 9)}!${mac.slice(9)}`]
    expect(others.map(other => isAuthentic(other + sealed, keys))).toEqual(others.map(() => false))
  })

  it.each(['', '.', '..', 'text', `${'A'.repeat(43)}.`, `${'A'.repeat(43)}.1.a.b.c.d`])(
    'is not authentic if it is %j',
    text => {
      expect(isAuthentic(text, keys)).toBe(false)
    },
  )

  it('is of no use with another secret', async () => {
    const message = await seal()
    expect(channelOf(otherKeys)).not.toBe(channelOf(keys))
    expect(isAuthentic(message, otherKeys)).toBe(false)
    await expect(openMessage(message, ORIGIN, otherKeys)).rejects.toThrow('corrupt')
  })

  it('is of no use in another channel, even with the same keys', async () => {
    const elsewhere = { ...keys, id: otherKeys.id }
    const message = await seal()
    expect(isAuthentic(message, elsewhere)).toBe(false)
    await expect(openMessage(message, ORIGIN, elsewhere)).rejects.toThrow('corrupt')
  })

  it('is of no use for another gateway', async () => {
    await expect(open(await seal('https://other.example/v1/sessions'))).rejects.toThrow('mismatch')
  })

  it('cannot be made from a record of the store', async () => {
    const record = await sealRecord('{}', channelOf(keys), keys)
    expect(isAuthentic(record, keys)).toBe(false)
    await expect(open(`${'m'.repeat(43)}.${record}`)).rejects.toThrow('corrupt')
  })
})

describe('the HMAC of a token', () => {
  it('differs between tokens and between secrets', () => {
    const macs = [tokenMacOf('a', keys), tokenMacOf('b', keys), tokenMacOf('a', otherKeys)]
    expect(new Set(macs).size).toBe(3)
    expect(tokenMacOf('a', keys)).toBe(macs[0])
  })
})
