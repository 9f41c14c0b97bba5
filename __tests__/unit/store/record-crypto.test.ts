import { describe, expect, it } from '@jest/globals'
import {
  deriveStoreKeys,
  openRecord,
  sealRecord,
  storeKeyOf,
  UnusableRecord,
} from '../../../lib/store/record-crypto.js'

const keys = deriveStoreKeys('a-secret')
const storeKey = storeKeyOf('user', keys)
const CONTENT = '{"sessionToken":"token"}'

async function faultOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return error instanceof UnusableRecord ? error.fault : `not refused: ${String(error)}`
}

describe('a sealed record', () => {
  it('opens under its own key', async () => {
    const record = await sealRecord(CONTENT, storeKey, keys)
    expect(await openRecord(record, storeKey, keys)).toBe(CONTENT)
    expect(record).toMatch(/^1\.[\w-]{22}\.[\w-]{16}\.[\w-]+\.[\w-]{22}$/)
    expect(storeKey).toMatch(/^vkit:1:[\w-]{12}:[\w-]{43}$/)
  })

  it('is never the same twice', async () => {
    const [one, two] = [await sealRecord(CONTENT, storeKey, keys), await sealRecord(CONTENT, storeKey, keys)]
    const parts = (record: string): string[] => record.split('.').slice(1)
    expect(parts(one).some((part, i) => part === parts(two)[i])).toBe(false)
  })

  it('does not open under the key of another', async () => {
    const record = await sealRecord(CONTENT, storeKey, keys)
    expect(await faultOf(openRecord(record, storeKeyOf('other', keys), keys))).toBe('corrupt')
  })

  it('does not open with another secret, which shares no key with this one', async () => {
    const others = deriveStoreKeys('another-secret')
    const record = await sealRecord(CONTENT, storeKey, keys)
    expect(await faultOf(openRecord(record, storeKey, others))).toBe('corrupt')
    const [theirs, ours] = [storeKeyOf('user', others).split(':'), storeKey.split(':')]
    expect(theirs[2]).not.toBe(ours[2])
    expect(theirs[3]).not.toBe(ours[3])
  })

  it('is refused with any one of its bits flipped', async () => {
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

  it('is refused cut short at any place', async () => {
    const record = await sealRecord(CONTENT, storeKey, keys)
    for (let length = 0; length < record.length; length++) {
      expect(await faultOf(openRecord(record.slice(0, length), storeKey, keys))).toMatch(/^(corrupt|version)$/)
    }
  })

  it('of another version is told from a corrupt one', async () => {
    const record = await sealRecord(CONTENT, storeKey, keys)
    expect(await faultOf(openRecord(record.replace(/^1\./, '2.'), storeKey, keys))).toBe('version')
  })

  it.each([42, {}, [], true, '', '1', '1.....', Buffer.from('1.a.b.c.d'), '1.'.padEnd(300_000, 'a')])(
    'is not what garbage is taken for (%#)',
    async garbage => {
      expect(await faultOf(openRecord(garbage, storeKey, keys))).toBe('corrupt')
    },
  )
})
