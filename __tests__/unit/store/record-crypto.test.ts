import { describe, expect, it, jest } from '@jest/globals'
import type { CryptoKey } from 'jose'
import {
  deriveStoreKeys,
  openRecord,
  sealRecord,
  storeKeyOf,
  UnusableRecord,
} from '../../../lib/store/record-crypto.js'

const keys = await deriveStoreKeys('a-secret')
const storeKey = await storeKeyOf('user', keys)
const CONTENT = '{"sessionToken":"token"}'

async function faultOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return error instanceof UnusableRecord ? error.fault : `not refused: ${String(error)}`
}

describe('an encrypted record', () => {
  it('can be decrypted under its own key', async () => {
    const record = await sealRecord(CONTENT, storeKey, keys)
    expect(await openRecord(record, storeKey, keys)).toBe(CONTENT)
    expect(record).toMatch(/^1\.[\w-]{22}\.[\w-]{16}\.[\w-]+\.[\w-]{22}$/)
    expect(storeKey).toMatch(/^vkit:1:[\w-]{12}:[\w-]{43}$/)
  })

  it('of an earlier release can be decrypted', async () => {
    const known = await deriveStoreKeys('a-secret-é')
    const knownKey = 'vkit:1:tp-Qoymr6mRV:yziMeEmskUqAfOKRRsEtoLjIpmQmBMTOBWtORHzR9wA'
    expect(await storeKeyOf('["user ü",[]]', known)).toBe(knownKey)
    const record =
      '1.HtL_bJaXRY1GyBwp2fKxbA.POUlw_tcQBpLE8rD.geKNEjyY8bS3QalrJPuYWyoG9_dvv_HTdEQ.hnRq77m3MkNmTi0Kx41R6g'
    expect(await openRecord(record, knownKey, known)).toBe('{"sessionToken":"tökén"}')
  })

  it('differs each time for the same content', async () => {
    const [one, two] = [await sealRecord(CONTENT, storeKey, keys), await sealRecord(CONTENT, storeKey, keys)]
    const parts = (record: string): string[] => record.split('.').slice(1)
    expect(parts(one).some((part, i) => part === parts(two)[i])).toBe(false)
  })

  it('cannot be decrypted under the key of another identity', async () => {
    const record = await sealRecord(CONTENT, storeKey, keys)
    expect(await faultOf(openRecord(record, await storeKeyOf('other', keys), keys))).toBe('corrupt')
  })

  it('cannot be decrypted with another secret, whose keys all differ', async () => {
    const others = await deriveStoreKeys('another-secret')
    const record = await sealRecord(CONTENT, storeKey, keys)
    expect(await faultOf(openRecord(record, storeKey, others))).toBe('corrupt')
    const [theirs, ours] = [(await storeKeyOf('user', others)).split(':'), storeKey.split(':')]
    expect(theirs[2]).not.toBe(ours[2])
    expect(theirs[3]).not.toBe(ours[3])
  })

  it('is refused if any single bit is flipped', async () => {
    const record = Buffer.from(await sealRecord(CONTENT, storeKey, keys))
    const opened: number[] = []
    for (let bit = 0; bit < record.length * 8; bit++) {
      const altered = Buffer.from(record)
      altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const fault = await faultOf(openRecord(altered.toString('latin1'), storeKey, keys))
      if (fault !== 'corrupt' && fault !== 'version') opened.push(bit)
    }
    expect(opened).toEqual([])
  })

  it('of 256 KiB can be decrypted, and a longer one is refused', async () => {
    const content = 'x'.repeat(196_559)
    const record = await sealRecord(content, storeKey, keys)
    expect(record).toHaveLength(256 * 1024)
    expect(await openRecord(record, storeKey, keys)).toBe(content)
    expect(await faultOf(openRecord(await sealRecord(`${content}x`, storeKey, keys), storeKey, keys))).toBe('corrupt')
  })

  it('is not split into very many parts', async () => {
    const record = `1${'.'.repeat(256 * 1024 - 1)}`
    const split = jest.spyOn(String.prototype, 'split')
    try {
      expect(await faultOf(openRecord(record, storeKey, keys))).toBe('corrupt')
      const parts = split.mock.results.map(({ value }) => (value as string[]).length)
      expect(Math.max(...parts)).toBe(6)
    } finally {
      split.mockRestore()
    }
  })

  it('is refused if it is truncated at any position', async () => {
    const record = await sealRecord(CONTENT, storeKey, keys)
    for (let length = 0; length < record.length; length++) {
      expect(await faultOf(openRecord(record.slice(0, length), storeKey, keys))).toMatch(/^(corrupt|version)$/)
    }
  })

  it('is reported as another version, not as corrupt, if its version differs', async () => {
    const record = await sealRecord(CONTENT, storeKey, keys)
    const faultOfVersion = (version: string): Promise<string> =>
      faultOf(openRecord(record.replace(/^1/, version), storeKey, keys))
    for (const version of ['2', '10', '123456789']) expect(await faultOfVersion(version)).toBe('version')
    for (const text of ['', 'v2', '2a', '1234567890']) expect(await faultOfVersion(text)).toBe('corrupt')
  })

  it.each([0, 1, 2, 3, 4])('is refused without its part %d, or with an empty one', async index => {
    const parts = (await sealRecord(CONTENT, storeKey, keys)).split('.')
    const [missing, empty] = [parts.filter((_, i) => i !== index), parts.map((part, i) => (i === index ? '' : part))]
    for (const altered of [missing, empty])
      expect(await faultOf(openRecord(altered.join('.'), storeKey, keys))).toBe('corrupt')
  })

  it('is refused with one more part', async () => {
    const record = await sealRecord(CONTENT, storeKey, keys)
    expect(await faultOf(openRecord(`${record}.AAAA`, storeKey, keys))).toBe('corrupt')
  })

  it('has keys that cannot be exported', async () => {
    const { subtle } = crypto
    const made = (['importKey', 'deriveKey'] as const).map(name => jest.spyOn(subtle, name))
    try {
      const derived = await deriveStoreKeys('a-secret')
      await openRecord(await sealRecord(CONTENT, storeKey, derived), storeKey, derived)
      const all = await Promise.all(
        made.flatMap(({ mock }) => mock.results.map(({ value }) => value as Promise<CryptoKey>)),
      )
      expect(all.map(({ extractable }) => extractable)).toEqual(Array(all.length).fill(false))
      expect(all.length).toBeGreaterThan(5)
    } finally {
      for (const spy of made) spy.mockRestore()
    }
  })

  it.each([42, {}, [], true, '', '1', '1.....', Buffer.from('1.a.b.c.d'), '1.'.padEnd(300_000, 'a')])(
    'is reported as corrupt if it is garbage (%#)',
    async garbage => {
      expect(await faultOf(openRecord(garbage, storeKey, keys))).toBe('corrupt')
    },
  )
})
