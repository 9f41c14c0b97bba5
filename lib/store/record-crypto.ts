import type { CryptoKey } from 'jose'
import { decode, encode } from 'jose/base64url'
import type { StoreFailureReason } from '../core/events.js'
import { loadChunk } from '../core/load-chunk.js'
import { utf8BytesOf, utf8TextOf } from '../core/utf8.js'
import { MAX_RECORD_LENGTH } from './max-record-length.js'

/** The keys that are derived from one app secret. None reveals the secret or another key. */
export interface StoreKeys {
  /** Separates the records of one secret from those of another. */
  readonly id: string
  readonly index: CryptoKey
  readonly seal: CryptoKey
  readonly message: CryptoKey
  /** Bytes, because a message is checked without waiting. */
  readonly messageMac: Uint8Array
  readonly tokenMac: Uint8Array
}

/** The key that the keys of records are derived from. */
export type SealKey = Pick<StoreKeys, 'seal'>

/** Why a record of the store is not used. */
export type RecordFault = Exclude<StoreFailureReason, 'error' | 'timeout'>

export class UnusableRecord extends Error {
  readonly fault: RecordFault
  constructor(fault: RecordFault) {
    super(fault)
    this.fault = fault
  }
}

type Bytes = Uint8Array<ArrayBuffer>

const VERSION = '1'
const PREFIX = `vkit:${VERSION}`
/** The five of a record, and one that shows that there are more. */
const MAX_PARTS = 6
const SALT_BYTES = 16
const HEADER = { alg: 'dir', enc: 'A256GCM' } as const
const PROTECTED = encode(JSON.stringify(HEADER))
/** Base64url does not use all bits of the last character, and an altered record must not decode to the same bytes. */
const CANONICAL = /^(?:[\w-]{4})*(?:[\w-][AQgw]|[\w-]{2}[AEIMQUYcgkosw048])?$/
const HMAC = { name: 'HMAC', hash: 'SHA-256' } as const
const AES = { name: 'AES-GCM', length: 256 } as const
const NO_SALT = new Uint8Array()

/** HKDF-SHA256 (RFC 5869): a separate key for each purpose. */
export async function deriveStoreKeys(secret: string): Promise<StoreKeys> {
  const { subtle } = crypto
  const material = await subtle.importKey('raw', utf8BytesOf(secret), 'HKDF', false, ['deriveBits'])
  const derive = async (purpose: string, bytes = 32): Promise<Bytes> =>
    new Uint8Array(await subtle.deriveBits(hkdf(purpose, NO_SALT), material, 8 * bytes))
  const sealKey = async (purpose: string): Promise<CryptoKey> =>
    subtle.importKey('raw', await derive(purpose), 'HKDF', false, ['deriveKey'])
  const [id, index, seal, message, messageMac, tokenMac] = await Promise.all([
    derive('id', 9).then(encode),
    derive('index').then(bytes => subtle.importKey('raw', bytes, HMAC, false, ['sign'])),
    sealKey('seal'),
    sealKey('message'),
    derive('message-mac'),
    derive('token-mac'),
  ])
  return { id, index, seal, message, messageMac, tokenMac }
}

/** Resolves when most of the work that was begun before is done. */
export async function turnOfCrypto(): Promise<void> {
  await crypto.subtle.digest('SHA-256', NO_SALT)
}

/** The key of a record in the store. Without the secret it reveals nothing about `subject`. */
export async function storeKeyOf(subject: string, { id, index }: StoreKeys): Promise<string> {
  const mac = await crypto.subtle.sign('HMAC', index, utf8BytesOf(subject))
  return `${PREFIX}:${id}:${encode(new Uint8Array(mac))}`
}

/** Only clients with a store need it. */
function loadJwe(): Promise<typeof import('./jwe.js')> {
  return loadChunk(() => import('./jwe.js'), 'jwe.js')
}

/** Loads what `sealRecord` and `openRecord` load at their first call. Never rejects: they load it again. */
export async function loadRecordCrypto(): Promise<void> {
  await loadJwe().catch(() => undefined)
}

/** Encrypts `content` for this store key only: RFC 7516, `dir` with `A256GCM`, a key per record. */
export async function sealRecord(content: string, storeKey: string, keys: SealKey): Promise<string> {
  const { FlattenedEncrypt } = await loadJwe()
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES))
  const { iv, ciphertext, tag } = await new FlattenedEncrypt(utf8BytesOf(content))
    .setProtectedHeader(HEADER)
    .setAdditionalAuthenticatedData(utf8BytesOf(storeKey))
    .encrypt(await recordKey(keys, salt, 'encrypt'))
  return [VERSION, encode(salt), iv, ciphertext, tag].join('.')
}

/** @throws UnusableRecord if it is not exactly what was encrypted for this store key. */
export async function openRecord(record: unknown, storeKey: string, keys: SealKey): Promise<string> {
  if (typeof record !== 'string' || record.length > MAX_RECORD_LENGTH) throw new UnusableRecord('corrupt')
  // With a limit, because 256 KiB of dots would block the event loop for 50 ms.
  const [version, ...parts] = record.split('.', MAX_PARTS)
  if (version !== VERSION) throw new UnusableRecord(/^\d{1,9}$/.test(String(version)) ? 'version' : 'corrupt')
  if (parts.length !== 4 || !parts.every(part => CANONICAL.test(part))) throw new UnusableRecord('corrupt')
  const [salt, iv, ciphertext, tag] = parts as [string, string, string, string]
  // The header and the store key are not from the record, so a writer of the store cannot choose them.
  const jwe = { protected: PROTECTED, aad: encode(storeKey), iv, ciphertext, tag }
  try {
    const { flattenedDecrypt } = await loadJwe()
    const { plaintext } = await flattenedDecrypt(jwe, await recordKey(keys, Uint8Array.from(decode(salt)), 'decrypt'))
    return utf8TextOf(plaintext)
  } catch {
    throw new UnusableRecord('corrupt')
  }
}

/** A key per record, because random nonces of one key could collide after very many records. */
function recordKey({ seal }: SealKey, salt: Bytes, usage: 'encrypt' | 'decrypt'): Promise<CryptoKey> {
  return crypto.subtle.deriveKey(hkdf('record', salt), seal, AES, false, [usage])
}

function hkdf(purpose: string, salt: Bytes): Hkdf {
  return { name: 'HKDF', hash: 'SHA-256', salt, info: utf8BytesOf(`${PREFIX}:${purpose}`) }
}

interface Hkdf {
  readonly name: 'HKDF'
  readonly hash: 'SHA-256'
  readonly salt: Bytes
  readonly info: Bytes
}
